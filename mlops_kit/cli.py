"""The command ``mlops-kit``: each command reads its arguments and calls one public function.

Importing this loads click and nothing else of size; exit status 0, 1 (failed), 2 (usage), 130 (interrupted).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from mlops_kit import __version__
from mlops_kit.commands import deploying, drifting, looking, notebooks, running, scheduling, serving
from mlops_kit.commands.options import shared_options
from mlops_kit.errors import KitError

_COMMANDS = (
    serving.local,
    deploying.bootstrap,
    looking.pipelines,
    looking.build,
    looking.lint,
    looking.graph,
    deploying.plan,
    deploying.apply,
    deploying.destroy,
    running.run,
    running.stop,
    running.redrive,
    scheduling.schedules,
    looking.history,
    looking.report,
    drifting.profile,
    drifting.drift,
    drifting.simulate,
    running.notebook,
    notebooks.schedule_notebook,
)


class _InOrder(click.Group):
    """Lists the commands in the order in which a person meets them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names as they were added."""
        return list(self.commands)


@click.group(cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mlops-kit")
@shared_options
def cli() -> None:
    """Build, deploy, run and watch ML workflows on AWS Step Functions, or on the embedded AWS."""


for _command in _COMMANDS:
    cli.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit; no traceback for a foreseeable mistake."""
    sys.exit(_run(list(sys.argv[1:] if arguments is None else arguments)))


def _run(arguments: list[str]) -> int:
    try:
        result: Any = cli.main(arguments, prog_name="mlops-kit", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except KitError as error:
        return _fail(str(error), error.exit_status)
    except (KeyboardInterrupt, click.Abort) as error:
        # click makes an Abort of an interrupt, and raises one of its own when a question is answered with no.
        interrupt = error.__cause__ if isinstance(error, click.Abort) else error
        return _fail(str(interrupt or "nothing was changed.") or "interrupted.", 130)
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except Exception as error:
        words = _words(error)
        if words is None:
            raise
        return _fail(words, 1)
    return result if isinstance(result, int) else 0


def _fail(words: str, status: int) -> int:
    click.echo(f"{click.style('Error:', fg='red') if status != 130 else 'Stopped:'} {words}", err=True)
    return status


def _words(error: Exception) -> str | None:
    """The words of an error that AWS gave; ``None`` for a mistake of ours, which keeps its traceback."""
    if not type(error).__module__.startswith("botocore"):
        return None
    return f"AWS refused: {error}"

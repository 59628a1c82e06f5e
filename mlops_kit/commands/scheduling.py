"""``mlops-kit schedules``: what is scheduled; pause, resume, fire; and when an expression would fire."""

from __future__ import annotations

from datetime import datetime

import click

from mlops_kit.commands.options import session, shared_options
from mlops_kit.errors import UsageError


class _WithArgument(click.Group):
    """A group that takes an argument where no command of its own is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read a command's name as such, and anything else as the argument, options before or behind it."""
        named = bool(args) and args[0] in self.commands
        ctx.allow_interspersed_args = not named  # a command's options are its own
        args = ["", *args] if named else args
        return super().parse_args(ctx, args)


@click.group(cls=_WithArgument, invoke_without_command=True)
@click.argument("pipeline", required=False)
@click.option("--next", "count", type=click.IntRange(1), help="How many of the next fires; default 3.")
@click.option("--json", "as_json", is_flag=True, help="As JSON; times are UTC.")
@click.option("--expression", help="Say when this fires instead; asks no server.")
@click.option("--timezone", help="With --expression: an IANA name; default UTC.")
@click.option("--after", metavar="TIME", help="With --expression: UTC unless it says otherwise; default now.")
@shared_options
def schedules(
    pipeline: str | None,
    count: int | None,
    as_json: bool,
    expression: str | None,
    timezone: str | None,
    after: str | None,
) -> None:
    """List what is scheduled, in a pipeline or in all: when it fires next, how the last time went."""
    if click.get_current_context().invoked_subcommand is not None:
        return
    if expression is not None:
        if pipeline is not None:
            raise UsageError("Give a pipeline or --expression, not both.")
        _try(expression, timezone or "UTC", after, 5 if count is None else count, as_json)
        return
    if timezone is not None or after is not None:
        raise UsageError("--timezone and --after go with --expression.")
    import mlops_kit as kit
    from mlops_kit.commands.looking import full_name
    from mlops_kit.commands.output import show

    found = kit.schedules(session(), full_name(pipeline), 3 if count is None else count)
    if as_json:
        click.echo(found.json())
    else:
        show(found)


def _try(expression: str, timezone: str, after: str | None, count: int, as_json: bool) -> None:
    import mlops_kit as kit

    found = kit.occurrences(expression, timezone, after, count)
    click.echo(found.json() if as_json else str(found))


@schedules.command()
@click.argument("name")
@shared_options
def pause(name: str) -> None:
    """Let a schedule fire no more until it is resumed."""
    import mlops_kit as kit

    found = kit.pause(session(), name)
    click.echo(f"{found.name} is paused. Let it go on: mlops-kit schedules resume {found.name}")


@schedules.command()
@click.argument("name")
@shared_options
def resume(name: str) -> None:
    """Let a paused schedule fire again."""
    import mlops_kit as kit

    where = session()
    found = kit.resume(where, name)
    fires = next(found.fires(where.now()), None)
    words = f"next at {_utc(fires)}" if fires else "and is over"
    click.echo(f"{found.name} is on, {words}.")


@schedules.command()
@click.argument("name")
@shared_options
def fire(name: str) -> None:
    """Let a schedule call its target now, with its own input and role."""
    import mlops_kit as kit

    click.echo(
        f"{name} fires at {_utc(kit.fire(session(), name))}; `mlops-kit schedules` says what came of it."
    )


def _utc(when: datetime) -> str:
    from mlops_kit.timetable import utc

    return utc(when)

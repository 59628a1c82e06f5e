"""Options that every command takes, before or after its name; must not import what is heavy."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mlops_kit.settings import Settings

if TYPE_CHECKING:
    from mlops_kit.deploy.aws import Session

F = TypeVar("F", bound=Callable[..., Any])
_KEY = "mlops_kit.options"


def shared_options(function: F) -> F:
    """Add ``--target``, ``--profile``, ``--region`` and ``--endpoint-url``; the innermost given counts."""
    for flags, words in reversed(_OPTIONS):
        function = click.option(*flags, help=words, expose_value=False, callback=_keep, default=None)(
            function
        )
    return function


def settings() -> Settings:
    """Settings from the options, else environment, else file.

    Raises
    ------
    UsageError
        A value that cannot be.
    """
    return Settings.load(**_given())


def session() -> Session:
    """A session on the settings."""
    import mlops_kit as kit

    return kit.session(settings())


def _given() -> dict[str, Any]:
    found: dict[str, Any] = click.get_current_context().find_root().meta.get(_KEY, {})
    return found


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is not None and parameter.name is not None:
        context.find_root().meta.setdefault(_KEY, {})[parameter.name] = value


_OPTIONS = (
    (("--target",), "local (the embedded AWS, the default) or aws."),
    (("--profile",), "Profile of the AWS configuration."),
    (("--region",), "AWS region."),
    (("--endpoint-url",), "Where AWS's services answer."),
)

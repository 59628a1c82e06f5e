"""Settings: frozen, loaded once from arguments, environment and file, then passed on explicitly.

Must not read anything at import, and must not hold a client.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from mlops_kit.errors import UsageError

Target = Literal["local", "aws"]

LOCAL_PORT = 4566
SETTINGS_FILE = "mlops-kit.toml"
_ENVIRONMENT = {
    "target": "MLOPS_KIT_TARGET",
    "region": "MLOPS_KIT_REGION",
    "profile": "MLOPS_KIT_PROFILE",
    "endpoint_url": "MLOPS_KIT_ENDPOINT_URL",
    "project": "MLOPS_KIT_PROJECT",
    "state_dir": "MLOPS_KIT_STATE_DIR",
}


@dataclass(frozen=True)
class Settings:
    """Where the kit works and how it names things.

    Attributes
    ----------
    target : {"local", "aws"}
        The embedded AWS on this machine, or AWS.
    region : str
        AWS region, such as ``eu-central-1``.
    project : str
        Prefix of every stack, endpoint and model package group; 2 to 20 characters, ``[a-z][a-z0-9-]*``.
    profile : str or None
        Named profile of the AWS configuration; only for the target ``aws``.
    endpoint_url : str or None
        Where the services answer. ``None`` means AWS's own endpoints, or the embedded AWS's default port.
    state_dir : pathlib.Path
        Where the embedded AWS keeps its state and the kit its history store.
    """

    target: Target = "local"
    region: str = "eu-central-1"
    project: str = "mlops-kit"
    profile: str | None = None
    endpoint_url: str | None = None
    state_dir: Path = Path(".mlops-kit")

    def __post_init__(self) -> None:
        if self.target not in ("local", "aws"):
            raise UsageError(f"Unknown target {self.target!r}.", suggestion="use 'local' or 'aws'.")
        if not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", self.region):
            raise UsageError(
                f"{self.region!r} is no AWS region.",
                suggestion="name one such as 'eu-central-1' or 'us-east-1'.",
            )
        if not re.fullmatch(r"[a-z][a-z0-9-]{1,19}", self.project) or self.project.endswith("-"):
            raise UsageError(
                f"{self.project!r} cannot be a project's name.",
                suggestion="use 2 to 20 of a-z, 0-9 and '-', beginning with a letter; buckets carry it.",
            )
        if self.endpoint_url is not None and not _names_a_host(self.endpoint_url):
            raise UsageError(
                f"{self.endpoint_url!r} is no endpoint URL.",
                suggestion="write it as http://HOST:PORT or https://HOST, such as http://127.0.0.1:4566.",
            )

    @property
    def url(self) -> str | None:
        """Endpoint of every client, or ``None`` for AWS's own."""
        if self.endpoint_url is None and self.target == "local":
            return f"http://127.0.0.1:{LOCAL_PORT}"
        return self.endpoint_url

    @classmethod
    def load(
        cls, *, file: Path | None = None, environment: Mapping[str, str] | None = None, **arguments: Any
    ) -> Settings:
        """Settings from arguments, else environment, else file, else defaults.

        Parameters
        ----------
        file : pathlib.Path, optional
            A TOML file with a table ``[mlops-kit]``; default ``mlops-kit.toml`` here, if there is one.
        environment : mapping, optional
            Default ``os.environ``; reads ``MLOPS_KIT_TARGET``, ``_REGION``, ``_PROFILE``, ``_ENDPOINT_URL``,
            ``_PROJECT`` and ``_STATE_DIR``.
        **arguments
            Any field; ``None`` counts as not given.

        Raises
        ------
        UsageError
            A field has no such name or no such value.
        """
        environment = os.environ if environment is None else environment
        values = _read_file(file)
        values |= {name: environment[key] for name, key in _ENVIRONMENT.items() if environment.get(key)}
        values |= {name: value for name, value in arguments.items() if value is not None}
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise UsageError(
                f"Unknown setting {unknown[0]!r}.", suggestion=f"use one of {', '.join(sorted(known))}."
            )
        if "state_dir" in values:
            values["state_dir"] = Path(values["state_dir"])
        return cls(**values)


def found_folder(folder: Path) -> Path:
    """A state folder as it is, or one of that name further up; here where there is none.

    A notebook's kernel starts beside its file, and a person may stand in a folder of the project.
    """
    here = Path.cwd()
    return next(
        (one for one in (above / folder for above in (here, *here.parents)) if one.is_dir()), here / folder
    )


def _names_a_host(url: str) -> bool:
    try:
        urlsplit(url).port  # noqa: B018  (a property that refuses what is no port)
    except ValueError:
        return False
    return re.match(r"https?://[^\s/?#:@]+|https?://\[[0-9a-fA-F:]+\]", url) is not None and " " not in url


def _read_file(file: Path | None) -> dict[str, Any]:
    path = file or Path(SETTINGS_FILE)
    if not path.exists():
        if file is None:
            return {}
        raise UsageError(f"No settings file {path}.")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("mlops-kit", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise UsageError(f"{path} is no TOML.", cause=str(error)) from error
    if not isinstance(table, dict):
        raise UsageError(f"{path}: mlops-kit is no table.", suggestion="begin it with the line [mlops-kit].")
    for name, value in table.items():
        if not isinstance(value, str):
            raise UsageError(f"{path}: {name} is no text.", suggestion=f'write {name} = "{value}".')
    return table

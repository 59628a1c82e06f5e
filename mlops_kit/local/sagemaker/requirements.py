"""Check a source folder's requirements.txt against this environment; must not install anything.

SageMaker's framework images run ``pip install -r requirements.txt`` before the script. Jobs of the embedded
AWS share this environment, which no job may change, so what is missing is named instead.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

FILE = "requirements.txt"


class RequirementsError(Exception):
    """A requirement that this environment does not satisfy."""


def check(file: Path, *, seen: frozenset[Path] = frozenset()) -> None:
    """Do nothing when every requirement of a file holds here, or there is no such file.

    Options about where to find packages (``--index-url`` and the like) are passed over; ``-r`` is followed.

    Parameters
    ----------
    file : pathlib.Path
        The requirements file.
    seen : frozenset of pathlib.Path
        Files that include this one.

    Raises
    ------
    RequirementsError
        Names the requirement, what is installed, and what to do.
    """
    if not file.is_file() or file.resolve() in seen:
        return
    for line in file.read_text(errors="replace").replace("\\\n", " ").splitlines():
        text = line.split(" #", 1)[0].strip()
        if not text or text.startswith("#"):
            continue
        if text.startswith(("-r ", "--requirement ")):
            check(file.parent / text.split(None, 1)[1], seen=seen | {file.resolve()})
        elif text.startswith(("-e", "--editable")):
            raise RequirementsError(
                f"{file.name}: {text!r} would install from source, which jobs here cannot."
            )
        elif not text.startswith("-"):
            _check_line(file.name, text.split(" --hash", 1)[0].strip())


def _check_line(file: str, text: str) -> None:
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise RequirementsError(f"{file}: {text!r} is no requirement: {error}") from error
    if requirement.marker is not None and not requirement.marker.evaluate():
        return
    try:
        installed = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        installed = None
    if installed is None or not requirement.specifier.contains(installed, prereleases=True):
        has = f"has {requirement.name} {installed}" if installed else "does not have it"
        raise RequirementsError(
            f"{file} requires {text!r}, but this environment {has}. Jobs of the embedded AWS run in the "
            f"environment of the server and install nothing: pip install {str(requirement)!r} there, or "
            "run the job on AWS."
        )

"""Lay the source of a script-mode job or model into its folder; must not run it."""

from __future__ import annotations

import shutil
from pathlib import Path

from mlops_kit.local.sagemaker import archives, requirements
from mlops_kit.local.sagemaker.transfer import DataError, Location, Transfer


class SourceError(Exception):
    """The source cannot be laid out; the text says why."""


def fetch(uri: str, code: Path, transfer: Transfer) -> None:
    """Put what a ``sagemaker_submit_directory`` names into ``code`` and check its requirements.

    Parameters
    ----------
    uri : str
        ``s3://.../sourcedir.tar.gz``, or a folder, archive or file of the job's own folder.
    code : pathlib.Path
        The folder to fill.
    transfer : Transfer
        To S3.

    Raises
    ------
    SourceError
        It does not exist, is no archive, or has a requirement that this environment does not satisfy.
    """
    code.mkdir(parents=True, exist_ok=True)
    try:
        if uri.startswith("s3://"):
            archive = code.parent / "sourcedir.tar.gz"
            transfer.get(Location.of(uri), archive)
            archives.unpack(archive, code)
        else:
            _copy(Path(uri), code)
        requirements.check(code / requirements.FILE)
    except (DataError, archives.ArchiveError, requirements.RequirementsError) as error:
        raise SourceError(str(error)) from error


def _copy(source: Path, code: Path) -> None:
    if source.is_dir():
        if source != code:
            shutil.copytree(source, code, dirs_exist_ok=True)
    elif source.name.endswith(".tar.gz") and source.is_file():
        archives.unpack(source, code)
    elif source.is_file():
        shutil.copy2(source, code)
    else:
        raise SourceError(f"The source {source} does not exist.")

"""Lay a model out for a serving or a transforming process; must not start it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_kit.local.sagemaker import archives, local_paths, requirements, sources
from mlops_kit.local.sagemaker.local_paths import BASE_VARIABLE
from mlops_kit.local.sagemaker.transfer import DataError, Location, Transfer

_PROGRAM = "inference.py"  # where SAGEMAKER_PROGRAM names no other


class ModelError(Exception):
    """A model cannot be laid out; the text is fit for a FailureReason."""


@dataclass(frozen=True)
class LaidOut:
    """A model ready to be loaded.

    Attributes
    ----------
    program : str
        File name of the user's module.
    code, model : pathlib.Path
        Their folders.
    env : mapping
        Variables of the container.
    """

    program: str
    code: Path
    model: Path
    env: dict[str, str]

    def command(self, module: str, argument: Path) -> list[str]:
        """Command that runs one of our modules on it; ``argument`` is what it needs beyond the model."""
        run = [sys.executable, "-P", "-m", f"mlops_kit.local.sagemaker.{module}"]
        return [*run, self.program, str(self.code), str(self.model), str(argument)]


def lay_out(container: dict[str, Any], base: Path, region: str, transfer: Transfer) -> LaidOut:
    """Download and unpack a container's model and source below ``base``, which stands for ``/opt/ml``.

    Raises
    ------
    ModelError
        Data or source are missing, damaged, or need what this environment lacks.
    """
    model = base / "model"
    model.mkdir(parents=True, exist_ok=True)
    env = local_paths.localise_all(container.get("Environment", {}), base)
    source = env.get("SAGEMAKER_SUBMIT_DIRECTORY", "")
    code = base / "code" if source.startswith("s3://") else Path(source or model / "code")
    try:
        if uri := container.get("ModelDataUrl"):
            transfer.get(Location.of(uri), base / "model.tar.gz")
            archives.unpack(base / "model.tar.gz", model)
            (base / "model.tar.gz").unlink()
        if source.startswith("s3://"):
            sources.fetch(source, code, transfer)
        requirements.check(code / requirements.FILE)
    except (DataError, archives.ArchiveError, sources.SourceError, requirements.RequirementsError) as error:
        raise ModelError(str(error)) from error
    own = {
        BASE_VARIABLE: str(base),
        "SAGEMAKER_REGION": region,
        "SM_MODEL_DIR": str(model),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return LaidOut(env.get("SAGEMAKER_PROGRAM", _PROGRAM), code, model, {**own, **env})

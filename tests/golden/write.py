"""Emitted definitions, kept to be read in a diff; to write them anew: ``python -m tests.golden.write``."""

from __future__ import annotations

import json
from pathlib import Path

from mlops_kit.pipeline import Pipeline
from mlops_kit.settings import Settings
from pipelines import retraining

FOLDER = Path(__file__).parent
PIPELINES = {"retraining-demand": lambda: retraining.build(Settings())}


def text(pipeline: Pipeline) -> str:
    """A definition as JSON, the digests of sources left out: they change with every line of a script."""
    body = json.dumps(dict(pipeline.definition), indent=2) + "\n"
    for artifact in pipeline.artifacts:
        body = body.replace(artifact.digest, "0" * 16)
    return body


if __name__ == "__main__":
    for name, build in PIPELINES.items():
        (FOLDER / f"{name}.asl.json").write_text(text(build()))

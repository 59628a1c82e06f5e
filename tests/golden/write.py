"""Emitted definitions, kept to be read in a diff; to write them anew: ``python -m tests.golden.write``."""

from __future__ import annotations

import json
from pathlib import Path

from mlops_kit import catalog
from mlops_kit.pipeline import Pipeline
from mlops_kit.settings import Settings

FOLDER = Path(__file__).parent


def text(pipeline: Pipeline) -> str:
    """A definition as JSON, the digests of sources left out: they change with every line of a script."""
    body = json.dumps(dict(pipeline.definition), indent=2) + "\n"
    for artifact in pipeline.artifacts:
        body = body.replace(artifact.digest, "0" * 16)
    return body


if __name__ == "__main__":
    for entry in catalog.entries():
        pipeline = catalog.build(Settings(), entry.name)
        (FOLDER / f"{pipeline.name}.asl.json").write_text(text(pipeline))

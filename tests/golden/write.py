"""Emitted definitions, kept to be read in a diff; to write them anew: ``python -m tests.golden.write``."""

from __future__ import annotations

import json
from pathlib import Path

from mlops_kit.pipeline import Pipeline
from mlops_kit.settings import Settings
from pipelines import cache_warmup, data_quality, drift_monitor, forecast, retraining

FOLDER = Path(__file__).parent
MODULES = (cache_warmup, data_quality, drift_monitor, forecast, retraining)
PIPELINES = {pipeline.name: pipeline for pipeline in (module.build(Settings()) for module in MODULES)}


def text(pipeline: Pipeline) -> str:
    """A definition as JSON, the digests of sources left out: they change with every line of a script."""
    body = json.dumps(dict(pipeline.definition), indent=2) + "\n"
    for artifact in pipeline.artifacts:
        body = body.replace(artifact.digest, "0" * 16)
    return body


if __name__ == "__main__":
    for name, pipeline in PIPELINES.items():
        (FOLDER / f"{name}.asl.json").write_text(text(pipeline))

"""Building the retraining pipeline, SDK import included: definition, lint, policies and template."""

from __future__ import annotations

from benchmarks.measure import HERE, run, table

CODE = """
from mlops_kit.settings import Settings
from pipelines import retraining
from mlops_kit.build import lint, template
settings = Settings()
pipeline = retraining.build(settings, model="demand")
lint.lint(pipeline)
template.build(settings, pipeline)
"""


def main() -> str:
    """A table beside the floor: importing the two SDKs."""
    python = str(HERE / "python")
    floor = run([python, "-W", "ignore", "-c", "import stepfunctions.steps, sagemaker"], times=3)
    ours = run([python, "-W", "ignore", "-c", CODE], times=3)
    rows = [
        ("import stepfunctions, sagemaker (floor)", floor.seconds, 1.0, floor.megabytes),
        ("build, lint, policies and template", ours.seconds, ours.seconds / floor.seconds, ours.megabytes),
    ]
    return table("Build of the retraining pipeline", ("process", "seconds", "ratio", "peak MB"), rows)

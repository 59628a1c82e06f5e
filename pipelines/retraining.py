"""The retraining of a model: data, training, judgement, deployment and news, as one workflow.

Pure: names no account and no region, and nothing that a job imports. Every state takes and gives one object,
so that what a state was entered with is all that it needs to be entered again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlops_kit.artifacts import Artifact
from mlops_kit.build import sagemaker_steps, steps
from mlops_kit.pipeline import Function, GlueJob, Pipeline
from mlops_kit.settings import Settings
from pipelines import models
from pipelines.models.spec import ROOT, ModelSpec
from pipelines.parts import claim, deployment, naming, notices, window

TIMEOUT = 4 * 3600  # seconds; also the life of a claim
FRAMEWORK = "1.2-1"  # scikit-learn image that exists for training and for inference
_FEATURES = (("pipelines/__init__.py", ROOT / "__init__.py"), ("pipelines/features", ROOT / "features"))
_ROLE = "${SageMakerRole}"
_SAGEMAKER = (steps.SAGEMAKER_BUSY, steps.JOB_FAILED)
_IN = "$states.input"


def build(
    settings: Settings, model: str = "demand", thresholds: Mapping[str, float] | None = None
) -> Pipeline:
    """The retraining of one model.

    Parameters
    ----------
    settings : Settings
        Gives project and region.
    model : str
        Which model.
    thresholds : mapping of str to float, optional
        Replaces thresholds of the model.

    Raises
    ------
    UsageError
        There is no such model or threshold, or a threshold is no number of 0 or more.
    """
    spec = models.find(model).with_thresholds(thresholds)
    plan = _Plan(settings, spec)
    definition, resumable = plan.definition()
    return Pipeline(
        name=plan.name,
        description=f"Retrains, judges and deploys the model {spec.name}: {spec.description}.",
        definition=definition,
        input_schema=window.input_schema(spec.thresholds, resumable),
        model=spec.name,
        functions=(_evaluate_model(),),
        jobs=(_prepare_training_data(spec.name),),
        artifacts=(plan.source, plan.scoring),
        data=(spec.data,),
        reads=("prepared/", "models/"),
        writes=("models/", "metrics/"),
    )


def _evaluate_model() -> Function:
    code = Artifact(
        "evaluate_model", "zip", (("evaluate_model.py", ROOT / "functions" / "evaluate_model.py"),)
    )
    return Function("EvaluateModel", "evaluate_model.handler", code, reads=("metrics/",))


def _prepare_training_data(model: str) -> GlueJob:
    script = ROOT / "jobs" / "prepare_training_data.py"
    return GlueJob(
        "PrepareTrainingData",
        Artifact("prepare_training_data", "file", ((script.name, script),)),
        modules=(Artifact("features", "wheel", _FEATURES),),
        reads=("raw/",),
        writes=(f"prepared/{model}/",),
    )


@dataclass(frozen=True)
class _Plan:
    """The workflow's states, each in one method; ``definition`` links them."""

    settings: Settings
    spec: ModelSpec
    failed: steps.State = field(default_factory=lambda: steps.fail(
        "RetrainingFailed", f"{{% {_IN}.failure.error %}}", f"{{% {_IN}.failure.state & ': ' & {_IN}.failure.cause %}}"
    ))

    @property
    def name(self) -> str:
        return f"retraining-{self.spec.name}"

    @property
    def own(self) -> str:
        """Name of the endpoint and of the model package group."""
        return f"{self.settings.project}-{self.spec.name}"

    @property
    def source(self) -> Artifact:
        jobs = ROOT / "jobs"
        files = (("train.py", jobs / "train.py"), ("inference.py", jobs / "inference.py"), *_FEATURES)
        return Artifact("model_source", "tar.gz", files)

    @property
    def scoring(self) -> Artifact:
        return Artifact(
            "score_models", "zip", (("__main__.py", ROOT / "jobs" / "score_models.py"), *_FEATURES)
        )

"""What ``import mlops_kit as kit`` shows of a model's drift: a function a verb; no work of its own."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from mlops_kit.errors import KitError, UsageError
from mlops_kit.pipeline import Pipeline
from mlops_kit.trigger import DriftRule

if TYPE_CHECKING:
    from mlops_kit.deploy.aws import Session
    from mlops_kit.drift.simulate import Simulation
    from mlops_kit.observe.drift import Watched


def watched(session: Session, pipeline: Pipeline) -> Watched:
    """What the drift monitor has found of a pipeline's model.

    Raises
    ------
    UsageError
        The pipeline has no model.
    KitError
        The monitor has measured no window yet.
    """
    from mlops_kit.deploy.stack import outputs
    from mlops_kit.observe.drift import read

    model = _model(pipeline)
    bucket = outputs(session, f"{session.settings.project}-foundation").get("DataBucket")
    found = read(session.client("s3"), bucket, model) if bucket else None
    if found is None or not found.results:
        raise KitError(
            f"The drift of {model} was not measured on the {session.where} yet.",
            suggestion=f"mlops-kit apply drift-monitor:{model}; mlops-kit run drift-monitor:{model}",
        )
    return found


def simulate(
    pipeline: Pipeline,
    start: str,
    end: str,
    rules: Iterable[DriftRule | str] | None = None,
    *,
    schedules: bool = True,
) -> Simulation:
    """Replay the pipeline's data through time: which window would have fired which rule, and to what end.

    Parameters
    ----------
    pipeline : Pipeline
        One that names its replay.
    start, end : str
        Days, ``yyyy-mm-dd``; the first champion is trained as of the start.
    rules : iterable of DriftRule or str, optional
        Default the pipeline's own; a text reads ``bias>0.15 windows=2 cooldown=14``.
    schedules : bool
        Whether the pipeline's schedules start it too.

    Raises
    ------
    UsageError
        The pipeline has no replay; there is neither a rule nor a schedule; a rule or a day cannot be used.
    """
    from mlops_kit.build.drift_rules import check
    from mlops_kit.drift.simulate import Plan, parse
    from mlops_kit.drift.simulate import simulate as run

    model, replay = _model(pipeline), _replay(pipeline)
    given = pipeline.drift_rules if rules is None else tuple(rules)
    chosen = tuple(parse(one) if isinstance(one, str) else one for one in given)
    for rule in chosen:
        check(rule, model)
    fired = tuple(one for one in pipeline.schedules if one.target is None) if schedules else ()
    if not (chosen or fired):
        raise UsageError(
            f"Nothing would start {pipeline.name}: it has neither a drift rule nor a schedule.",
            suggestion="give one: --rule 'bias>0.15 windows=2'.",
        )
    plan = Plan(model, _day(start), _day(end), chosen, fired, replay.days, replay.limits)
    return run(replay, plan)


def _model(pipeline: Pipeline) -> str:
    if pipeline.model is None:
        raise UsageError(f"The pipeline {pipeline.name} trains no model.")
    return pipeline.model


def _replay(pipeline: Pipeline) -> Any:
    if pipeline.replay is None:
        raise UsageError(
            f"The pipeline {pipeline.name} cannot be replayed.",
            suggestion="name a function that gives a Replay as its field replay, as retraining does.",
        )
    module, _, name = pipeline.replay.partition(":")
    return getattr(importlib.import_module(module), name)()


def _day(text: str) -> str:
    from datetime import date

    try:
        return date.fromisoformat(str(text)).isoformat()
    except ValueError:
        raise UsageError(f"{text!r} is no day.", suggestion="write it as 2011-07-01.") from None

"""What ``import mlops_kit as kit`` shows of a model's drift: a function a verb; no work of its own."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from mlops_kit.errors import KitError, UsageError
from mlops_kit.pipeline import Pipeline
from mlops_kit.trigger import DriftRule

if TYPE_CHECKING:
    from mlops_kit.deploy.aws import Session
    from mlops_kit.drift.simulate import Simulation
    from mlops_kit.observe.charts import Chart
    from mlops_kit.observe.drift import Watched
    from mlops_kit.runs import Run


def watched(session: Session, pipeline: Pipeline) -> Watched:
    """What the drift monitor has found of a pipeline's model.

    Raises
    ------
    UsageError
        The pipeline has no model.
    KitError
        The monitor has measured no window yet; says why.
    """
    from mlops_kit.deploy.stack import outputs
    from mlops_kit.observe.drift import read

    model = _model(pipeline)
    bucket = outputs(session, f"{session.settings.project}-foundation").get("DataBucket")
    found = read(session.client("s3"), bucket, model) if bucket else None
    if found is None or not found.results:
        raise _unmeasured(session, model)
    return found


def _unmeasured(session: Session, model: str) -> KitError:
    """Why nothing is kept: its monitor never ran, ran without a champion, or did not succeed."""
    from mlops_kit.public_runs import latest

    words, again = f"The drift of {model} was not measured", f"mlops-kit run drift-monitor:{model}"
    run = latest(session, f"drift-monitor-{model}")
    if run is None:
        return KitError(
            f"{words} on the {session.where} yet.",
            suggestion=f"mlops-kit apply drift-monitor:{model}; {again}",
        )
    if run.status == "SUCCEEDED":
        return KitError(
            f"{words}: its monitor ran ({run.name}), but there is no champion.",
            suggestion=f"make one: mlops-kit run retraining:{model}; then {again}",
        )
    return KitError(
        f"{words} yet: the newest run of its monitor ({run.name}) is {run.status}.",
        suggestion=f"mlops-kit history drift-monitor-{model}",
    )


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
        Default the pipeline's own; a text reads ``bias>0.15 windows=2 cooldown=14``. Without any, and without
        schedules, the first champion stays.
    schedules : bool
        Whether the pipeline's schedules start it too.

    Raises
    ------
    UsageError
        The pipeline has no replay, or nothing of its own that starts it; a rule or a day cannot be used.
    """
    from mlops_kit.build.drift_rules import check
    from mlops_kit.drift.simulate import Plan, parse
    from mlops_kit.drift.simulate import simulate as run

    model, replay = _model(pipeline), _replay(pipeline)
    given = pipeline.drift_rules if rules is None else tuple(rules)
    chosen = tuple(parse(one) if isinstance(one, str) else one for one in given)
    for rule in chosen:
        check(rule, pipeline)
    fired = tuple(one for one in pipeline.schedules if one.target is None) if schedules else ()
    if rules is None and not (chosen or fired):
        raise UsageError(
            f"Nothing would start {pipeline.name}: it has neither a drift rule nor a schedule.",
            suggestion="give one: --rule 'bias>0.15 windows=2'.",
        )
    plan = Plan(model, _day(start), _day(end), chosen, fired, replay.days, replay.limits)
    return run(replay, plan)


def drift_chart(simulation: Simulation, statistic: str = "psi", limit: float | None = 0.2) -> Chart:
    """A statistic of every feature over a simulation's windows; what is above the limit has a frame."""
    from mlops_kit.observe.charts_drift import heat_map

    return heat_map([window for _, window in simulation.windows], statistic, limit)


def error_chart(simulation: Simulation, bias_limit: float | None = 0.15) -> Chart:
    """WAPE beside the naive forecast's, and bias, over a simulation's windows, with its retrainings."""
    from mlops_kit.observe.charts_drift import errors

    return errors([window for _, window in simulation.windows], simulation.retrainings, bias_limit)


def then_and_now(pipeline: Pipeline, trained: str, end: str, features: Sequence[str]) -> Chart:
    """Features of a retraining's data beside those of a later window, a panel each.

    Parameters
    ----------
    pipeline : Pipeline
        One that names its replay.
    trained, end : str
        Days, ``yyyy-mm-dd``: as of which the model is trained, and at which the window ends.
    features : sequence of str
        Names.

    Raises
    ------
    UsageError
        The pipeline has no replay; a day is none, or outside the data; there is no such feature.
    """
    from mlops_kit.observe.charts_drift import then_and_now as draw

    replay, end = _replay(pipeline), _day(end)
    begin = _before(end, replay.days)
    reference, window = replay.profiles(replay.train(_day(trained)), begin, end)
    if unknown := [name for name in features if name not in reference.features]:
        known = ", ".join(reference.features)
        raise UsageError(f"{pipeline.model} has no feature {unknown[0]!r}.", suggestion=f"it has {known}.")
    return draw(reference, window, features, f"{begin} to {end}")


def follow(
    session: Session, pipeline: Pipeline, rule: DriftRule, monitored: Run, patience: float = 60.0
) -> Run | None:
    """The run that a drift rule starts on what its monitor has just found, told until it has ended.

    Parameters
    ----------
    session : Session
        Where.
    pipeline : Pipeline
        That the rule starts.
    rule : DriftRule
        One of it, applied.
    monitored : Run
        Of the drift monitor, ended.
    patience : float
        Seconds within which it must have begun.

    Returns
    -------
    Run or None
        ``None`` where the rule asks for more than the monitor found.

    Raises
    ------
    KitError
        The monitor measured nothing; or the rule's pattern holds, and it started nothing.
    """
    from mlops_kit import execute
    from mlops_kit.build.drift_rules import KIND, rule_name
    from mlops_kit.drift.windows import fires
    from mlops_kit.public_runs import stack_name, state_machine, watch

    said = (monitored.output or {}).get("drift")
    if said is None:
        raise KitError(f"{monitored.name} measured no window: {monitored.status}.")
    if not fires(rule, said):
        return None
    name = rule_name(stack_name(session, pipeline), rule)
    wanted = {"as_of": said["as_of"], "trigger": {"kind": KIND, "name": name}}
    machine, since = state_machine(session, pipeline.name), monitored.execution.started
    arn = execute.await_start(session, machine, wanted, since, patience)
    if arn is None:
        raise KitError(
            f"The rule {name} should have started {pipeline.name}, and has not in {patience:g} seconds.",
            suggestion=f"is it applied? mlops-kit plan {pipeline.name}; and look at its dead-letter queue.",
        )
    return watch(session, arn)


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


def _before(day: str, days: int) -> str:
    from datetime import date, timedelta

    return (date.fromisoformat(day) - timedelta(days=days)).isoformat()


def _day(text: str) -> str:
    from datetime import date

    try:
        return date.fromisoformat(str(text)).isoformat()
    except ValueError:
        raise UsageError(f"{text!r} is no day.", suggestion="write it as 2011-07-01.") from None

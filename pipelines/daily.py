"""What the daily workflows share: the day in their input, the verdict on its data, the way of a failure.

Must not know what one of them does. Data flow: every state's output is its input and what it added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlops_kit.build import steps
from mlops_kit.build.foundation import TAG_PIPELINE, TAG_PROJECT
from mlops_kit.build.policy import names as tag_list
from mlops_kit.build.steps import Call, State
from mlops_kit.settings import Settings
from pipelines import expressions as x
from pipelines import retraining

ROUTINE, CRITICAL = "${RoutineTopic}", "${CriticalTopic}"
FORCE = {"type": "boolean", "description": "Forecast although the day's data are not fit."}


def input_schema(as_of: str, **further: Mapping[str, Any]) -> dict[str, Any]:
    """Schema of an input with a day and a trigger.

    Parameters
    ----------
    as_of : str
        What the day is to the pipeline.
    **further : mapping
        Schemas of further members.
    """
    day = {
        "type": "string",
        "pattern": x.MOMENT_PATTERN,
        "description": f"{as_of}, such as 2011-07-01; default the day of its start.",
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "additionalProperties": False,
        "properties": {"as_of": day, "trigger": retraining.TRIGGER, **further},
    }


def entrance(first: State, tell: State, members: Mapping[str, str]) -> State:
    """CheckInput, then ComputeDay: ``as_of`` is a UTC day from then on, ``run`` is this execution's own.

    Parameters
    ----------
    first : State
        What follows.
    tell : State
        Where a wrong input leads.
    members : mapping of str to str
        Further members as JSONata; it may use ``$day`` and ``$run``.
    """
    body = "".join(f", '{name}': {value}" for name, value in members.items())
    compute = (
        "{% ("
        "$day := $substring($exists($states.input.as_of) ? $states.input.as_of"
        " : $states.context.Execution.StartTime, 0, 10);"
        " $run := $substring($hash($states.context.Execution.Id, 'SHA-256'), 0, 16);"
        f" $merge([$states.input, {{'as_of': $day, 'run': $run{body}}}])) %}}"
    )
    day = steps.pass_("ComputeDay", compute)
    day.next(first)
    wrong = [(condition, tell, output) for condition, output in x.mistakes(("as_of",))]
    return steps.choice("CheckInput", wrong, day)


def resumable(first: State, work: Sequence[State]) -> State:
    """ResumeFrom: what `mlops-kit redrive` starts begins at the state that failed, with the data that it had.

    Parameters
    ----------
    first : State
        Where every other execution begins.
    work : sequence of State
        At which it may begin.
    """
    names = [state.state_id for state in work]
    unknown = steps.fail("UnknownState", "UnknownState", x.unknown_state(names))
    at = steps.choice("ResumeAt", [(x.resumes_at(state.state_id), state) for state in work], unknown)
    unheard = x.resumes_at_none_of(names)
    return steps.choice("ResumeFrom", [(unheard, unknown), (x.RESUMES, at, x.RESUMED)], first)


def resume_schema(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Schema of the input's ``resume`` for a workflow that is `resumable`."""
    states = [rule["Next"] for rule in definition["States"]["ResumeAt"]["Choices"]]
    return retraining.resume_schema(states, ("as_of", "run"))


def failure_path(region: str, model: str, what: str, end: str) -> State:
    """NotifyFailure: tells the critical topic, then fails as what failed.

    Parameters
    ----------
    region : str
        Decides the partition.
    model : str
        Name of the model.
    what : str
        What failed, such as ``forecast``.
    end : str
        Name of the Fail state.
    """
    words = (f"{model}: {what} failed", x.failed(f"{what} of {model}"))
    tell = notify(region, "NotifyFailure", CRITICAL, *words)
    failed = steps.fail(end, x.FAILURE_ERROR, x.FAILURE_CAUSE)
    tell.next(failed)
    steps.catch([tell], failed, x.KEEP)
    return tell


def notify(region: str, name: str, topic: str, subject: str, message: str) -> State:
    """A state that tells a topic."""
    arguments = {"TopicArn": topic, "Subject": subject, "Message": message}
    return steps.task(name, region, "sns:publish", arguments, Call(30, (steps.SNS,)), x.KEEP)


def lead_failures(states: Sequence[State], target: State) -> None:
    """Let every error of these states lead to another, with what failed under ``failure``."""
    for state in states:
        steps.catch([state], target, x.failure(state.state_id))


def verdict_key(model: str) -> dict[str, Any]:
    """Key of the verdict on a day's data, in the lock table."""
    return {"pk": {"S": f"{{% 'data-quality#{model}#' & $states.input.as_of %}}"}}


def tags(settings: Settings, pipeline: str) -> list[dict[str, str]]:
    """Tags of what a pipeline declares itself, such as a table: those of all that its stack makes."""
    return tag_list({TAG_PROJECT: settings.project, TAG_PIPELINE: pipeline})

"""JSONata of the retraining workflow: the one place for its names, dates and texts; must not build states.

Functions and variables: Step Functions Developer Guide, "Transforming data with JSONata in Step Functions".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.models.spec import ModelSpec

DAY = 86_400_000  # milliseconds
TIMEOUT = 4 * 3600  # seconds of an execution; also the life of a claim
TTL = 90 * 86_400  # seconds after which DynamoDB may forget an item; the window has long ended then

EXECUTION = "{% $states.context.Execution.Id %}"
NOW = "{% $string($floor($millis() / 1000)) %}"
KEEP = "{% $states.input %}"
RESUMES = "{% $exists($states.input.resume) %}"
HAS_CHAMPION = "{% $exists($states.input.champion) %}"
PROMOTED = "{% $states.input.evaluation.verdict = 'promote' %}"

# Absent, expired, or ours already (a retry, or a redrive of this execution): a done item has no expires_at.
# Forced: any item will do. AWS refuses expression values that an expression does not use.
_CLAIM_CONDITION = "attribute_not_exists(pk) OR expires_at < :now OR #owner = :me"
_RECLAIM_CONDITION = " OR (#owner = :before AND #status = :claimed)"

# Days that the calendar has: so the schema refuses the others, too, before anything starts.
_LEAP = r"(\d\d(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)"
_IN_MONTH = r"((0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)"
_DATE = rf"(\d{{4}}-{_IN_MONTH}|{_LEAP}-02-29)"
DAY_PATTERN = f"^{_DATE}$"
MOMENT_PATTERN = rf"^{_DATE}(T([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d+)?)?Z)?$"


_AS_OF = (
    "$substring($exists($states.input.as_of) ? $states.input.as_of"
    " : $states.context.Execution.StartTime, 0, 10)"
)
_END = f"$exists($states.input.train_end) ? $states.input.train_end : {_AS_OF}"  # of the training window


def of(name: str) -> str:
    """A member of the state's input."""
    return f"{{% $states.input.{name} %}}"


def adding(**members: str) -> str:
    """Output: the input and further members, each given as JSONata; one that is nothing is left out."""
    body = ", ".join(f"'{name}': {expression}" for name, expression in members.items())
    return f"{{% $merge([$states.input, {{{body}}}]) %}}"


def job_name(project: str, model: str) -> str:
    """A name for what one try creates: another at each retry, redrive and resumption; at most 63 characters.

    An execution's own name does not do: EventBridge's is 73 characters long.
    """
    unique = (
        "$states.context.Execution.Id & '/' & $string($states.context.Execution.RedriveCount)"
        " & '/' & $states.context.State.Name & '/' & $string($states.context.State.RetryCount)"
    )
    return f"{{% '{project}-{model}-' & $substring($hash({unique}, 'SHA-256'), 0, 20) %}}"


def tags(project: str, model: str, pipeline: str = "retraining") -> dict[str, str]:
    """Tags of what an execution makes: for the bill, and for finding it again."""
    return {
        "mlops-kit:project": project,
        "mlops-kit:pipeline": f"{pipeline}-{model}",
        "mlops-kit:execution": "{% $states.context.Execution.Name %}",
    }


def data_uri(path: str) -> str:
    """A place under the run's prefix in the data bucket."""
    return f"{{% 's3://${{DataBucket}}/' & $states.input.prefix & '{path}' %}}"


def window(spec: ModelSpec) -> str:
    """The window that every trigger's way passes through: from ``as_of`` to lock, dates and prefix.

    The lock's key holds the UTC ISO week of ``as_of``; the training window ends at ``as_of`` and is
    ``spec.train_days`` long, unless the input gives its ends.
    """
    return (
        "{% ("
        f"$as_of := {_AS_OF};"
        " $day := $toMillis($as_of);"
        " $week := $fromMillis($day, '[X0001]-W[W01]');"
        f" $end := {_END};"
        " $start := $exists($states.input.train_start) ? $substring($states.input.train_start, 0, 10)"
        f" : $fromMillis($toMillis($end) - {spec.train_days * DAY}, '[Y0001]-[M01]-[D01]');"
        " $run := $substring($hash($states.context.Execution.Id, 'SHA-256'), 0, 16);"
        " $merge([$states.input, {"
        f"'model': '{spec.name}', 'as_of': $as_of, 'force': $states.input.force = true, 'window': $week,"
        f" 'lock': '{spec.name}#' & $week, 'train_start': $start, 'train_end': $end,"
        f" 'prefix': 'retraining/{spec.name}/' & $as_of & '/' & $run"
        "}])) %}"
    )


def claim(data: str) -> dict[str, Any]:
    """Arguments of the ``PutItem`` that claims a window, if no other execution holds it or has done it.

    Parameters
    ----------
    data : str
        JSONata, without its marks, of what ``window`` gave.
    """
    seconds = "$floor($millis() / 1000)"
    return {
        "TableName": "${LockTable}",
        "Item": {
            "pk": {"S": f"{{% {data}.lock %}}"},
            "owner": {"S": EXECUTION},
            "status": {"S": "claimed"},
            "forced": {"BOOL": f"{{% {data}.force = true %}}"},
            "expires_at": {"N": f"{{% $string({seconds} + {TIMEOUT}) %}}"},
            "ttl": {"N": f"{{% $string({seconds} + {TTL}) %}}"},
        },
        "ConditionExpression": (
            f"{{% '{_CLAIM_CONDITION}' & ({data}.force = true ? ' OR attribute_exists(pk)' : '') %}}"
        ),
        "ExpressionAttributeNames": {"#owner": "owner"},
        "ExpressionAttributeValues": {":now": {"N": NOW}, ":me": {"S": EXECUTION}},
    }


def reclaim() -> dict[str, Any]:
    """Arguments of the ``PutItem`` of an execution that takes up another's work: it may take its claim too.

    The other has ended; whether its claim is deleted yet does not matter then.
    """
    arguments = claim("$states.input.resume.data")
    condition = arguments["ConditionExpression"].removeprefix("{% ").removesuffix(" %}")
    before = "$states.input.resume.execution"
    arguments["ConditionExpression"] = f"{{% {condition} & '{_RECLAIM_CONDITION}' %}}"
    arguments["ExpressionAttributeNames"] = {"#owner": "owner", "#status": "status"}
    arguments["ExpressionAttributeValues"] |= {
        ":before": {"S": f"{{% $exists({before}) ? {before} : $states.context.Execution.Id %}}"},
        ":claimed": {"S": "claimed"},
    }
    return arguments


RESUMED = (
    "{% $merge([$states.input.resume.data, "
    "{'resume': $sift($states.input.resume, function($v, $k) {$k != 'data'})}]) %}"
)


def resumes_at_none_of(states: Sequence[str]) -> str:
    """Whether the input asks to begin at a state that there is not."""
    names = ", ".join(f"'{state}'" for state in states)
    return f"{{% $exists($states.input.resume) and $not($states.input.resume.state in [{names}]) %}}"


def unknown_state(states: Sequence[str]) -> str:
    """Words for that, with the states that there are."""
    names = ", ".join(states)
    return (
        f"{{% 'No execution can begin at ' & $string($states.input.resume.state) & '; use one of {names}' %}}"
    )


def mistakes(days: Sequence[str] = ("as_of", "train_start", "train_end")) -> list[tuple[str, str]]:
    """What a trigger can have got wrong: conditions, each with an output that says so under ``failure``.

    EventBridge, Scheduler and the console start executions without asking the kit, whose schema says so too.

    Parameters
    ----------
    days : sequence of str
        Members of the input that are days; ``as_of`` may be a moment.
    """
    found = []
    for name in days:
        value, form = f"$states.input.{name}", MOMENT_PATTERN if name == "as_of" else DAY_PATTERN
        valid = f"$type({value}) = 'string' ? $contains({value}, /{form}/) : false"
        condition = f"{{% $exists({value}) and $not({valid}) %}}"
        hint = "a UTC day such as 2011-07-01" + (" or 2011-07-01T03:00:00Z" if name == "as_of" else "")
        found.append((condition, _mistake(f"'{name} is ' & $string({value}) & ': give {hint}'")))
    if not {"train_start", "train_end"} <= set(days):
        return found
    start, end = "$states.input.train_start", f"({_END})"
    order = f"{{% $exists({start}) and {start} >= {end} %}}"
    found.append((order, _mistake(f"'the window ends (' & {end} & ') before it starts (' & {start} & ')'")))
    return found


def _mistake(words: str) -> str:
    return adding(failure=f"{{'state': 'CheckInput', 'error': 'BadInput', 'cause': {words}}}")


def resumes_at(state: str) -> str:
    """Whether the input asks to begin at this state."""
    return f"{{% $states.input.resume.state = '{state}' %}}"


def passed(thresholds: Mapping[str, float]) -> str:
    """Whether the metrics keep the absolute limit, and are not worse than the champion's by too much."""
    checks = "$states.input.evaluation.checks"
    return (
        f"{{% {checks}.wape <= {thresholds['wape']!r} and {checks}.worse_by <= {thresholds['worse_by']!r} %}}"
    )


def with_champion_if_any(inputs: Sequence[Mapping[str, Any]]) -> str:
    """A processing job's inputs as one expression: the champion's is left out where there is none."""
    body = ", ".join(_literal(each) for each in inputs if each["InputName"] != "champion")
    champion = next(_literal(each) for each in inputs if each["InputName"] == "champion")
    return f"{{% $exists($states.input.champion_data) ? [{body}, {champion}] : [{body}] %}}"


def _literal(value: Any) -> str:
    """A JSON value as JSONata, expressions within it unwrapped."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"'{key}': {_literal(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, str) and value.startswith("{%"):
        return value[2:-2].strip()
    return "'" + value + "'" if isinstance(value, str) else json.dumps(value)


def failure(state: str) -> str:
    """Output of a Catch: the data, and which state failed with what."""
    return (
        "{% $merge([$states.input, {'failure': {"
        f"'state': '{state}', 'error': $states.errorOutput.Error,"
        " 'cause': $states.errorOutput.Cause}}]) %}"
    )


FAILURE_ERROR = "{% $states.input.failure.error %}"
# A failed job's cause is its whole description as JSON text; these members say why. (JSONata's reader counts
# brackets even within a regular expression, but for one after a backslash: so none stands there.)
_REASON = r'/"(?:FailureReason|ErrorMessage|errorMessage|ExitMessage)": *"((?:\\.|[^\\"])+)"/'
CAUSE = (
    "($cause := $states.input.failure.cause;"
    f" $found := $match($cause, {_REASON}, 1);"
    " $exists($found) ? $replace($replace($found.groups[0], '\\\\n', '\\n'), '\\\\\"', '\"')"
    " : $exists($cause) ? $substring($cause, 0, 4000) : 'none given')"
)
FAILURE_CAUSE = f"{{% $states.input.failure.state & ': ' & {CAUSE} %}}"
_REGION = "$split($states.context.Execution.Id, ':')[3]"
_CONSOLE = (
    f"'https://' & {_REGION} & '.console.aws.amazon.com/states/home?region=' & {_REGION}"
    " & '#/v2/executions/details/' & $states.context.Execution.Id"
)
_REASONS = "$join($states.input.evaluation.reasons, '; ')"


def success(model: str) -> str:
    """Message about a new champion."""
    return message(f"'The {model} model of ' & $states.input.as_of & ' serves: ' & {_REASONS} & '.'")


def rejected(model: str) -> str:
    """Message about a challenger that was not good enough: no failure."""
    return message(
        f"'The {model} challenger of ' & $states.input.as_of"
        f" & ' was rejected, the champion stays: ' & {_REASONS} & '.'"
    )


def failed(what: str) -> str:
    """Message about a failure of what one did: state, error, cause, where to look, and what to type."""
    return message(
        f"'The {what} failed in ' & $states.input.failure.state & ' with '"
        f" & $states.input.failure.error & '\\nCause: ' & {CAUSE}"
        " & '\\nRepeat it: mlops-kit redrive ' & $states.context.Execution.Id"
    )


def message(text: str) -> str:
    """A message for people, given as JSONata, and where to look at the execution."""
    return f"{{% {text} & '\\nLook at it: ' & {_CONSOLE} %}}"

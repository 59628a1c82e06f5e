"""Names of errors in Retry and Catch that Step Functions never gives.

Names: Step Functions Developer Guide, "Handling errors in Step Functions workflows", "Error names". AWS keeps
the prefix ``States.`` for them; what a task reports under another name is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mlops_kit.asl.states import walk
from mlops_kit.build.lint.findings import Finding
from mlops_kit.build.lint.names import near

_PREFIX = "States."
_KNOWN = (
    "States.ALL",
    "States.BranchFailed",
    "States.DataLimitExceeded",
    "States.ExceedToleratedFailureThreshold",
    "States.HeartbeatTimeout",
    "States.Http.Socket",
    "States.IntrinsicFailure",
    "States.ItemReaderFailed",
    "States.NoChoiceMatched",
    "States.ParameterPathFailure",
    "States.Permissions",
    "States.QueryEvaluationError",
    "States.ResultPathMatchFailure",
    "States.ResultWriterFailed",
    "States.Runtime",
    "States.TaskFailed",
    "States.Timeout",
)
_STATUS = re.compile(r"States\.Http\.StatusCode\.\d{3}")


def check(definition: Mapping[str, Any]) -> Iterator[Finding]:
    """Findings of names that begin with ``States.``, whatever the case of its letters, and are not AWS's."""
    for place in walk(definition):
        for field in ("Retry", "Catch"):
            entries = place.state.get(field)
            for i, entry in enumerate(entries if isinstance(entries, list) else ()):
                errors = entry.get("ErrorEquals") if isinstance(entry, Mapping) else None
                for name in errors if isinstance(errors, list) else ():
                    if isinstance(name, str) and _is_wrong(name):
                        yield Finding(place.name, f"{field}[{i}]/ErrorEquals", *_words(name), "warning")


def _is_wrong(name: str) -> bool:
    return name.lower().startswith(_PREFIX.lower()) and name not in _KNOWN and not _STATUS.fullmatch(name)


def _words(name: str) -> tuple[str, str]:
    meant = near(name[len(_PREFIX) :], (known[len(_PREFIX) :] for known in _KNOWN))
    others = f"use one of: {', '.join(_KNOWN)}, States.Http.StatusCode.404 and its like."
    return (
        f"Step Functions has no error {name!r}, so this never matches; names are matched by case.",
        f"did you mean {_PREFIX}{meant}?" if meant else others,
    )

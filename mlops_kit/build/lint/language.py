"""The language's own rules (fields, transitions, paths, intrinsics, JSONata) as findings with a fix."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from mlops_kit.asl import expressions, fieldtypes, schema
from mlops_kit.asl.definition import doubts, is_downgraded, language_of, structure
from mlops_kit.asl.diagnostics import Diagnostic
from mlops_kit.asl.states import ends, nested, own, walk
from mlops_kit.build.lint.findings import Finding

_STATE = re.compile(r"(?P<path>.*/States/(?P<state>[^/]+))(?:/(?P<field>.*))?")
_FIXES = (
    (r"Missing 'Next' target", "name a state of the same machine, or add the state"),
    (r"is not reachable", "let a Next, Default, Choice rule or Catch lead to it, or remove it"),
    (r"no terminal state", "end one state with End: true, or add a Succeed or Fail state"),
    (r"Duplicate State name", "give each state its own name, also inside Map and Parallel"),
    (r"80-character limit", "shorten the name to 80 characters"),
    (r"States.ALL must appear", "put States.ALL alone into the last entry"),
    (r"\[Next, End\]", "give the state exactly one of Next and End: true"),
    (r"fields are required", "add the field"),
    (r"Field '\w*' is not supported", "remove the field; see the page of this state type for what it takes"),
    (
        r"only supported for the '(\w+)' QueryLanguage",
        "use the field of this query language, or change QueryLanguage",
    ),
    (r"not a valid resource ARN", "give a full ARN, such as arn:aws:states:::lambda:invoke"),
    (r"RFC3339", "write it as 2030-01-31T12:00:00Z"),
    (r"(Minimum|Maximum) value", "bring the number into the range"),
    (r"Expected value of type", "give a value of that type"),
    (r"Value should be one of", "use one of these values"),
    (r"should only be one of|only one of the following", "keep exactly one of these fields"),
    (r"cannot be empty", "give at least one entry, or remove the field"),
    (r"No \.\$ on the field", "end the key with .$ when the text is to be evaluated"),
    (r"path in the result of a pass state", "use Parameters for paths: Result is taken as it stands"),
    (
        r"variable name|reserved variable",
        "use letters, digits and _, beginning with a letter, and not 'states'",
    ),
    (r"'QueryLanguage' can not be 'JSONPath'", "set JSONPath for the machine and JSONata for single states"),
)
_PATH_FIX = "write it as $.name, $$.Execution.Name or $variable; names with blanks or dots as $['my name']"


def check(definition: Mapping[str, Any]) -> Iterator[Finding]:
    """Findings of the language's rules."""
    for diagnostic in structure(definition, schema.Mode(tokens=True)):
        # the check of services names the nearest integration instead
        if "is not recognized" not in diagnostic.message:
            yield _finding(diagnostic, definition)
    for place in walk(definition):
        if is_downgraded(place, definition):
            continue
        language = language_of(place, definition)
        for found in expressions.find(place, language):
            if not fieldtypes.is_token(found.text) and (words := expressions.problem(found)):
                yield _expression(found, words)
        for diagnostic in expressions.names(place):
            yield _finding(diagnostic, definition)
    for diagnostic in doubts(definition):
        yield _finding(diagnostic, definition)
    yield from _endless(definition)


def where(location: str | None) -> tuple[str, str]:
    """State and field of a JSON pointer; both empty for the definition as a whole."""
    match = _STATE.fullmatch(location or "")
    if match is None:
        return "", (location or "").strip("/")
    return match["state"], match["field"] or ""


def _finding(diagnostic: Diagnostic, definition: Mapping[str, Any]) -> Finding:
    state, field = where(diagnostic.location)
    message = diagnostic.message.strip().removesuffix(".")
    fix = next(
        (fix for pattern, fix in _FIXES if re.search(pattern, message)), "see the page of this state type"
    )
    if near := _nearest(diagnostic, definition):
        fix = f"did you mean {near}? Otherwise {fix}"
    if diagnostic.severity != "ERROR":
        return Finding(state, field, f"{message}.", f"{fix}.", "warning")
    return Finding(state, field, f"AWS refuses the definition: {message}.", f"{fix}.")


def _nearest(diagnostic: Diagnostic, definition: Mapping[str, Any]) -> str:
    """The name that a wrong name was probably meant to be."""
    if match := re.match(r"Missing 'Next' target: (.*)", diagnostic.message):
        names: Any = [place.name for place in walk(definition)]
        wrong = match[1]
    elif match := re.match(r"Field '(.*)' is not supported", diagnostic.message):
        names = set().union(*schema.FIELDS.values(), schema.COMMON, schema.TOP_FIELDS)
        wrong = match[1]
    else:
        return ""
    folded = {name.lower(): name for name in names if name != wrong}
    return "".join(folded[name] for name in get_close_matches(wrong.lower(), folded, 1, 0.75))


def _expression(found: expressions.Expression, words: str) -> Finding:
    state, field = where(found.location + found.inner)
    if found.kind == expressions.JSONATA_TEXT:
        problem, fix = f"Bad JSONata in {found.text}: {words.rstrip('.')}.", _jsonata_fix(words)
    elif isinstance(found.text, str) and found.text.startswith("States."):
        problem = f"Bad intrinsic {found.text}: {words}."
        fix = "mend the call; quotes, braces and backslashes inside a text are escaped with a backslash."
    else:
        problem, fix = f"Bad path {found.text!r}: {words}.", f"{_PATH_FIX}."
    return Finding(state, field, problem, fix)


def _jsonata_fix(words: str) -> str:
    if "top level" in words:
        return "begin with $states.input, $states.context or a variable such as $name."
    if "errorOutput" in words:
        return "use $states.errorOutput only in the Output or Assign of a Catch."
    if "'$$'" in words:
        return "use $states.context for the context object and $states.input for the input."
    return "mend the expression; try.jsonata.org shows where it breaks."


def _endless(definition: Mapping[str, Any]) -> Iterator[Finding]:
    """Machines inside Map and Parallel that cannot end; AWS checks the outermost only."""
    for path, machine in nested(definition):
        places = list(own(machine, path))
        if path and places and not any(ends(place.state) for place in places):
            state, field = where(path)
            problem = "No state in it ends, so it never comes to an end."
            yield Finding(state, field, problem, "end one state with End: true.", "warning")

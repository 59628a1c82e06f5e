"""JSONPath in the Jayway dialect that AWS uses: read, write, check; must not know any state."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from mlops_kit.asl.errors import RESULT_PATH_MATCH_FAILURE, PathError, StatesError
from mlops_kit.asl.jsontext import compact
from mlops_kit.asl.pathparse import BadPath, Path, Step, fragment, library_form, parse


def read(
    path: str, data: Any, context: Mapping[str, Any] | None = None, variables: Mapping[str, Any] | None = None
) -> Any:
    """What a path selects. ``$.x`` reads the data, ``$$.x`` the context object, ``$name.x`` a variable.

    A definite path gives one value; an indefinite one (wildcard, slice, filter, descent) a list, which is
    empty where the path leads through nothing (recorded from AWS).
    The result is a part of what it was read from, not a copy.

    Raises
    ------
    PathError
        The path is no path, or a definite one that finds nothing
        ("Invalid path '$.x' : No results for path: $['x']", as AWS words it).
    """
    if path == "$":
        return data
    try:
        parsed = parse(path)
    except BadPath as error:
        raise PathError(f"Invalid path '{path}' : {error}", path=path) from error
    root = value = _root(path, parsed, data, context, variables)
    for done, step in enumerate(parsed.steps):
        if isinstance(step, str):
            if type(value) is not dict or step not in value:
                if not parsed.definite:
                    return []
                raise _missing(path, parsed, done, value)
            value = value[step]
        else:
            if type(value) is not list or not -len(value) <= step < len(value):
                if not parsed.definite:
                    return []
                raise _missing(path, parsed, done, value)
            value = value[step]
    if parsed.function:
        place = "$" + fragment(parsed.steps)
        raise PathError(
            f"Invalid path '{path}' : Property ['{parsed.function}'] not found in path {place}", path=path
        )
    return _select(path, parsed, value, root) if parsed.rest else value


def write(path: str | None, data: Any, value: Any) -> Any:
    """The data with the value put where a reference path (ResultPath) points; ``None`` keeps the data.

    Nothing is changed in place; parts off the path are shared with the data. Objects that are missing on the
    way are made.

    Raises
    ------
    StatesError
        ``States.ResultPathMatchFailure`` where the path leads through something that is no object, or to
        an index that an array does not have.
    """
    if path is None:
        return data
    try:
        if problem := reference_problem(path):
            raise TypeError(problem)
        return _put(data, parse(path).steps, value)
    except (KeyError, IndexError, TypeError) as error:
        cause = f"Unable to apply ReferencePath {path} to input {compact(data)}"
        raise StatesError(RESULT_PATH_MATCH_FAILURE, cause) from error


def is_reference_path(path: str) -> bool:
    """Whether a path names exactly one place in the data, by names and indexes only."""
    return reference_problem(path) is None


def reference_problem(path: str) -> str | None:
    """Why a path is no reference path into the data, or ``None``."""
    try:
        parsed = parse(path)
    except BadPath as error:
        return str(error)
    if parsed.root != "$":
        return "it must point into the state's own data and begin with '$.'"
    if parsed.rest or parsed.function:
        return "it must name one place: no wildcard, slice, filter, descent or function"
    return None


def is_definite(path: str) -> bool:
    """Whether a path gives one value, not a list of all that match."""
    try:
        return parse(path).definite
    except BadPath:
        return True


def check(path: str) -> str | None:
    """What is wrong with a path's text, or ``None``."""
    try:
        parsed = parse(path)
        if parsed.rest:
            _compiled(parsed.rest)
    except BadPath as error:
        return str(error)
    if parsed.function:
        return f"paths have no functions such as {parsed.function}; use an intrinsic (States.ArrayLength)"
    return None


def _root(
    path: str, parsed: Path, data: Any, context: Mapping[str, Any] | None, variables: Mapping[str, Any] | None
) -> Any:
    if parsed.root == "$":
        return data
    if parsed.root == "$$":
        return context if context is not None else {}
    if variables is None or parsed.root not in variables:
        raise PathError(f"Invalid path '{path}' : The variable '{parsed.root}' is not defined", path=path)
    return variables[parsed.root]


def _missing(path: str, parsed: Path, done: int, value: Any) -> PathError:
    """Jayway's words for the first step that finds nothing."""
    step, here = parsed.steps[done], fragment(parsed.steps[:done])
    place = fragment(parsed.steps[: done + 1])
    leaf = done + 1 == len(parsed.steps) and parsed.definite
    if isinstance(step, int):
        if value is None:
            words = f"The path ${here} is null"
        elif not isinstance(value, list):
            words = f"Filter: [{step}] can only be applied to arrays. Current context is: {compact(value)}"
        else:
            words = f"No results for path: ${fragment(parsed.steps)}"
    elif not isinstance(value, dict):
        words = (
            f"Expected to find an object with property ['{step}'] in path ${here} but found '{_kind(value)}'."
        )
    elif leaf:
        words = f"No results for path: ${place}"
    else:
        words = f"Missing property in path ${place}"
    return PathError(f"Invalid path '{path}' : {words}", path=path)


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    return {bool: "boolean", str: "string", list: "array"}.get(type(value), "number")


def _put(data: Any, steps: tuple[Step, ...], value: Any) -> Any:
    if not steps:
        return value
    first, rest = steps[0], steps[1:]
    if isinstance(first, str):
        if not isinstance(data, dict):
            raise TypeError(first)
        inner = data.get(first, {} if rest else None)
        return {**data, first: _put(inner, rest, value)}
    if not isinstance(data, list):
        raise TypeError(first)
    copy = list(data)
    copy[first] = _put(data[first], rest, value)
    return copy


@lru_cache(maxsize=1024)
def _compiled(rest: str) -> Any:
    import jsonpath

    try:
        return jsonpath.compile("$" + rest)
    except Exception as error:  # the library raises several families; all mean "no path"
        raise BadPath(f"'{rest}' cannot be read: {str(error).splitlines()[0]}") from error


def _select(path: str, parsed: Path, value: Any, root: Any) -> list[Any]:
    try:
        if "$" in parsed.rest:  # a filter that looks at the whole document
            return list(_compiled(_plain(parsed.steps) + parsed.rest).findall(root))
        # Jayway tests an object against a filter as if it stood alone in an array.
        target = [value] if parsed.rest.startswith("[?") and isinstance(value, dict) else value
        return list(_compiled(parsed.rest).findall(target)) if isinstance(target, (dict, list)) else []
    except Exception as error:  # a path the library cannot read, or a filter that cannot compare
        raise PathError(f"Invalid path '{path}' : {error}", path=path) from error


def _plain(steps: tuple[Step, ...]) -> str:
    return "".join(library_form(step) for step in steps)

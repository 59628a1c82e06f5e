"""Choice rules of JSONPath states: whether one matches; must not choose the next state."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from mlops_kit.asl import paths, timestamps
from mlops_kit.asl.errors import RUNTIME, PathError, StatesError

_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "Equals": operator.eq,
    "LessThan": operator.lt,
    "GreaterThan": operator.gt,
    "LessThanEquals": operator.le,
    "GreaterThanEquals": operator.ge,
}


def _number(value: Any) -> Any:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _string(value: Any) -> Any:
    # Java orders text by UTF-16 units
    return value.encode("utf-16-be", "surrogatepass") if isinstance(value, str) else None


def _boolean(value: Any) -> Any:
    return value if isinstance(value, bool) else None


_TYPES = {"String": _string, "Numeric": _number, "Timestamp": timestamps.parse}
_COMPARISONS = {
    kind + order: (read, compare) for kind, read in _TYPES.items() for order, compare in _ORDERS.items()
} | {"BooleanEquals": (_boolean, operator.eq)}
_TESTS: dict[str, Callable[[Any], bool]] = {
    "IsNull": lambda value: value is None,
    "IsNumeric": lambda value: _number(value) is not None,
    "IsString": lambda value: isinstance(value, str),
    "IsBoolean": lambda value: isinstance(value, bool),
    "IsTimestamp": lambda value: timestamps.parse(value) is not None,
}
OPERATORS = (
    frozenset(_COMPARISONS)
    | {f"{name}Path" for name in _COMPARISONS}
    | set(_TESTS)
    | {"IsPresent", "StringMatches"}
)
COMBINERS = frozenset({"And", "Or", "Not"})


def matches(
    rule: Mapping[str, Any],
    data: Any,
    context: Mapping[str, Any] | None = None,
    variables: Mapping[str, Any] | None = None,
) -> bool:
    """Whether a rule (data test, ``And``, ``Or``, ``Not``) holds for the input.

    A value of another type than the operator's is no match and no error.

    Raises
    ------
    StatesError
        ``States.Runtime`` when the Variable, or the path of a ``...Path`` operator, finds nothing.
    """
    if "And" in rule:
        return all(matches(inner, data, context, variables) for inner in rule["And"])
    if "Or" in rule:
        return any(matches(inner, data, context, variables) for inner in rule["Or"])
    if "Not" in rule:
        return not matches(rule["Not"], data, context, variables)
    name = next((key for key in rule if key in OPERATORS), None)
    if name is None:
        raise StatesError(RUNTIME, "A Choice rule has no comparison operator")
    if name == "IsPresent":
        return _present(rule["Variable"], data, context, variables) is bool(rule[name])
    value = _read(rule["Variable"], data, context, variables)
    expected = rule[name]
    if name in _TESTS:
        return _TESTS[name](value) is bool(expected)
    if name == "StringMatches":
        return isinstance(value, str) and pattern(expected).fullmatch(value) is not None
    if name.endswith("Path"):
        expected, name = _read(expected, data, context, variables), name[:-4]
    read, compare = _COMPARISONS[name]
    left, right = read(value), read(expected)
    return left is not None and right is not None and compare(left, right)


@lru_cache(maxsize=1024)
def pattern(text: str) -> re.Pattern[str]:
    r"""Regular expression of a StringMatches pattern: ``*`` is any text, ``\*`` a star."""
    parts = re.split(r"(\\[*\\]|\*)", text)
    return re.compile(
        "".join(
            ".*" if part == "*" else re.escape(part[1:] if part in (r"\*", "\\\\") else part)
            for part in parts
        ),
        re.DOTALL,
    )


def _present(
    path: str, data: Any, context: Mapping[str, Any] | None, variables: Mapping[str, Any] | None
) -> bool:
    try:
        found = paths.read(path, data, context, variables)
    except PathError:
        return False
    return not (found == [] and not paths.is_definite(path))


def _read(
    path: str, data: Any, context: Mapping[str, Any] | None, variables: Mapping[str, Any] | None
) -> Any:
    try:
        return paths.read(path, data, context, variables)
    except PathError as error:
        raise StatesError(
            RUNTIME, f"Invalid path '{path}': The choice state's condition path references an invalid value."
        ) from error

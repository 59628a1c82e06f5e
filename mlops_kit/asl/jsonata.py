"""JSONata as Step Functions evaluates it; must not let a library's exception through.

The wording of errors and the bounds (depth 100, memory) follow what AWS answers; further source:
"Transforming data with JSONata in Step Functions" (AWS developer guide).
"""

from __future__ import annotations

import ast
import copy
import re
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from mlops_kit.asl.errors import QUERY_EVALUATION_ERROR, StatesError
from mlops_kit.asl.jsonatafunctions import FUNCTIONS, ExpressionError, null
from mlops_kit.asl.jsontext import compact

MAX_SECONDS = 5.0
MAX_DEPTH = 100
MAX_BYTES = 873_782 * 8
_TOO_DEEP = (
    "Stack overflow error: Check for non-terminating recursive function. Consider rewriting as tail-recursive"
)
_TOO_LARGE = "Expression evaluation memory limit exceeded: Check for excessive memory usage"
_TOO_LONG = "Expression evaluation timeout: Check for infinite loop"
_PLAIN_PATH = re.compile(r"\$([A-Za-z_]\w*)((?:\.[A-Za-z_]\w*)*)")
_NOT_PLAIN = object()
_ELEMENTS = {"a": "arrays", "b": "booleans", "f": "functions", "n": "numbers", "o": "objects", "s": "strings"}


def evaluate(
    value: Any, states: Mapping[str, Any], variables: Mapping[str, Any], field: str, expect: str | None = None
) -> Any:
    """A JSON value with every string ``{% ... %}`` in it replaced by the expression's result.

    A plain path such as ``{% $states.input.a %}`` gives the very value it names, not a copy: data of an
    execution are never changed in place.

    Parameters
    ----------
    value : Any
        A field of a definition.
    states : mapping
        ``$states``: ``input``, ``context`` and, where they exist, ``result`` and ``errorOutput``.
    variables : mapping
        The workflow's variables, without ``$``.
    field : str
        Name for messages, such as ``Output``; keys and indexes are appended (``Assign/x``, ``Output/l[0]``).
    expect : {"array", "boolean", "number", "integer", "string", "object"}, optional
        The type that the field takes, checked on an expression's result.

    Raises
    ------
    StatesError
        ``States.QueryEvaluationError`` in AWS's words, with ``location``.
    """
    if isinstance(value, str):
        if not is_expression(value):
            return value
        expression = unwrap(value)
        result = _result(expression, states, variables, field)
        if expect is not None and not _is(expect, result):
            raise _failure(
                expression,
                field,
                f"returned an unexpected result type. Expected '{expect}', but was '{type_name(result)}' "
                f"for value: {compact(result)}",
            )
        return result
    if isinstance(value, dict):
        return {key: evaluate(item, states, variables, f"{field}/{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [evaluate(item, states, variables, f"{field}[{i}]") for i, item in enumerate(value)]
    return value


def is_expression(value: Any) -> bool:
    """Whether a value is a string that begins with ``{%`` and ends with ``%}``."""
    return isinstance(value, str) and len(value) >= 4 and value.startswith("{%") and value.endswith("%}")


def unwrap(value: str) -> str:
    """The expression between ``{%`` and ``%}``."""
    return value[2:-2].strip()


def check(expression: str) -> str | None:
    """Why a string ``{% ... %}`` (or the expression in it) cannot be read, or ``None``."""
    try:
        compiled(unwrap(expression) if is_expression(expression) else expression)
    except ExpressionError as error:
        return re.sub(r"^[A-Z]\d{4}: ", "", str(error))
    return None


def type_name(value: Any) -> str:
    """JSON's name for a value's type."""
    names = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "null")


@lru_cache(maxsize=2048)
def compiled(expression: str) -> Any:
    """A parsed expression of the JSONata library.

    Raises
    ------
    ExpressionError
        The text is no JSONata.
    """
    from jsonata import Jsonata

    try:
        found = Jsonata(expression)
    except Exception as error:  # the library's own, and plain ones from its tokenizer
        raise ExpressionError(_message(error)) from error
    found.set_validate_input(False)
    found.set_output_convert_nulls(False)
    return found


def _result(expression: str, states: Mapping[str, Any], variables: Mapping[str, Any], field: str) -> Any:
    plain = _plain(expression, states, variables)
    if plain is not _NOT_PLAIN:
        return plain
    try:
        result = _run(compiled(expression), states, variables)
    except ExpressionError as error:
        separator = ". " if re.match(r"[A-Z]\d{4}: ", str(error)) else ": "
        raise _failure(expression, field, f"threw an error during evaluation{separator}{error}") from error
    if result is None:
        raise _failure(expression, field, "returned nothing (undefined).")
    try:
        return _plain_data(result)
    except TypeError as error:
        raise _failure(expression, field, "returned an unsupported result type.") from error


def _plain(expression: str, states: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """The value of ``$name.a.b`` through objects only; everything else is the library's."""
    match = _PLAIN_PATH.fullmatch(expression)
    if match is None:
        return _NOT_PLAIN
    value: Any = states if match[1] == "states" else variables.get(match[1], _NOT_PLAIN)
    for name in match[2].split(".")[1:]:
        if type(value) is not dict or name not in value:
            return _NOT_PLAIN
        value = value[name]
    return value


def _run(expression: Any, states: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    from jsonata import Jsonata

    bindings: dict[str, Any] = {name: Jsonata.JLambda(function) for name, function in FUNCTIONS.items()}
    bindings |= {name: null() if value is None else value for name, value in variables.items()}
    bindings["states"] = dict(states)
    bindings["__evaluate_entry"], bindings["__evaluate_exit"] = _bounds()
    # The library keeps one instance a thread, whose clock $now() reads: it must be the one that runs.
    instance = copy.copy(expression)
    Jsonata.CURRENT.jsonata = instance
    try:
        return instance.evaluate(None, bindings)
    except ExpressionError:
        raise
    except RecursionError as error:
        raise ExpressionError(_TOO_DEEP) from error
    except Exception as error:  # its own and plain Python exceptions come out of the library
        raise ExpressionError(_message(error)) from error


def _bounds() -> tuple[Callable[..., None], Callable[..., None]]:
    """Callbacks around each step that stop what AWS would stop; monotonic time, as the clock may jump."""
    end, depth = time.monotonic() + MAX_SECONDS, 0

    def entry(_expression: Any, _input: Any, _frame: Any) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise ExpressionError(_TOO_DEEP)
        if time.monotonic() > end:
            raise ExpressionError(_TOO_LONG)

    def leave(_expression: Any, _input: Any, _frame: Any, result: Any) -> None:
        nonlocal depth
        depth -= 1
        if isinstance(result, str) and len(result) > MAX_BYTES:
            raise ExpressionError(_TOO_LARGE)
        if isinstance(result, list) and len(result) * 8 > MAX_BYTES:
            raise ExpressionError(_TOO_LARGE)

    return entry, leave


def _plain_data(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain_data(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain_data(item) for item in value]
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if value is null():
        return None
    raise TypeError(type(value).__name__)


def _is(expected: str, value: Any) -> bool:
    if expected == "integer":
        return type(value) is int or (type(value) is float and value.is_integer())
    return type_name(value) == expected


def _failure(expression: str, field: str, words: str) -> StatesError:
    cause = f"The JSONata expression '{expression}' specified for the field '{field}' {words}"
    return StatesError(QUERY_EVALUATION_ERROR, cause, field)


def _message(error: Exception) -> str:
    """JSONata's code and words, as the reference implementation renders them."""
    from jsonata.jexception import JException

    if not isinstance(error, JException):
        return _python_message(error)
    template = JException.error_codes.get(error.error)
    if template is None:
        return str(error.error)
    # The library's catalogue says "Object" where the original says "function", and does not quote values.
    extra = _ELEMENTS.get(str(error.extra), error.extra)
    values = iter([error.current, error.expected, extra])
    words = re.sub(
        r"\{\{\{\w+\}\}\}|\{\{\w+\}\}",
        lambda found: _shown(next(values, None), raw=found.group().startswith("{{{")),
        template.replace("Object", "function"),
    )
    return f"{error.error}: {words}"


def _shown(value: Any, *, raw: bool) -> str:
    if raw:
        return str(value)
    try:
        return compact(_plain_data(value))
    except TypeError:
        return "{}"


def _python_message(error: Exception) -> str:
    """The reference's words for what the library lets Python raise."""
    text = str(error)
    if isinstance(error, ZeroDivisionError):
        return "D1001: Number out of range: null"
    if isinstance(error, TypeError) and "not supported between" in text:
        return (
            "D3070: The single argument form of the sort function can only be applied to an array of strings "
            "or an array of numbers.  Use the second argument to specify a comparison function"
        )
    if match := re.fullmatch(r"could not convert string to float: (.*)", text, re.DOTALL):
        return f"D3030: Unable to cast value to a number: {compact(ast.literal_eval(match[1]))}"
    if match := re.fullmatch(r"Invalid isoformat string: (.*)", text, re.DOTALL):
        given = compact(ast.literal_eval(match[1]))
        words = "The argument of the toMillis function must be an ISO 8601 formatted timestamp."
        return f"D3110: {words} Given {given}"
    return text or type(error).__name__

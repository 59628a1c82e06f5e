"""Intrinsic functions: their text taken apart and evaluated; must not know any state.

Source: "Intrinsic functions for JSONPath states in Step Functions" (AWS developer guide).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from mlops_kit.asl import paths
from mlops_kit.asl.errors import INTRINSIC_FAILURE, RUNTIME, PathError, StatesError
from mlops_kit.asl.functions import FUNCTIONS, FunctionError
from mlops_kit.asl.jsontext import compact

MAX_NESTING = 10


@dataclass(frozen=True)
class Literal:
    """A constant; ``raw`` keeps a text's escapes, which States.Format reads itself."""

    value: Any
    raw: str | None = None


@dataclass(frozen=True)
class Reference:
    """A JSONPath."""

    path: str


@dataclass(frozen=True)
class Call:
    """A function and its arguments."""

    name: str
    arguments: tuple[Argument, ...]
    text: str


Argument = Literal | Reference | Call


class BadIntrinsic(ValueError):
    """A text is no intrinsic; the message says why."""


def evaluate(
    expression: str,
    data: Any,
    context: Mapping[str, Any] | None = None,
    variables: Mapping[str, Any] | None = None,
) -> Any:
    """The value of ``States.Name(...)``.

    Raises
    ------
    StatesError
        ``States.IntrinsicFailure``, or ``States.Runtime`` where a path finds nothing, in AWS's words ("The
        function 'States.X(...)' had the following error: ...").
    """
    try:
        call = parse(expression)
    except BadIntrinsic as error:
        raise StatesError(INTRINSIC_FAILURE, _words(expression, str(error))) from error
    return _call(call, data, context, variables)


def check(expression: str) -> str | None:
    """What is wrong with an intrinsic's text (grammar, name, number of arguments, paths), or ``None``."""
    try:
        return _problem(parse(expression))
    except BadIntrinsic as error:
        return str(error)


@lru_cache(maxsize=4096)
def parse(expression: str) -> Call:
    """Take an intrinsic apart.

    Raises
    ------
    BadIntrinsic
        The text does not follow the grammar, or nests more than ten calls.
    """
    call, position = _parse_call(expression, _blank(expression, 0), 1)
    if _blank(expression, position) != len(expression):
        raise BadIntrinsic(f"'{expression[position:]}' follows the closing parenthesis")
    return call


def references(call: Call) -> list[str]:
    """The paths that a call reads."""
    found: list[str] = []
    for argument in call.arguments:
        if isinstance(argument, Reference):
            found.append(argument.path)
        elif isinstance(argument, Call):
            found.extend(references(argument))
    return found


def _call(
    call: Call, data: Any, context: Mapping[str, Any] | None, variables: Mapping[str, Any] | None
) -> Any:
    values = []
    for argument in call.arguments:
        if isinstance(argument, Call):
            values.append(_call(argument, data, context, variables))
        elif isinstance(argument, Reference):
            try:
                values.append(paths.read(argument.path, data, context, variables))
            except PathError as error:
                source = compact(context if argument.path.startswith("$$") else data)
                words = (
                    f"The JsonPath argument for the field '{argument.path}' could not be found in the input "
                    f"'{source}'"
                )
                raise StatesError(RUNTIME, _words(call.text, words)) from error
        elif call.name == "States.Format" and not values and argument.raw is not None:
            values.append(argument.raw)
        else:
            values.append(argument.value)
    return _apply(call, values)


def _apply(call: Call, values: list[Any]) -> Any:
    function = FUNCTIONS.get(call.name)
    if function is None:
        raise StatesError(INTRINSIC_FAILURE, f"The function '{call.name}' is not an intrinsic function")
    if not function.least <= len(values) <= function.most:
        words = f"Invalid number of arguments: {len(values)}"
        raise StatesError(INTRINSIC_FAILURE, _words(call.text, words))
    try:
        return function.apply(*values)
    except FunctionError as error:
        raise StatesError(INTRINSIC_FAILURE, _words(call.text, str(error))) from error


def _words(text: str, error: str) -> str:
    return f"The function '{text}' had the following error: {error}"


def _problem(call: Call) -> str | None:
    function = FUNCTIONS.get(call.name)
    if function is None:
        return f"{call.name} is no intrinsic function; there are {', '.join(FUNCTIONS)}"
    if not function.least <= len(call.arguments) <= function.most:
        return f"{call.name} takes {function.arity}, not {len(call.arguments)}"
    for argument in call.arguments:
        problem = None
        if isinstance(argument, Call):
            problem = _problem(argument)
        elif isinstance(argument, Reference) and (wrong := paths.check(argument.path)):
            problem = f"path '{argument.path}': {wrong}"
        if problem:
            return problem
    return None


_NAME = re.compile(r"States\.\w+")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_WORD = re.compile(r"(null|true|false)(?!\w)")
_WORDS = {"null": None, "true": True, "false": False}


def _blank(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _parse_call(text: str, position: int, level: int) -> tuple[Call, int]:
    if level > MAX_NESTING:
        raise BadIntrinsic(f"intrinsics nest at most {MAX_NESTING} deep")
    start = position
    name = _NAME.match(text, position)
    if name is None:
        raise BadIntrinsic("an intrinsic begins with States.<Name>(")
    position = _blank(text, name.end())
    if text[position : position + 1] != "(":
        raise BadIntrinsic(f"'(' is missing after {name.group()}")
    arguments: list[Argument] = []
    position = _blank(text, position + 1)
    while text[position : position + 1] != ")":
        if arguments:
            if text[position : position + 1] != ",":
                raise BadIntrinsic(f"',' or ')' is missing at character {position + 1}")
            position = _blank(text, position + 1)
        argument, position = _parse_argument(text, position, level)
        arguments.append(argument)
        position = _blank(text, position)
    return Call(name.group(), tuple(arguments), text[start : position + 1]), position + 1


def _parse_argument(text: str, position: int, level: int) -> tuple[Argument, int]:
    if text.startswith("'", position):
        return _parse_text(text, position)
    if text.startswith("$", position):
        end = _path_end(text, position)
        return Reference(text[position:end].rstrip()), end
    if text.startswith("States.", position):
        return _parse_call(text, position, level + 1)
    if match := _WORD.match(text, position):
        return Literal(_WORDS[match[1]]), match.end()
    if match := _NUMBER.match(text, position):
        number = match.group()
        return Literal(int(number) if number.lstrip("-").isdigit() else float(number)), match.end()
    raise BadIntrinsic(
        f"an argument is missing at character {position + 1}; it is a 'text', a number, null, true, false, "
        "a path or an intrinsic"
    )


def _parse_text(text: str, position: int) -> tuple[Literal, int]:
    value: list[str] = []
    i = position + 1
    while i < len(text):
        char = text[i]
        if char == "'":
            return Literal("".join(value), text[position + 1 : i]), i + 1
        if char == "\\":
            escaped = text[i + 1 : i + 2]
            if escaped not in ("'", "{", "}", "\\"):
                raise BadIntrinsic(rf"a backslash stands only before ' {{ }} \, not before '{escaped}'")
            char, i = escaped, i + 1
        value.append(char)
        i += 1
    raise BadIntrinsic("a text is not closed with '")


def _path_end(text: str, position: int) -> int:
    """Where a path ends: at ',' or ')' outside brackets and quotes."""
    depth, quote, i = 0, "", position
    while i < len(text):
        char = text[i]
        if quote:
            if char == "\\":
                i += 1
            elif char == quote:
                quote = ""
        elif depth and char in "'\"":
            quote = char
        elif char in "[(":
            depth += 1
        elif char == "]" or (char == ")" and depth):
            depth -= 1
        elif char in ",)" and not depth:
            return i
        i += 1
    raise BadIntrinsic("')' is missing at the end")

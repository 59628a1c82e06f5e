"""What a JSONata expression refers to, read from its syntax; must not evaluate it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from mlops_kit.asl.jsonata import compiled, unwrap
from mlops_kit.asl.jsonatafunctions import ExpressionError


class Reference(NamedTuple):
    """A name that an expression reads.

    Attributes
    ----------
    root : str
        A variable with its ``$`` (``$states``, ``$x``), ``$$``, ``$``, or a bare name read at the top level.
    rest : tuple of str
        Plain names that follow, such as ``("input", "a")``.
    """

    root: str
    rest: tuple[str, ...] = ()


def references(value: str) -> list[Reference]:
    """Every variable and every top-level name that a string ``{% ... %}`` reads; none of unreadable ones."""
    try:
        tree = compiled(unwrap(value)).ast
    except ExpressionError:
        return []
    return list(_walk(tree, True, frozenset()))


def unsupported(value: str, *, catcher: bool = False) -> str | None:
    """Why AWS refuses a readable string ``{% ... %}`` when a state machine is made, or ``None``.

    Parameters
    ----------
    value : str
        With its delimiters.
    catcher : bool
        Whether it stands in a Catch's Output or Assign, the one place that has ``$states.errorOutput``.
    """
    for root, rest in references(value):
        if root == "$$":
            return "Reference to '$$' is not supported."
        if root == "$states" and rest[:1] == ("errorOutput",) and not catcher:
            return "Reference to '$states.errorOutput' is not supported."
        if not root.startswith("$"):
            return f"Reference to '{root}' at the top level is not supported."
    return None


def _walk(node: Any, top: bool, bound: frozenset[str]) -> Iterator[Reference]:
    """Names in a syntax tree; ``top`` while the context is the (absent) root, ``bound`` local variables."""
    kind = getattr(node, "type", None)
    if kind == "path":
        yield from _path(node, top, bound)
    elif kind == "variable":
        yield from _variable(str(node.value), top, bound)
    elif kind == "name" and top:
        yield Reference(str(node.value))
    elif kind == "block":
        yield from _block(node, top, bound)
    elif kind == "lambda":
        names = frozenset(str(argument.value) for argument in node.arguments)
        yield from _walk(node.body, top, bound | names)
    elif kind == "bind":
        yield from _walk(node.rhs, top, bound | {str(node.lhs.value)})
    elif kind == "transform":
        for part in (node.pattern, node.update, node.delete):
            yield from _walk(part, False, bound)
    else:
        yield from _parts(node, top, bound)
    for part in (*(getattr(node, "predicate", None) or ()), *(getattr(node, "stages", None) or ())):
        yield from _walk(getattr(part, "expr", None), False, bound)
    yield from _pairs(getattr(node, "group", None), False, bound)


def _path(node: Any, top: bool, bound: frozenset[str]) -> Iterator[Reference]:
    first, *others = node.steps
    names = []
    for step in others:
        if step.type != "name":
            break
        names.append(str(step.value))
    if first.type == "variable":
        for reference in _variable(str(first.value), top, bound):
            yield Reference(reference.root, tuple(names))
        for part in (*(first.predicate or ()), *(first.stages or ())):
            yield from _walk(part.expr, False, bound)
    else:
        yield from _walk(first, top, bound)
    bound |= {str(step.focus) for step in node.steps if getattr(step, "focus", None)}
    bound |= {str(step.index) for step in node.steps if isinstance(getattr(step, "index", None), str)}
    for step in others:
        if step.type == "sort":
            for term in step.terms:
                yield from _walk(term.expression, False, bound)
        yield from _walk(step, False, bound)


def _variable(name: str, top: bool, bound: frozenset[str]) -> Iterator[Reference]:
    if name == "":
        if top:
            yield Reference("$")
    elif name not in bound:
        yield Reference("$$" if name == "$" else f"${name}")


def _block(node: Any, top: bool, bound: frozenset[str]) -> Iterator[Reference]:
    for expression in node.expressions or ():
        yield from _walk(expression, top, bound)
        if getattr(expression, "type", None) == "bind":
            bound |= {str(expression.lhs.value)}


def _parts(node: Any, top: bool, bound: frozenset[str]) -> Iterator[Reference]:
    single = ("lhs", "rhs", "expression", "condition", "then", "_else", "procedure")
    for name in single:
        part = getattr(node, name, None)
        if part is not None and not isinstance(part, list):
            yield from _walk(part, top, bound)
    for name in ("expressions", "arguments"):
        for part in getattr(node, name, None) or ():
            yield from _walk(part, top, bound)
    yield from _pairs(node, top, bound)


def _pairs(node: Any, top: bool, bound: frozenset[str]) -> Iterator[Reference]:
    for pair in getattr(node, "lhs_object", None) or ():
        for part in pair:
            yield from _walk(part, top, bound)

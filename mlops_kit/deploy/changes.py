"""What would change, property by property, as plain values; calls nothing and draws nothing."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

Action = Literal["add", "modify", "replace", "remove", "import"]
ACTIONS: tuple[Action, ...] = ("add", "modify", "replace", "remove", "import")
_CELL = 60  # characters of a value that a table's cell still shows well


@dataclass(frozen=True)
class PropertyChange:
    """One property's change.

    Attributes
    ----------
    path : str
        Such as ``Environment.Variables.LIMIT``; attributes of the resource, such as ``DeletionPolicy``, too.
    before, after : str or None
        As text; ``None`` where it is absent on that side.
    diff : str or None
        Diff of the canonical text, where the values are too long for a cell.
    recreation : str
        ``Never``, ``Conditionally`` or ``Always``: whether AWS makes the resource anew for it.
    """

    path: str
    before: str | None = None
    after: str | None = None
    diff: str | None = None
    recreation: str = "Never"


@dataclass(frozen=True)
class Row:
    """One resource that would change.

    Attributes
    ----------
    action : {"add", "modify", "replace", "remove", "import"}
        What happens to it.
    logical_id, type : str
        As in the template.
    physical_id : str or None
        Of what exists.
    changes : tuple of PropertyChange
        Empty for what is added or removed as a whole.
    note : str
        Further words, such as that a removed resource stays in AWS.
    """

    action: Action
    logical_id: str
    type: str
    physical_id: str | None = None
    changes: tuple[PropertyChange, ...] = ()
    note: str = ""


def all_added(template: Mapping[str, Any], note: str = "") -> tuple[Row, ...]:
    """The rows of a stack that does not exist yet."""
    return tuple(
        Row("add", name, resource["Type"], note=note)
        for name, resource in sorted(template["Resources"].items())
    )


def row(
    change: Mapping[str, Any],
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    parameters: Mapping[str, tuple[str | None, str | None]],
) -> Row:
    """One row from a ``ResourceChange`` of DescribeChangeSet.

    Parameters
    ----------
    change : mapping
        The ResourceChange.
    before, after : mapping
        The resource in the deployed template and in ours; the change set's own contexts go first.
    parameters : mapping
        Changed parameters: name to (old value, new value).
    """
    before, after = _context(change, "BeforeContext", before), _context(change, "AfterContext", after)
    action: Action = {"Add": "add", "Remove": "remove", "Import": "import"}.get(change["Action"], "modify")  # type: ignore[assignment]
    base = Row(action, change["LogicalResourceId"], change["ResourceType"], change.get("PhysicalResourceId"))
    if action == "remove" and change.get("PolicyAction") == "Retain":
        return replace(base, note="stays in AWS, no longer managed")
    if action != "modify":
        return base
    changes = _with_causes(tuple(compare(before, after)), change.get("Details", ()), parameters)
    if change.get("Replacement") == "True":
        kept = change.get("PolicyAction") == "ReplaceAndRetain"
        return replace(
            base, action="replace", changes=changes, note="the old one stays in AWS" if kept else ""
        )
    note = "may be made anew" if change.get("Replacement") == "Conditional" else ""
    return replace(base, changes=changes, note=note)


def settled(changes: Sequence[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], list[str]]:
    """Take out what only refers to a resource that changes in place: its ARN and name stay as they are.

    CloudFormation lists such a property as ``Dynamic``, because it evaluates it when it gets there.

    Returns
    -------
    list of mapping
        The changes that are left.
    list of str
        Logical ids of resources that CloudFormation looks at and will find unchanged.
    """
    moving = {one["LogicalResourceId"] for one in changes if one.get("Replacement") not in (None, "False")}
    moving |= {one["LogicalResourceId"] for one in changes if one["Action"] in ("Add", "Remove", "Import")}
    while True:
        left, unchanged = _without_echoes(changes, moving)
        still = {one["LogicalResourceId"] for one in left} & moving
        if still == moving:
            return left, unchanged
        moving = still


def _without_echoes(
    changes: Sequence[Mapping[str, Any]], moving: set[str]
) -> tuple[list[Mapping[str, Any]], list[str]]:
    left: list[Mapping[str, Any]] = []
    unchanged: list[str] = []
    for change in changes:
        details = change.get("Details") or []
        real = [one for one in details if not _is_echo(one, moving)]
        if change["Action"] == "Modify" and details and not real:
            unchanged.append(change["LogicalResourceId"])
        else:
            left.append({**change, "Details": real})
    return left, unchanged


def _is_echo(detail: Mapping[str, Any], moving: set[str]) -> bool:
    cause = detail.get("CausingEntity", "").split(".")[0]
    source = detail.get("ChangeSource")
    return source in ("ResourceAttribute", "ResourceReference") and cause not in moving


def compare(before: Mapping[str, Any], after: Mapping[str, Any], path: str = "") -> Iterator[PropertyChange]:
    """Every difference of two resources, down to the innermost property, sorted by name."""
    before, after = _by_key(before), _by_key(after)
    for key in sorted({*before, *after}):
        old, new = _by_key(before.get(key)), _by_key(after.get(key))
        inner = key if not path or path == "Properties" else f"{path}.{key}"
        if old == new:
            continue
        if _plain(old) and _plain(new):
            yield from compare(old, new, inner)
        else:
            yield _difference(inner, old, new)


def shown(value: Any) -> str:
    """A template's value as short text: ``Ref`` and ``Fn::GetAtt`` as ``${...}``, the rest as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping) and len(value) == 1:
        (name, argument), *_ = value.items()
        if name == "Ref":
            return f"${{{argument}}}"
        if name == "Fn::GetAtt":
            return f"${{{argument if isinstance(argument, str) else '.'.join(map(str, argument))}}}"
        if name == "Fn::Sub" and isinstance(argument, str):
            return argument
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _context(change: Mapping[str, Any], name: str, fallback: Mapping[str, Any]) -> Mapping[str, Any]:
    """The change set's whole resource, where it gives one (``IncludePropertyValues``)."""
    text = change.get(name)
    found = json.loads(text) if text else None
    return found if isinstance(found, dict) else fallback


def _difference(path: str, old: Any, new: Any) -> PropertyChange:
    before, after = (None if value is None else shown(value) for value in (old, new))
    if before is None or after is None or max(len(before), len(after)) <= _CELL:
        return PropertyChange(path, _short(before), _short(after))
    first, second = _canonical(old), _canonical(new)
    if first == second:
        return PropertyChange(path, "as now", "the same, written differently")
    lines = _diff(first.splitlines(), second.splitlines())
    return PropertyChange(path, _short(before), _short(after), "\n".join(lines))


def _diff(first: list[str], second: list[str]) -> Iterator[str]:
    """A unified diff whose hunks say where in the JSON they are: ``@@ States.TrainModel.Retry @@``."""
    for group in difflib.SequenceMatcher(None, first, second, autojunk=False).get_grouped_opcodes(2):
        _, i1, i2, j1, _ = next(step for step in group if step[0] != "equal")
        yield f"@@ {_path_of(first, i1) if i2 > i1 else _path_of(second, j1)} @@"
        for kind, i1, i2, j1, j2 in group:
            if kind == "equal":
                yield from (f" {line}" for line in first[i1:i2])
                continue
            yield from (f"-{line}" for line in first[i1:i2])
            yield from (f"+{line}" for line in second[j1:j2])


def _path_of(lines: list[str], index: int) -> str:
    """Names of the members that enclose a line of indented JSON."""
    names: list[str] = []
    depth = _indent(lines[index])
    for line in reversed(lines[:index]):
        if _indent(line) < depth:
            depth = _indent(line)
            if (name := line.strip().partition(": ")[0]).startswith('"'):
                names.insert(0, name.strip('"'))
    return ".".join(names) or "top"


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _canonical(value: Any) -> str:
    """JSON with sorted keys, one member a line; a text that holds JSON likewise."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return str(value)
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)


def _short(text: str | None) -> str | None:
    if text is None:
        return None
    flat = " ".join(text.split())
    return flat if len(flat) <= _CELL else f"{flat[: _CELL - 3]}..."


def _plain(value: Any) -> bool:
    """A mapping of properties, not an intrinsic function."""
    return isinstance(value, Mapping) and not any(key == "Ref" or key.startswith("Fn::") for key in value)


def _by_key(value: Any) -> Any:
    """A list of tags as a mapping, so that one more tag is one change."""
    if (
        isinstance(value, list)
        and value
        and all(isinstance(v, Mapping) and set(v) == {"Key", "Value"} for v in value)
    ):
        return {item["Key"]: item["Value"] for item in value}
    return value


def _with_causes(
    changes: tuple[PropertyChange, ...],
    details: Any,
    parameters: Mapping[str, tuple[str | None, str | None]],
) -> tuple[PropertyChange, ...]:
    """Add what no text shows: values that follow a parameter or another resource; and who is made anew."""
    known = {change.path.split(".")[0] for change in changes}
    recreation: dict[str, str] = {}
    for detail in details:
        target = detail["Target"]
        name = target.get("Name") or target["Attribute"]
        if target.get("RequiresRecreation", "Never") != "Never":
            recreation[name] = target["RequiresRecreation"]
        if name not in known and name != "Properties":
            known.add(name)
            cause = detail.get("CausingEntity", "")
            old, new = parameters.get(cause, (None, f"follows {cause}" if cause else "changes"))
            changes = (*changes, PropertyChange(name, _short(old), _short(new)))
    return tuple(replace(one, recreation=recreation.get(one.path.split(".")[0], "Never")) for one in changes)

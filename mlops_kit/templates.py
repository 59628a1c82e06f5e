"""A built template as people look at it: its resources, and who may do what; builds nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from mlops_kit.deploy.changes import shown
from mlops_kit.deploy.plan import Shown, html_table, text_table
from mlops_kit.pipeline import Stack

_ARN = re.compile(
    r"^arn:\$\{AWS::Partition\}:([a-z0-9-]+):(?:\$\{AWS::Region\})?:(?:\$\{AWS::AccountId\})?:(.+)$"
)


@dataclass(frozen=True, repr=False)
class Template(Shown):
    """A stack before it is deployed.

    Attributes
    ----------
    stack : Stack
        Template, parameters, and what it ships.
    """

    stack: Stack

    @property
    def body(self) -> Mapping[str, Any]:
        """The template."""
        return self.stack.template

    def json(self) -> str:
        """The template as JSON, as CloudFormation takes it."""
        return json.dumps(self.stack.template, indent=2, ensure_ascii=False)

    def _rows(self) -> list[tuple[str, str]]:
        return [(name, resource["Type"]) for name, resource in self.stack.template["Resources"].items()]

    @property
    def _title(self) -> str:
        shipped = f"{len(self.stack.artifacts)} code artifacts, {len(self.stack.data)} data files"
        return f"{self.stack.name}: {len(self._rows())} resources, {shipped}, {len(self.json()):,} characters"

    def __rich__(self) -> Any:
        return text_table(("resource", "type"), self._rows(), self._title)

    def _html(self) -> str:
        rows = [tuple(map(escape, row)) for row in self._rows()]
        body = f"<details><summary>JSON</summary><pre>{escape(self.json())}</pre></details>"
        return f"<p><b>{escape(self._title)}</b></p>{html_table(('resource', 'type'), rows)}{body}"


@dataclass(frozen=True, repr=False)
class Permissions(Shown):
    """Who may do what on which resource.

    Attributes
    ----------
    rows : tuple
        (role, actions, resources, condition), each a text; one row a statement.
    """

    rows: tuple[tuple[str, str, str, str], ...]

    def __rich__(self) -> Any:
        return text_table(("role", "may", "on", "if"), self._blanked())

    def _html(self) -> str:
        cells = [tuple(escape(cell).replace("\n", "<br>") for cell in row) for row in self._blanked()]
        return html_table(("role", "may", "on", "if"), cells)

    def _blanked(self) -> list[tuple[str, str, str, str]]:
        """Each role named once."""
        before = (None, *(row[0] for row in self.rows))
        return [
            ("" if row[0] == last else row[0], *row[1:]) for row, last in zip(self.rows, before, strict=False)
        ]


def permissions(stack: Stack) -> Permissions:
    """Every statement of every role's policies in a template."""
    return Permissions(tuple(_rows(stack.template["Resources"])))


def _rows(resources: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for name, resource in resources.items():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::IAM::Policy":
            roles = ", ".join(shown(role).strip("${}") for role in properties["Roles"])
            yield from _statements(roles, properties["PolicyDocument"])
        for policy in properties.get("Policies", ()) if resource["Type"] == "AWS::IAM::Role" else ():
            yield from _statements(name, policy["PolicyDocument"])


def _statements(role: str, document: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for statement in document["Statement"]:
        condition = shown(statement["Condition"]) if "Condition" in statement else ""
        yield role, _lines(statement["Action"]), _lines(statement["Resource"]), condition


def _lines(value: Any) -> str:
    """One a line; an ARN by its service and resource, since region and account are everywhere the same."""
    texts = (shown(one) for one in (value if isinstance(value, list) else [value]))
    return "\n".join(_ARN.sub(r"\1 \2", text) for text in texts)

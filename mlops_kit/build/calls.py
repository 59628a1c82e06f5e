"""The service calls of a definition, with what is known of each before it runs; grants nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlops_kit.asl.states import walk
from mlops_kit.build.tokens import resolve
from mlops_kit.errors import UsageError

_SERVICE = re.compile(
    r"arn:(?:aws[a-z-]*|\$\{AWS::Partition\}):states:::"
    r"(?P<service>(?:aws-sdk:)?[A-Za-z0-9]+):(?P<action>[A-Za-z0-9]+)"
    r"(?:\.(?P<pattern>sync:2|sync|waitForTaskToken))?"
)
_FUNCTION = re.compile(r"arn:[^:]+:lambda:.*|\$\{[A-Za-z0-9]+Function(\.Arn)?\}")
_ACTIVITY = re.compile(r"arn:[^:]+(?:::Partition\})?:states:.*:activity:.+")
_FORMAT = re.compile(r"States\.Format\(\s*'((?:[^'{}\\]|\\.)*)(\{\}|'\s*\))")
_JSONATA = re.compile(r"\{%\s*(?P<quote>['\"])(?P<text>[^'\"\\]*)(?P=quote)\s*(?P<more>&.*)?%\}", re.DOTALL)
ANY = "*"


@dataclass(frozen=True)
class Call:
    """One call that a state makes.

    Attributes
    ----------
    state : str
        Name of the state.
    service, action : str
        As in the resource ARN, such as ``sagemaker`` or ``aws-sdk:s3``, and ``createTrainingJob``.
    pattern : str
        ``sync``, ``sync:2``, ``waitForTaskToken`` or empty.
    arguments : mapping or str
        ``Parameters`` or ``Arguments``; text when one JSONata expression makes them all.
    project : str
        Prefix of the names that the kit gives.
    known : mapping
        What each token stands for.
    """

    state: str
    service: str
    action: str
    pattern: str
    arguments: Mapping[str, Any] | str
    project: str
    known: Mapping[str, str] = field(repr=False)

    @property
    def integration(self) -> str:
        """Service and action, such as ``sagemaker:createTrainingJob``."""
        return f"{self.service}:{self.action}"

    @property
    def waits(self) -> bool:
        """Whether the state waits for the end of the job (``.sync``)."""
        return self.pattern.startswith("sync")

    def text(self, member: str) -> str | None:
        """A member's text, or its known beginning and ``*``, or ``*``; ``None`` if it is not given."""
        if isinstance(self.arguments, str):
            return ANY
        return _known_text(self.arguments, member, self.known)

    def required(self, member: str, reason: str) -> str:
        """The text of a member whose value decides a permission that must not be wide.

        Raises
        ------
        UsageError
            The member is absent or only known at run time.
        """
        text = self.text(member)
        if text is None or text.startswith(ANY):
            found = "does not give" if text is None else "knows only at run time"
            raise UsageError(
                f"State {self.state!r} calls {self.integration} and {found} {member}.",
                cause=reason,
                suggestion=f"give {member} as text or as a token such as ${{DataBucket}}.",
            )
        return text

    def roles(self) -> tuple[str, ...]:
        """ARNs of the roles that the call hands on, found in the arguments at any depth.

        Raises
        ------
        UsageError
            A role is no ARN, or only known at run time.
        """
        return tuple(sorted({self._role(text) for text in _members(self.arguments, self.known)}))

    def _role(self, text: str) -> str:
        if re.fullmatch(r"arn:[^:]+(::Partition\})?:iam::.*:role/.+|\$\{[A-Za-z]+\.Arn\}", text):
            return text
        raise UsageError(
            f"State {self.state!r} passes the role {text!r} to {self.service}.",
            cause="a policy that lets Step Functions pass any role would hand out every permission there is",
            suggestion="use ${SageMakerRole}, or the ARN of a role: arn:aws:iam::<account>:role/<name>.",
        )


def _known_text(arguments: Mapping[str, Any], member: str, known: Mapping[str, str]) -> str | None:
    value = arguments.get(member)
    if isinstance(value, str):
        return _beginning(value) if value.startswith("{%") else resolve(value, known)
    if value is not None:
        return ANY
    dynamic = arguments.get(f"{member}.$")
    return None if dynamic is None else _beginning(str(dynamic))


def _beginning(expression: str) -> str:
    """The constant text that an expression's value begins with, and ``*`` unless that is all of it."""
    if match := _JSONATA.fullmatch(expression):
        return match["text"] + (ANY if match["more"] else "")
    if match := _FORMAT.match(expression):
        return re.sub(r"\\(.)", r"\1", match[1]) + (ANY if match[2] == "{}" else "")
    return ANY


def _members(value: Any, known: Mapping[str, str]) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name in ("RoleArn", "ExecutionRoleArn"):
            if (text := _known_text(value, name, known)) is not None:
                yield text
        for inner in value.values():
            yield from _members(inner, known)
    elif isinstance(value, list):
        for inner in value:
            yield from _members(inner, known)


def calls(definition: Mapping[str, Any], project: str, known: Mapping[str, str]) -> Iterator[Call]:
    """Every call that the definition's Task states, item readers and result writers make.

    Raises
    ------
    UsageError
        A resource is no integration of Step Functions.
    """
    for _, name, state in walk(definition):
        if state.get("Credentials"):
            continue  # the role that it names makes the call
        for maker in (
            state if state.get("Type") == "Task" else {},
            state.get("ItemReader"),
            state.get("ResultWriter"),
        ):
            if maker and (call := _call(name, maker, project, known)):
                yield call


def _call(state: str, maker: Mapping[str, Any], project: str, known: Mapping[str, str]) -> Call | None:
    resource = str(maker.get("Resource", ""))
    arguments = maker.get("Parameters", maker.get("Arguments", {}))
    if not isinstance(arguments, Mapping | str):
        arguments = {}
    if match := _SERVICE.fullmatch(resource):
        return Call(
            state, match["service"], match["action"], match["pattern"] or "", arguments, project, known
        )
    if _FUNCTION.fullmatch(resource):
        return Call(state, "lambda", "invoke", "", {"FunctionName": resource}, project, known)
    if _ACTIVITY.fullmatch(resource):
        return None  # its workers ask for the work; the execution's role needs nothing
    raise UsageError(
        f"State {state!r}: {resource!r} is no resource of a Task.",
        suggestion="name an integration such as arn:aws:states:::lambda:invoke, or a function's ARN.",
    )

"""State machines, their revisions, versions and aliases, kept in memory and on disk; answers no request."""

from __future__ import annotations

import functools
import itertools
import random
import threading
import uuid
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mlops_kit.local.service import AwsError
from mlops_kit.local.stepfunctions.docs import loads
from mlops_kit.local.stepfunctions.program import Scope, compile_scope

if TYPE_CHECKING:
    from mlops_kit.local.store import Store

_MACHINE, _REVISION, _ALIAS = "sfn-machine", "sfn-revision", "sfn-alias"


@dataclass(frozen=True)
class Revision:
    """A definition with role and settings, as executions run it; never changes.

    Attributes
    ----------
    number : int
        Key of the row.
    revision_id : str or None
        AWS's id; None for the one that the machine was created with.
    """

    number: int
    machine: str
    revision_id: str | None
    definition: str
    role: str
    created: float
    logging: dict[str, Any] = field(default_factory=dict)
    tracing: bool = False
    encryption: dict[str, Any] | None = None


@dataclass(frozen=True)
class Version:
    """A published version."""

    arn: str
    number: int
    revision: int
    created: float
    description: str | None = None


@dataclass(frozen=True)
class Machine:
    """A state machine."""

    arn: str
    name: str
    type: str
    created: float
    revision: int
    updated: float | None = None
    tags: dict[str, str] = field(default_factory=dict)
    versions: tuple[Version, ...] = ()
    next_version: int = 1


@dataclass(frozen=True)
class Alias:
    """An alias that routes to one or two versions."""

    arn: str
    name: str
    machine: str
    routing: tuple[tuple[str, int], ...]
    created: float
    updated: float
    description: str | None = None


@dataclass(frozen=True)
class Choice:
    """What StartExecution starts: a machine's revision, with the version and alias that led there."""

    machine: Machine
    revision: Revision
    version: str | None = None
    alias: str | None = None


def missing(arn: str) -> AwsError:
    """The error of an unknown state machine."""
    return AwsError("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'")


class Machines:
    """All state machines. Methods may be called from any thread; what they store is on disk on return."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.lock = threading.RLock()
        self._machines: dict[str, Machine] = {}
        self._revisions: dict[int, Revision] = {}
        self._aliases: dict[str, Alias] = {}
        self._numbers = itertools.count(1)
        self.scope = functools.lru_cache(maxsize=512)(self._compile)

    def load(self) -> None:
        """Read what a former process kept."""
        for body in self._store.list(_REVISION):
            revision = Revision(**body)
            self._revisions[revision.number] = revision
        for body in self._store.list(_MACHINE):
            versions = tuple(Version(**version) for version in body.pop("versions"))
            self._machines[body["arn"]] = Machine(**body, versions=versions)
        for body in self._store.list(_ALIAS):
            routing = tuple((arn, weight) for arn, weight in body.pop("routing"))
            self._aliases[body["arn"]] = Alias(**body, routing=routing)
        self._numbers = itertools.count(max(self._revisions, default=0) + 1)

    def _compile(self, revision: int) -> Scope:
        return compile_scope(loads(self._revisions[revision].definition))

    # ----------------------------------------------------------------- look up
    def find(self, arn: str) -> Machine | None:
        """The machine with this unqualified ARN."""
        return self._machines.get(arn)

    def get(self, arn: str) -> Machine:
        """The machine with this unqualified ARN.

        Raises
        ------
        AwsError
            StateMachineDoesNotExist.
        """
        machine = self._machines.get(arn)
        if machine is None:
            raise missing(arn)
        return machine

    def all(self) -> list[Machine]:
        """All machines, by name."""
        return sorted(self._machines.values(), key=lambda machine: machine.name)

    def revision(self, number: int) -> Revision:
        """A revision that exists."""
        return self._revisions[number]

    def version(self, arn: str) -> Version | None:
        """A published version that has not been deleted."""
        machine = self._machines.get(arn.rpartition(":")[0])
        return (
            next((version for version in machine.versions if version.arn == arn), None) if machine else None
        )

    def alias(self, arn: str) -> Alias | None:
        """An alias."""
        return self._aliases.get(arn)

    def aliases(self, machine: str) -> list[Alias]:
        """The aliases of a machine, oldest first."""
        found = [alias for alias in self._aliases.values() if alias.machine == machine]
        return sorted(found, key=lambda alias: (alias.created, alias.name))

    def choose(self, arn: str) -> Choice:
        """What an ARN with or without version or alias starts; an alias draws by its weights.

        Raises
        ------
        AwsError
            StateMachineDoesNotExist.
        """
        machine = self._machines.get(arn)
        if machine is not None:
            return Choice(machine, self._revisions[machine.revision])
        alias = self._aliases.get(arn)
        version_arn = arn
        if alias is not None:
            arns, weights = zip(*alias.routing, strict=True)
            version_arn = random.choices(arns, weights)[0]  # noqa: S311
        version = self.version(version_arn)
        machine = self._machines.get(version_arn.rpartition(":")[0])
        if version is None or machine is None:
            raise missing(arn)
        return Choice(machine, self._revisions[version.revision], version.arn, alias.arn if alias else None)

    # ------------------------------------------------------------------- change
    def add_revision(self, draft: Revision) -> Revision:
        """Keep a new revision under the next number."""
        revision = replace(draft, number=next(self._numbers))
        self._store.put(_REVISION, f"{revision.number:012d}", asdict(revision))
        self._revisions[revision.number] = revision
        return revision

    def put(self, machine: Machine) -> Machine:
        """Keep a machine, new or changed."""
        self._store.put(_MACHINE, machine.arn, asdict(machine))
        self._machines[machine.arn] = machine
        return machine

    def remove(self, arn: str) -> None:
        """Forget a machine with its versions and aliases; its revisions stay for executions."""
        for alias in self.aliases(arn):
            self.remove_alias(alias.arn)
        self._store.delete(_MACHINE, arn)
        self._machines.pop(arn, None)

    def put_alias(self, alias: Alias) -> Alias:
        """Keep an alias, new or changed."""
        self._store.put(_ALIAS, alias.arn, asdict(alias))
        self._aliases[alias.arn] = alias
        return alias

    def remove_alias(self, arn: str) -> None:
        """Forget an alias."""
        self._store.delete(_ALIAS, arn)
        self._aliases.pop(arn, None)

    def publish(self, machine: Machine, now: float, description: str | None) -> tuple[Machine, Version]:
        """Publish the machine's revision; the same revision gives the same version again."""
        for version in machine.versions:
            if version.revision == machine.revision:
                return machine, version
        number = machine.next_version
        version = Version(f"{machine.arn}:{number}", number, machine.revision, now, description)
        machine = replace(machine, versions=(*machine.versions, version), next_version=number + 1)
        return self.put(machine), version


def new_revision_id() -> str:
    """An id for a changed revision."""
    return str(uuid.uuid4())

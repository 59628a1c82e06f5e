"""What Scheduler remembers: groups, schedules and invocations under way; decides nothing.

An invocation is here from the moment its schedule's occurrence is taken until it was delivered or given up,
and the same write moves the schedule past the occurrence: so a restart neither loses nor repeats one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from mlops_kit.cron import occurrences
from mlops_kit.local.service import ACCOUNT
from mlops_kit.local.store import Statement, decode, encode

if TYPE_CHECKING:
    from mlops_kit.local.store import Store

_SCHEMA = [
    "CREATE TABLE scheduler_groups (region TEXT, name TEXT, body TEXT NOT NULL, PRIMARY KEY (region, name)) "
    "WITHOUT ROWID;"
    "CREATE TABLE scheduler_schedules (region TEXT, grp TEXT, name TEXT, taken REAL NOT NULL, "
    "body TEXT NOT NULL, PRIMARY KEY (region, grp, name)) WITHOUT ROWID;"
    "CREATE TABLE scheduler_invocations (id TEXT PRIMARY KEY, region TEXT NOT NULL, grp TEXT NOT NULL, "
    "name TEXT NOT NULL, body TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX scheduler_invocations_by_schedule ON scheduler_invocations (region, grp, name);"
]


class Key(NamedTuple):
    """Which schedule."""

    region: str
    group: str
    name: str

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"arn:aws:scheduler:{self.region}:{ACCOUNT}:schedule/{self.group}/{self.name}"


@dataclass(frozen=True)
class Schedule:
    """One schedule.

    Attributes
    ----------
    key : Key
        Which.
    body : dict
        What GetSchedule answers.
    taken : float
        Epoch seconds up to which its occurrences have been taken.
    anchor : float
        Where a rate without StartDate counts from.
    token : str
        ClientToken of the call that made it.
    """

    key: Key
    body: dict[str, Any]
    taken: float
    anchor: float
    token: str = ""

    @property
    def target(self) -> dict[str, Any]:
        """Whom it invokes."""
        target: dict[str, Any] = self.body["Target"]
        return target

    @property
    def enabled(self) -> bool:
        """Whether it fires at all."""
        return bool(self.body["State"] == "ENABLED")

    def occurrences(self, after: float) -> Iterator[float]:
        """When it fires after a moment, in epoch seconds."""
        expression = self.body["ScheduleExpression"]
        start = self.body.get("StartDate")
        if expression.startswith("rate") and start is None:
            start = datetime.fromtimestamp(self.anchor, UTC)
        zone, end = self.body["ScheduleExpressionTimezone"], self.body.get("EndDate")
        moments = occurrences(expression, zone, datetime.fromtimestamp(after, UTC), start=start, end=end)
        return (moment.timestamp() for moment in moments)


@dataclass(frozen=True)
class Invocation:
    """One occurrence on its way to the target.

    Attributes
    ----------
    id : str
        AWS's execution id.
    key : Key
        Of the schedule.
    target : dict
        Whom to invoke, as it was when the occurrence was taken.
    scheduled : float
        Epoch seconds that the schedule says.
    due : float
        Epoch seconds of the first attempt, within the flexible window.
    next : float
        Epoch seconds of the next attempt.
    failures : int
        Attempts that failed.
    error : tuple of str
        Code and words of the last failure.
    """

    id: str
    key: Key
    target: dict[str, Any]
    scheduled: float
    due: float
    next: float
    failures: int = 0
    error: Sequence[str] = ("", "")


@dataclass(frozen=True)
class Group:
    """One schedule group; ``body`` is what GetScheduleGroup answers."""

    region: str
    name: str
    body: dict[str, Any]
    tags: list[dict[str, str]] = field(default_factory=list)
    token: str = ""


class Book:
    """The tables.

    Parameters
    ----------
    store : Store
        The one SQLite file.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        store.migrate("scheduler", _SCHEMA)

    def write(self, statements: Sequence[Statement]) -> None:
        """Write, and return when it is on disk."""
        if statements:
            self._store.write(statements).result()

    def group(self, region: str, name: str) -> Group | None:
        """One group."""
        return next(iter(self._groups("WHERE region = ? AND name = ?", (region, name))), None)

    def groups(self, region: str) -> list[Group]:
        """Groups of a region by name."""
        return self._groups("WHERE region = ? ORDER BY name", (region,))

    def schedule(self, key: Key) -> Schedule | None:
        """One schedule."""
        return next(iter(self._schedules("WHERE region = ? AND grp = ? AND name = ?", key)), None)

    def schedules(self, region: str | None = None) -> list[Schedule]:
        """Schedules of a region, or all, by group and name."""
        if region is None:
            return self._schedules("", ())
        return self._schedules("WHERE region = ? ORDER BY grp, name", (region,))

    def invocations(self, key: Key | None = None) -> list[Invocation]:
        """What is under way, of one schedule or of all."""
        where, params = ("WHERE region = ? AND grp = ? AND name = ?", key) if key else ("", ())
        rows = self._store.query(f"SELECT * FROM scheduler_invocations {where}", params)  # noqa: S608
        found = []
        for row in rows:
            of = Key(row["region"], row["grp"], row["name"])
            found.append(Invocation(id=row["id"], key=of, **decode(row["body"])))
        return found

    def _groups(self, where: str, params: Sequence[Any]) -> list[Group]:
        rows = self._store.query(f"SELECT * FROM scheduler_groups {where}", params)  # noqa: S608
        return [Group(row["region"], row["name"], **decode(row["body"])) for row in rows]

    def _schedules(self, where: str, params: Sequence[Any]) -> list[Schedule]:
        rows = self._store.query(f"SELECT * FROM scheduler_schedules {where}", params)  # noqa: S608
        return [
            Schedule(Key(row["region"], row["grp"], row["name"]), taken=row["taken"], **decode(row["body"]))
            for row in rows
        ]


def put_group(group: Group) -> Statement:
    """Write a group."""
    body = encode({"body": group.body, "tags": group.tags, "token": group.token})
    return "INSERT OR REPLACE INTO scheduler_groups VALUES (?, ?, ?)", (group.region, group.name, body)


def drop_group(region: str, name: str) -> list[Statement]:
    """Remove a group with its schedules and what they have not begun to deliver."""
    where = "WHERE region = ? AND grp = ?"
    return [
        ("DELETE FROM scheduler_groups WHERE region = ? AND name = ?", (region, name)),
        (f"DELETE FROM scheduler_schedules {where}", (region, name)),  # noqa: S608
        (f"DELETE FROM scheduler_invocations {where}", (region, name)),  # noqa: S608
    ]


def put_schedule(schedule: Schedule) -> Statement:
    """Write a schedule."""
    body = encode({"body": schedule.body, "anchor": schedule.anchor, "token": schedule.token})
    return (
        "INSERT OR REPLACE INTO scheduler_schedules VALUES (?, ?, ?, ?, ?)",
        (*schedule.key, schedule.taken, body),
    )


def drop_schedule(key: Key) -> Statement:
    """Remove a schedule."""
    return "DELETE FROM scheduler_schedules WHERE region = ? AND grp = ? AND name = ?", key


def take(schedule: Schedule, invocations: Sequence[Invocation], until: float) -> list[Statement]:
    """Move a schedule past occurrences, which become invocations."""
    return [
        put_schedule(replace(schedule, taken=until)),
        *(put_invocation(invocation) for invocation in invocations),
    ]


def put_invocation(invocation: Invocation) -> Statement:
    """Write how far an invocation has come."""
    names = ("target", "scheduled", "due", "next", "failures", "error")
    body = encode({name: getattr(invocation, name) for name in names})
    return (
        "INSERT OR REPLACE INTO scheduler_invocations VALUES (?, ?, ?, ?, ?)",
        (invocation.id, *invocation.key, body),
    )


def drop_invocation(invocation: Invocation) -> Statement:
    """Forget an invocation that has ended."""
    return "DELETE FROM scheduler_invocations WHERE id = ?", (invocation.id,)

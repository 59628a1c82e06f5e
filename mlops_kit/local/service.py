"""What every service of ours is made of: a request, an error in AWS's words, and what it may use.

Must not know a single service.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from mlops_kit.local.authorization import Authorization, Credentials
    from mlops_kit.local.clock import Clock
    from mlops_kit.local.processes import Runner
    from mlops_kit.local.store import Store

ACCOUNT = "000000000000"


class AwsError(Exception):
    """An error that leaves the port as AWS would say it.

    Parameters
    ----------
    code : str
        AWS's error code, such as ``ValidationException``.
    message : str
        AWS's words where they are known.
    status : int
        HTTP status.
    fields : mapping, optional
        Further members of the error's shape.
    """

    def __init__(
        self, code: str, message: str, status: int = 400, fields: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.fields = dict(fields or {})


def disk_refused(problem: object) -> AwsError:
    """The error of a call that could not be brought to disk, and so is not acknowledged."""
    words = (
        f"The embedded AWS cannot write to its state folder ({problem}). Free some space on that disk and "
        "try again; nothing that was answered before is lost."
    )
    return AwsError("ServiceUnavailable", words, 503)


@dataclass(frozen=True)
class Request:
    """One call, its parameters already parsed and checked against botocore's model.

    Attributes
    ----------
    operation : str
        AWS's operation, such as ``CreateTrainingJob``.
    params : dict
        Members in AWS's spelling; blobs are bytes, timestamps are aware datetimes.
    region : str
        Region that the caller signed for.
    access_key : str
        Access key id of the signature; may be empty.
    headers : mapping
        Lower-case header names.
    """

    operation: str
    params: dict[str, Any]
    region: str
    access_key: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Encoded:
    """A whole answer of a JSON service in its wire form already, where encoding it anew would be slow.

    Attributes
    ----------
    body : bytes
        JSON.
    """

    body: bytes


Handler = Callable[[Request], "dict[str, Any] | Encoded | Awaitable[dict[str, Any]]"]


class Emit(Protocol):
    """See `Context.emit`."""

    def __call__(
        self,
        source: str,
        detail_type: str,
        detail: Mapping[str, Any],
        resources: Sequence[str],
        region: str = "",
    ) -> None:
        """Put an event."""


class Log(Protocol):
    """See `Context.log`."""

    def __call__(
        self, group: str, stream: str, lines: Sequence[str | tuple[float, str]], region: str = ""
    ) -> None:
        """Append lines."""


class Metric(Protocol):
    """See `Context.metric`."""

    def __call__(
        self,
        namespace: str,
        name: str,
        value: float,
        unit: str,
        dimensions: Mapping[str, str],
        region: str = "",
    ) -> None:
        """Put a value."""


@dataclass(frozen=True)
class Context:
    """What the server hands to each of our services; nothing is global.

    Attributes
    ----------
    store : Store
        The one SQLite file.
    clock : Clock
        The one clock.
    runner : Runner
        The one runner of child processes.
    state_dir : pathlib.Path
        The state folder.
    url : str
        The port's own endpoint, ``http://127.0.0.1:<port>``.
    region : str
        Region that clients, events, lines and metrics are of; `within` gives another.
    emit : callable
        ``emit(source, detail_type, detail, resources)`` puts an AWS service event on the default bus;
        thread-safe, returns at once, never raises.
    log : callable
        ``log(group, stream, lines)`` appends lines to CloudWatch Logs, creating group and stream;
        thread-safe, returns at once. A line is text, or (epoch seconds, text).
    metric : callable
        ``metric(namespace, name, value, unit, dimensions)`` puts a CloudWatch metric; thread-safe,
        returns at once.
    settle : callable
        ``settle()`` blocks a worker thread until ministack's services that have changed are on disk.
    authorization : Authorization, optional
        What roles may do; None: whatever they like.
    credentials : Credentials, optional
        Whom `client` signs for; None: the account's administrator.
    """

    store: Store
    clock: Clock
    runner: Runner
    state_dir: Path
    url: str
    region: str
    emit: Emit
    log: Log
    metric: Metric
    settle: Callable[[], None]
    authorization: Authorization | None = None
    credentials: Credentials | None = None

    def within(self, region: str) -> Context:
        """The same for another region: its clients, and where events, log lines and metrics go."""
        if region == self.region:
            return self
        return replace(
            self,
            region=region,
            emit=partial(self.emit, region=region),
            log=partial(self.log, region=region),
            metric=partial(self.metric, region=region),
        )

    def acting(self, role_arn: str, session: str) -> Context:
        """The same for a role: its clients and its log do what the role's policies allow, where enforced.

        Parameters
        ----------
        role_arn : str
            The role.
        session : str
            Name of its session, as AWS names it for the service that assumes the role.
        """
        from mlops_kit.local.authorization import Session

        if self.authorization is None or not role_arn:
            return self
        credentials = Session(role_arn, session).credentials
        log = self.authorization.logging(self.log, role_arn, session, self.region)
        return replace(self, credentials=credentials, log=log)

    def identity(self) -> dict[str, str]:
        """Variables by which a child process is whom `client` signs for; none for the administrator."""
        return self.credentials.environment() if self.credentials is not None else {}

    def client(self, service: str) -> Any:
        """A botocore client of this port, cached by service; for worker threads only, never the loop's."""
        from mlops_kit.local.clients import client

        return client(self.url, self.region, service, self.credentials)


class Service:
    """One AWS service of ours: subclasses fill ``operations`` in ``__init__``.

    A handler that is a plain function runs in a worker thread; an ``async def`` runs on the server's loop
    and must not block it.
    """

    name: str  # botocore's service name, such as "stepfunctions"

    def __init__(self, context: Context) -> None:
        self.context = context
        self.operations: dict[str, Handler] = {}

    def start(self) -> None:
        """Take up again what a former process left unfinished; called once the port answers."""

    def under_way(self) -> list[str]:
        """What runs in real time and comes to an end by itself, such as jobs; from any thread, quick."""
        return []

    def stop(self) -> None:
        """Come to rest; child processes that outlive the server may go on."""

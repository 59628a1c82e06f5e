"""Whether a role may do something, and the credentials that name it; must not know HTTP nor any service.

There is one only when the server was started with ``--enforce-iam``; without, `Context.authorization` is
None and everybody is the account's administrator. What acts as a role calls through
``context.acting(role_arn, session)``, and the port refuses. Policies are ministack's IAM's, and so is their
evaluation (`authorization_policies`).
"""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_kit.local.service import ACCOUNT, AwsError

if TYPE_CHECKING:
    from mlops_kit.local.authorization_policies import Decision
    from mlops_kit.local.service import Log
    from mlops_kit.local.store import Store

_KIND = "role-session"  # of documents in the store


@dataclass(frozen=True)
class Session:
    """A role that somebody has assumed.

    Attributes
    ----------
    role_arn : str
        The role.
    name : str
        Name of the session, as CloudTrail shows it.
    """

    role_arn: str
    name: str

    @property
    def arn(self) -> str:
        """The ARN of the assumed role, by which AWS names the caller."""
        account, role = self.role_arn.split(":")[4], self.role_arn.rpartition("/")[2]
        return f"arn:aws:sts::{account or ACCOUNT}:assumed-role/{role}/{self.name}"

    @property
    def credentials(self) -> Credentials:
        """Keys that name it: the same for the same session, so that those of a running job stay valid."""
        digest = hashlib.sha256(f"{self.role_arn} {self.name}".encode()).digest()
        text = base64.b32encode(digest).decode()
        return Credentials(f"ASIA{text[:16]}", text[16:48].lower(), f"{self.role_arn}/{self.name}")


@dataclass(frozen=True)
class Credentials:
    """An access key as AWS hands it to what runs under a role."""

    access_key: str
    secret_key: str
    token: str

    def environment(self) -> dict[str, str]:
        """As boto3 reads them in a child process."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_SESSION_TOKEN": self.token,
        }


class Authorization:
    """The sessions of roles that the embedded AWS has opened, and what they may do.

    Parameters
    ----------
    store : Store
        Keeps the sessions, so that a job that outlives the server is known again.
    region : str
        Where a resource lies that does not say so.
    """

    def __init__(self, store: Store, region: str) -> None:
        self._store = store
        self._region = region
        self._guard = threading.Lock()
        self._sessions: dict[str, Session] | None = None

    def credentials(self, role_arn: str, session: str) -> Credentials:
        """Credentials of a role, valid as long as the state folder.

        Parameters
        ----------
        role_arn : str
            The role that something runs under.
        session : str
            Name of the session, as AWS names it for that service.
        """
        opened = Session(role_arn, session)
        credentials = opened.credentials
        if credentials.access_key not in self._known():
            self._store.put(_KIND, credentials.access_key, {"role": role_arn, "session": session})
            self._known()[credentials.access_key] = opened
        return credentials

    def assumable(self, role_arn: str, service: str, source: str = "") -> bool:
        """Whether a role's trust policy lets a service such as ``states.amazonaws.com`` assume it."""
        from mlops_kit.local.authorization_policies import trusts

        return trusts(role_arn, service, source)

    def logging(self, log: Log, role_arn: str, session: str) -> Log:
        """``log`` for a role: lines that its policies do not let it write are lost, as on AWS."""

        def allowed(group: str, stream: str, region: str) -> bool:
            arn = f"arn:aws:logs:{region}:{ACCOUNT}:log-group:{group}:log-stream:{stream}"
            try:
                for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
                    self.check(role_arn, action, arn, session=session)
            except AwsError:
                return False
            return True

        def guarded(
            group: str, stream: str, lines: Sequence[str | tuple[float, str]], region: str = ""
        ) -> None:
            if allowed(group, stream, region or self._region):
                log(group, stream, lines, region)

        return guarded

    def session(self, access_key: str) -> Session | None:
        """The session that an access key of `credentials` names."""
        return self._known().get(access_key)

    def check(
        self,
        role_arn: str,
        action: str,
        resource: str,
        context: Mapping[str, Any] | None = None,
        session: str = "embedded",
    ) -> None:
        """Refuse what the role may not do.

        Parameters
        ----------
        role_arn : str
            The role.
        action : str
            IAM's action, such as ``sqs:SendMessage``.
        resource : str
            ARN of what it acts on, ``*`` when the action knows no resource.
        context : mapping, optional
            Condition keys, such as ``iam:PassedToService``.
        session : str
            Name of the session that the error shows.

        Raises
        ------
        AwsError
            AccessDeniedException in AWS's words.
        """
        from mlops_kit.local.authorization_policies import decide, of_role

        caller = of_role(Session(role_arn, session))
        region = resource.split(":")[3] if resource.count(":") >= 5 else ""
        decision = decide(caller, action, resource, context or {}, region or self._region)
        if not decision.allowed:
            raise AwsError("AccessDeniedException", denial(caller.arn, action, resource, decision))

    def _known(self) -> dict[str, Session]:
        with self._guard:
            if self._sessions is None:
                opened = (Session(row["role"], row["session"]) for row in self._store.list(_KIND))
                self._sessions = {session.credentials.access_key: session for session in opened}
            return self._sessions


def denial(caller: str, action: str, resource: str, decision: Decision) -> str:
    """AWS's words ("Troubleshoot access denied error messages", IAM User Guide)."""
    where = "a resource-based" if decision.by_resource else "an identity-based"
    because = (
        f"with an explicit deny in {where} policy"
        if decision.explicit
        else f"because no identity-based policy allows the {action} action"
    )
    on = "" if resource == "*" else f" on resource: {resource}"  # an action that knows none
    return f"User: {caller} is not authorized to perform: {action}{on} {because}"

"""Whether a role may do something, and the credentials that name it; must not know HTTP nor any service.

There is one only when the server was started with ``--enforce-iam``; without, `Context.authorization` is
None and everybody is the account's administrator. What acts as a role calls through
``context.acting(role_arn, session)``, and the port refuses. Policies are ministack's IAM's, and so is their
evaluation (`authorization_policies`).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_kit.local.service import ACCOUNT, AwsError

if TYPE_CHECKING:
    from mlops_kit.local.authorization_policies import Decision
    from mlops_kit.local.service import Log


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
        """Keys that name it; nothing has to be kept for them, so those of a job outlive the server."""
        token = f"{self.role_arn}/{self.name}"
        text = base64.b32encode(hashlib.sha256(token.encode()).digest()).decode()
        return Credentials(f"ASIA{text[:16]}", text[16:48].lower(), token)

    @staticmethod
    def of(access_key: str, token: str) -> Session | None:
        """The session whose credentials these are; None when they are somebody else's."""
        role_arn, _, name = token.rpartition("/")
        session = Session(role_arn, name)
        ours = role_arn.count(":") >= 5 and session.credentials.access_key == access_key
        return session if ours else None


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
    """What roles may do.

    Parameters
    ----------
    region : str
        Where a resource lies that does not say so.
    """

    def __init__(self, region: str) -> None:
        self._region = region

    def assumable(self, role_arn: str, service: str, source: str = "") -> bool:
        """Whether a role's trust policy lets a service such as ``states.amazonaws.com`` assume it."""
        from mlops_kit.local.authorization_policies import trusts

        return trusts(role_arn, service, source)

    def logging(self, log: Log, role_arn: str, session: str, region: str) -> Log:
        """``log`` for a role: lines that its policies do not let it write are lost, as on AWS.

        Parameters
        ----------
        region : str
            Where ``log`` writes when it is not told.
        """

        def allowed(group: str, stream: str, region: str) -> bool:
            arn = f"arn:aws:logs:{region}:{ACCOUNT}:log-group:{group}:log-stream:{stream}"
            try:
                for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
                    self.check(role_arn, action, arn, session=session)
            except AwsError:
                return False
            return True

        own = region

        def guarded(
            group: str, stream: str, lines: Sequence[str | tuple[float, str]], region: str = ""
        ) -> None:
            if allowed(group, stream, region or own):
                log(group, stream, lines, **({"region": region} if region else {}))

        return guarded

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

"""Who a caller is and what its policies say, by ministack's IAM and evaluator; must not word a refusal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlops_kit.local.ministack import module
from mlops_kit.local.service import ACCOUNT

if TYPE_CHECKING:
    from mlops_kit.local.authorization import Session

_ATTEMPTS = 5


@dataclass(frozen=True)
class Caller:
    """Somebody with policies.

    Attributes
    ----------
    arn : str
        As AWS names the caller.
    kind, account : str
        ``AssumedRole`` or another of ministack's kinds; the account.
    policies : sequence
        Parsed statements, by policy.
    limits : sequence
        Permissions boundary and session policies, which narrow the policies.
    keys : mapping
        Condition keys that describe the caller.
    """

    arn: str
    kind: str
    account: str
    policies: Sequence[Any]
    limits: Sequence[Any] = ()
    keys: Mapping[str, Any] = field(default_factory=dict)


# Who made the request that is being served, for what a service does in that name; None: the administrator.
CALLING: ContextVar[Caller | None] = ContextVar("calling", default=None)


@dataclass(frozen=True)
class Decision:
    """What the policies say: allowed or not, by an explicit Deny, and whether that is the resource's own."""

    allowed: bool
    explicit: bool = False
    by_resource: bool = False


@dataclass(frozen=True)
class Unknown:
    """An access key that cannot be anybody's: AWS's error code and message."""

    code: str
    message: str


def of_role(session: Session) -> Caller:
    """The caller that a session of a role is; a role that does not exist has no policies."""
    iam = module("core.iam_evaluator")
    role = session.role_arn.rpartition("/")[2]
    account = _account(session.role_arn)
    roles = module("services.iam")._roles
    tags = _again(lambda: list((roles.get_scoped(account, None, role) or {}).get("Tags") or []))
    return Caller(
        session.arn,
        "AssumedRole",
        account,
        _again(lambda: iam._gather_role_policies(role, account)),
        _again(lambda: iam._permissions_boundary(roles, role, account)),
        {f"aws:principaltag/{tag['Key'].lower()}": tag["Value"] for tag in tags},
    )


def of_key(access_key: str) -> Caller | Unknown | None:
    """The caller of a key that IAM or STS has issued; None for anybody else's, who is the administrator.

    A key that only STS can have issued, and has not, is nobody's; so is one that has expired or is inactive.
    """
    iam = module("core.iam_evaluator")
    found = iam.resolve_principal(access_key, ACCOUNT)
    if isinstance(found, iam.AuthError):
        dummy = found.code == "UnrecognizedClientException" and not access_key.startswith("ASIA")
        return None if dummy else Unknown(found.code, found.message)
    if found.policies is None:
        return None
    return Caller(found.arn, found.type, found.account, found.policies, found.limits, found.keys)


def trusts(role_arn: str, service: str, source: str) -> bool:
    """Whether a role's trust policy lets an AWS service assume it; False for a role that does not exist.

    Parameters
    ----------
    service : str
        The service's principal, such as ``states.amazonaws.com``.
    source : str
        ARN of the resource on whose behalf: ``aws:SourceArn``.
    """
    iam, account = module("core.iam_evaluator"), _account(role_arn)
    role = module("services.iam")._roles.get_scoped(account, None, role_arn.rpartition("/")[2])
    if role is None:
        return False
    about = {"aws:sourcearn": source, "aws:sourceaccount": ACCOUNT}
    asked = iam.EvalContext("", "", ACCOUNT, "sts:AssumeRole", role_arn, "", service_context=about)
    decision = iam.evaluate_resource_policy(role["AssumeRolePolicyDocument"], asked, service=service).decision
    return bool(decision == "Allow")


def show(session: Session) -> None:
    """Let STS know a session, so that GetCallerIdentity names it; call on the server's loop."""
    keys, sts = session.credentials, module("services.sts")
    if keys.access_key not in sts._sessions:
        role, about = session.role_arn.rpartition("/")[2], {"Arn": session.arn}
        about |= {"SecretAccessKey": keys.secret_key, "SessionToken": keys.token}
        sts.register_session(keys.access_key, {**about, "UserId": f"{role}:{session.name}"})


def decide(caller: Caller, action: str, resource: str, context: Mapping[str, Any], region: str) -> Decision:
    """Evaluate the caller's policies and the resource's own.

    Parameters
    ----------
    context : mapping
        Condition keys of the request.
    region : str
        What ``aws:RequestedRegion`` is.
    """
    iam, service = module("core.iam_evaluator"), action.partition(":")[0]
    keys: dict[str, Any] = {"aws:tagkeys": None, **{name.lower(): value for name, value in context.items()}}
    if iam._names_condition_key(caller.policies, "aws:resourcetag/"):
        tags = module("services.tagging").resource_tags(resource) or {}
        keys |= {f"aws:resourcetag/{name}".lower(): value for name, value in tags.items()}
    asked = iam.EvalContext(
        caller.arn,
        caller.kind,
        caller.account,
        action,
        resource,
        region,
        service_context=keys,
        principal_keys=dict(caller.keys),
    )
    result = iam.evaluate(asked, caller.policies, *caller.limits)
    found = _again(lambda: iam._resource_policy(service, resource))
    if found is not None:
        required = service in iam._POLICY_REQUIRED
        result = iam.combine_resource_policy(result, asked, *found, required=required, limits=caller.limits)
    explicit = result.decision == "Deny"
    return Decision(result.decision == "Allow", explicit, explicit and bool(result.resource_policy_arn))


def _account(role_arn: str) -> str:
    return role_arn.split(":")[4] if role_arn.count(":") >= 5 else ACCOUNT


def _again(look: Callable[[], Any]) -> Any:
    """What a look finds; once more when the server's loop changed it while a thread looked."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return look()
        except RuntimeError:
            continue
    return look()

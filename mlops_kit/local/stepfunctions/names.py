"""ARNs and names of Step Functions: made, read, and refused in AWS's words; no state."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass

from mlops_kit.local.service import ACCOUNT, AwsError

# CreateStateMachine, "name": no brackets, wildcards, special or control characters.
_FORBIDDEN = re.compile(r"""[\s<>{}\[\]?*"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]""")
_ARN = re.compile(r"arn:(aws[a-z-]*):states:([a-z0-9-]+):(\d{12}):([a-zA-Z]+):(.+)")
_KINDS = {
    "stateMachine": re.compile(r"[^:/]+(:[^:/]+)?|[^:/]+/[^:/]+(:[^:/]+)?"),
    "execution": re.compile(r"[^:/]+(/[^:/]+)?:[^:/]+"),
    "express": re.compile(r"[^:]+:[^:]+:[^:]+"),
    "activity": re.compile(r"[^:/]+"),
    "mapRun": re.compile(r"[^:/]+/[^:/]+:[^:/]+"),
}


@dataclass(frozen=True)
class Arn:
    """An ARN of the service, in its parts; ``resource`` is what follows the kind."""

    text: str
    partition: str
    region: str
    kind: str
    resource: str


def parse(text: str, *kinds: str) -> Arn:
    """Read an ARN of one of the kinds.

    Raises
    ------
    AwsError
        InvalidArn, in AWS's words.
    """
    if not text.startswith("arn:"):
        raise AwsError("InvalidArn", f"Invalid Arn: 'Invalid ARN prefix: {text}'")
    match = _ARN.fullmatch(text)
    if match is None or match[4] not in kinds:
        wrong = match is not None and match[4] in _KINDS
        why = "Resource type not valid in this context" if wrong else "Invalid ARN"
        raise AwsError("InvalidArn", f"Invalid Arn: '{why}: {match[4] if wrong and match else text}'")
    if not _KINDS[match[4]].fullmatch(match[5]):
        raise AwsError("InvalidArn", f"Invalid Arn: 'Invalid ARN: {text}'")
    return Arn(text, match[1], match[2], match[4], match[5])


def check_name(name: str) -> str:
    """Refuse a name as AWS refuses it (1 to 80 characters, none of the forbidden ones).

    Raises
    ------
    AwsError
        InvalidName.
    """
    if not 0 < len(name) <= 80 or _FORBIDDEN.search(name):
        raise AwsError("InvalidName", f"Invalid Name: '{name}'")
    return name


def arn(region: str, kind: str, resource: str) -> str:
    """Make an ARN of the service in this account."""
    partition = (
        "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
    )
    return f"arn:{partition}:states:{region}:{ACCOUNT}:{kind}:{resource}"


def execution_arn(machine_arn: str, name: str) -> str:
    """ARN of a Standard execution of a state machine (or of a Map Run's child machine)."""
    return f"{machine_arn.replace(':stateMachine:', ':execution:', 1)}:{name}"


def express_arn(machine_arn: str, name: str) -> str:
    """ARN of an Express execution: the service adds a second random part."""
    return f"{machine_arn.replace(':stateMachine:', ':express:', 1)}:{name}:{uuid.uuid4()}"


def machine_name(machine_arn: str) -> str:
    """Name of the state machine in its ARN, with the label of a Map Run if there is one."""
    return machine_arn.split(":")[6]


def base_machine(arn_text: str) -> str:
    """ARN of the state machine without version, alias or label."""
    parts = arn_text.split(":")
    return ":".join([*parts[:6], parts[6].split("/")[0]])


def new_name() -> str:
    """A name for an execution that was started without one."""
    return str(uuid.uuid4())

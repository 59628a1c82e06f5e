"""Arguments of a job run, as ``awsglue.utils`` gives them; must run on every Python that a job may run on.

Source: AWS Glue Developer Guide, "Accessing parameters using getResolvedOptions".
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

_RESERVED = (
    "continuation_option",
    "job_bookmark_option",
    "job_bookmark_from",
    "job_bookmark_to",
    "encryption_type",
)
_OPTIONAL = ("TempDir", "RedshiftTempDir")


def getResolvedOptions(args: Sequence[str], options: Sequence[str]) -> dict[str, str]:
    """Values of the named arguments.

    Parameters
    ----------
    args : sequence of str
        ``sys.argv``.
    options : sequence of str
        Names without ``--``; all are required, ``TempDir`` excepted.

    Raises
    ------
    RuntimeError
        A name is reserved.
    SystemExit
        2, after the usage on standard error, when one is missing.
    """
    parser = argparse.ArgumentParser()
    for name in options:
        if name in _RESERVED:
            raise RuntimeError(f"Using reserved arguments {name}")
        if name not in _OPTIONAL:
            parser.add_argument(f"--{name}", required=True)
    for name in _OPTIONAL:
        parser.add_argument(f"--{name}")
    found = vars(parser.parse_known_args(list(args[1:]))[0])
    temporary = found["TempDir"] or found["RedshiftTempDir"]
    return {
        **found,
        "TempDir": temporary,
        "RedshiftTempDir": temporary,
        "job_bookmark_option": "job-bookmark-disable",
    }

"""``pip`` as a job's shell script sees it: checks requirements, changes nothing.

Run as ``python -m mlops_kit.local.sagemaker.pip install -r requirements.txt``.
"""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

from mlops_kit.local.sagemaker.requirements import RequirementsError, check


def main(arguments: list[str]) -> int:
    """Check what ``install -r FILE`` would install; removing is passed over, anything else is refused."""
    if arguments[:1] == ["uninstall"]:
        print("pip: jobs of the embedded AWS share one environment; nothing is uninstalled.")
        return 0
    files = [value for flag, value in pairwise(arguments) if flag in ("-r", "--requirement")]
    if arguments[:1] != ["install"] or not files:
        print("pip: jobs of the embedded AWS can only check 'install -r FILE'.", file=sys.stderr)
        return 1
    try:
        for file in files:
            check(Path(file))
    except RequirementsError as error:
        print(f"pip: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

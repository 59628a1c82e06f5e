"""Write environment.yml from requirements.lock, so that conda users get the same pins.

Run by ``make lock``; a test holds the two equal.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parent.parent


def environment(lock: str) -> str:
    """Text of environment.yml for a lock file's text."""
    pins = "\n".join(f"      - {line}" for line in lock.splitlines() if line and not line.startswith("#"))
    return (
        "# The same environment for conda: conda env create --file environment.yml\n"
        "# Written from requirements.lock by `make lock`; do not edit.\n"
        "name: mlops-kit\n"
        "channels:\n"
        "  - conda-forge\n"
        "dependencies:\n"
        "  - python >=3.11,<3.14\n"
        "  - pip\n"
        "  - pip:\n"
        f"{pins}\n"
        "      - --editable .\n"
    )


if __name__ == "__main__":
    (ROOT / "environment.yml").write_text(environment((ROOT / "requirements.lock").read_text()))

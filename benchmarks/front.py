"""The front door: import and --help, beside the bare interpreter and Metaflow."""

from __future__ import annotations

from benchmarks.measure import HERE, PEERS, run, table


def main() -> str:
    """A table of wall time and memory."""
    python = str(HERE / "python")
    commands = {
        "python -c pass (floor)": [python, "-c", "pass"],
        "import mlops_kit": [python, "-c", "import mlops_kit"],
        "mlops-kit --help": [str(HERE / "mlops-kit"), "--help"],
    }
    if (PEERS / "metaflow").exists():
        commands["metaflow --help"] = [str(PEERS / "metaflow"), "--help"]
    samples = {name: run(argv) for name, argv in commands.items()}
    last = samples[list(samples)[-1]].seconds
    rows = [(name, s.seconds, s.megabytes, s.seconds / last) for name, s in samples.items()]
    return table("Front door", ("command", "seconds", "peak MB", "ratio to the last row"), rows)

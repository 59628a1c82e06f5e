"""One check of 1,000,000 rows of 15 numbers and 5 categories against a kept reference, as a whole process.

The floor is DuckDB reading the same columns; peers are Evidently, NannyML, and scipy column by column. In the
checked data one number is moved by 0.2 standard deviations and one category's mix is changed: a right verdict
names these two and no other.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory

from benchmarks.measure import HERE, Sample, run, table

ROWS = 1_000_000
PEER = Path(".venv-bench-drift/bin/python")
CHANGED = {"n00", "c0"}

MAKE = """
import sys
import numpy as np, pandas as pd
rows, seed, changed, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "changed", sys.argv[4]
draw = np.random.default_rng(seed)
kinds = (draw.normal, draw.exponential, lambda size: draw.gamma(2.0, size=size), draw.random, draw.lognormal)
frame = {f"n{index:02}": kinds[index % 5](size=rows) for index in range(15)}
frame["n00"] += 0.2 * changed
usual, moved = [0.4, 0.3, 0.15, 0.1, 0.05], [0.33, 0.33, 0.17, 0.12, 0.05]
for index in range(5):
    shares = moved if changed and index == 0 else usual
    frame[f"c{index}"] = np.array(list("abcde"))[draw.choice(5, size=rows, p=shares)]
pd.DataFrame(frame).to_parquet(path, index=False)
"""
FLOOR = """
import sys, duckdb
names = [f"n{index:02}" for index in range(15)], [f"c{index}" for index in range(5)]
sums = [f"sum({name})" for name in names[0]] + [f"sum(length({name}))" for name in names[1]]
duckdb.connect().execute(f"SELECT {', '.join(sums)} FROM read_parquet('{sys.argv[2]}')").fetchall()
"""
SCIPY = """
import sys, json
import pandas as pd
from scipy import stats
before, now = pd.read_parquet(sys.argv[1]), pd.read_parquet(sys.argv[2])
found = []
for name in before:
    if name.startswith("n"):
        p = stats.ks_2samp(before[name], now[name], method="asymp").pvalue
    else:
        counts = [before[name].value_counts(), now[name].value_counts()]
        p = stats.chi2_contingency(pd.DataFrame(counts)).pvalue
    found += [name] * bool(p < 0.01 / len(before.columns))
json.dump(found, open(sys.argv[3], 'w'))
"""
NANNYML = """
import os, sys, json
os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"
import nannyml, pandas as pd
before, now = pd.read_parquet(sys.argv[1]), pd.read_parquet(sys.argv[2])
calculator = nannyml.UnivariateDriftCalculator(column_names=list(before), chunk_number=10)
calculator.fit(before)
result = calculator.calculate(now).filter(period="analysis").to_df()
alerts = result.xs("alert", axis=1, level=2).any()
json.dump(sorted({name for (name, _), alert in alerts.items() if alert}), open(sys.argv[3], 'w'))
"""
EVIDENTLY = """
import sys, json
import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset
before, now = pd.read_parquet(sys.argv[1]), pd.read_parquet(sys.argv[2])
found = json.loads(Report([DataDriftPreset()]).run(now, before).json())
verdicts = [one for one in found["metrics"] if "column" in one["config"]]
named = [one["config"]["column"] for one in verdicts if one["value"] >= one["config"]["threshold"]]
json.dump(named, open(sys.argv[3], "w"))
"""


@dataclass(frozen=True)
class Checked:
    """A peer's check: what it took, and which columns it named."""

    sample: Sample
    named: set[str]

    @property
    def verdict(self) -> str:
        missed, wrong = CHANGED - self.named, self.named - CHANGED
        words = [f"missed {', '.join(sorted(missed))}"] * bool(missed) + [f"{len(wrong)} false"] * bool(wrong)
        return "; ".join(words) or "right"


def main() -> str:
    """A table of the floor, the kit and its peers."""
    python = str(HERE / "python")
    with TemporaryDirectory() as folder:
        before, now = (str(Path(folder, f"{name}.parquet")) for name in ("before", "now"))
        for seed, state, path in (("1", "like", before), ("2", "changed", now)):
            subprocess.run([python, "-c", MAKE, str(ROWS), seed, state, path], check=True)
        kept = str(Path(folder, "profile.json"))
        subprocess.run(
            [str(HERE / "mlops-kit"), "profile", before, "-o", kept], check=True, capture_output=True
        )
        floor = run([python, "-c", FLOOR, before, now])
        checks = {"DuckDB reads the columns (floor)": Checked(floor, CHANGED)} | _all(
            python, kept, before, now
        )
        rows = [
            (
                name,
                one.sample.seconds,
                one.sample.seconds / floor.seconds,
                one.sample.cpu,
                one.sample.megabytes,
                one.verdict if one.sample is not floor else "",
            )
            for name, one in checks.items()
        ]
    return table(
        "Drift of 1,000,000 x 20", ("check", "seconds", "ratio", "CPU seconds", "peak MB", "verdicts"), rows
    )


def _all(python: str, kept: str, before: str, now: str) -> dict[str, Checked]:
    argv = [str(HERE / "mlops-kit"), "drift", "--reference", kept, now, "--json"]
    report = json.loads(subprocess.run(argv, check=False, capture_output=True, text=True).stdout)
    named = {one["feature"] for one in report["features"] if one["drifted"]}
    found = {
        "mlops-kit drift, reference profile kept": Checked(run(argv, status=1), named),
        "scipy, column by column": _peer([python, "-c", SCIPY, before, now]),
    }
    if PEER.exists():
        for name, code in (("NannyML", NANNYML), ("Evidently", EVIDENTLY)):
            found[name] = _peer([str(PEER), "-W", "ignore", "-c", code, before, now], times=1)
    return found


def _peer(argv: list[str], times: int = 3) -> Checked:
    with NamedTemporaryFile() as named:
        sample = run([*argv, named.name], times=times)
        return Checked(sample, set(json.load(named)))


if __name__ == "__main__":
    sys.stdout.write(main())

"""SageMaker processing script: the champion and a naive forecast on a window; writes ``metrics.json``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas as pd

from pipelines.features import demand
from pipelines.jobs.score_models import archive, load, predict, score


def main() -> None:
    """Score what the folders hold and write the metrics."""
    parser = argparse.ArgumentParser()
    for name in ("champion", "window", "output"):
        parser.add_argument(f"--{name}", required=True)
    options = parser.parse_args()
    packed = archive(options.champion)
    if packed is None:
        raise SystemExit(f"no model.tar.gz under {options.champion}")
    window = pd.read_parquet(options.window)
    report = {
        "champion": score(window[demand.TARGET], predict(load(packed)[0], window)),
        "naive": score(window[demand.TARGET], window["same_hour_last_week"].fillna(0.0)),
        "rows": len(window),
    }
    Path(options.output).mkdir(parents=True, exist_ok=True)
    Path(options.output, "metrics.json").write_text(json.dumps(report))
    print(json.dumps(report))


if __name__ == "__main__":
    main()

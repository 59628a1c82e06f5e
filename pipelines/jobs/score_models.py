"""SageMaker processing script: challenger, champion and a naive forecast on the same held-out hours.

Writes ``metrics.json``, which the judge reads. A model's archive is trusted as this account's own buckets
are; two members are read from it, and nothing is unpacked.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

from pipelines.features import demand


def main() -> None:
    """Score what the folders hold and write the metrics."""
    options = arguments()
    test = pd.read_parquet(options.test)
    challenger = archive(options.challenger)
    if challenger is None:
        raise SystemExit(f"no model.tar.gz under {options.challenger}")
    champion = archive(options.champion) if options.champion else None
    facts = json.loads(Path(options.data).joinpath("data.json").read_text())
    model, details = load(challenger)
    report = {
        "metrics": {
            "challenger": score(test[demand.TARGET], predict(model, test)),
            "champion": score(test[demand.TARGET], predict(load(champion)[0], test)) if champion else None,
            "naive": score(test[demand.TARGET], test["same_hour_last_week"].fillna(0.0)),
        },
        "rows": len(test),
        "data": facts,
        "model": {"sha256": hashlib.sha256(challenger.read_bytes()).hexdigest(), **details},
    }
    Path(options.output).mkdir(parents=True, exist_ok=True)
    Path(options.output, "metrics.json").write_text(json.dumps(report))
    print(json.dumps(report["metrics"]))


def arguments() -> argparse.Namespace:
    """Folders that SageMaker fills and empties."""
    parser = argparse.ArgumentParser()
    for name in ("challenger", "test", "data", "output"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--champion", default="")
    return parser.parse_args()


def archive(folder: str) -> Path | None:
    """The ``model.tar.gz`` of a folder, if it holds one."""
    return next(iter(sorted(Path(folder).rglob("model.tar.gz"))), None)


def load(path: Path) -> tuple[Any, dict[str, Any]]:
    """A model and its facts from an archive."""
    with tarfile.open(path) as packed:
        files = {member.name.removeprefix("./"): member for member in packed if member.isfile()}
        missing = {"model.joblib", "facts.json"} - set(files)
        if missing:
            raise SystemExit(f"{path} holds no {' and no '.join(sorted(missing))}")
        read = {name: packed.extractfile(files[name]) for name in ("model.joblib", "facts.json")}
        model, facts = (file.read() for file in read.values() if file is not None)
    return joblib.load(io.BytesIO(model)), json.loads(facts)


def predict(model: Any, frame: pd.DataFrame) -> np.ndarray:
    """Rentals an hour, one value a row."""
    return np.asarray(model.predict(frame[list(demand.FEATURES)]))


def score(actual: Any, predicted: Any) -> dict[str, float]:
    """Errors over hours.

    Returns
    -------
    dict
        ``wape``: sum of absolute errors by sum of rentals; ``mae`` and ``rmse`` in rentals an hour;
        ``bias``: sum of predicted less actual by sum of actual, negative where demand is underestimated.
    """
    real, guess = np.asarray(actual, float), np.asarray(predicted, float)
    error = guess - real
    return {
        "wape": float(np.abs(error).sum() / real.sum()),
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "bias": float(error.sum() / real.sum()),
    }


if __name__ == "__main__":
    main()

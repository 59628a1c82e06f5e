"""SageMaker training script (scikit-learn): fits the demand model, prints its metrics, saves it."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import sklearn
from sklearn.ensemble import HistGradientBoostingRegressor

from pipelines.features import demand


def main() -> None:
    """Fit on train, measure on validation, refit on both, save."""
    options = arguments()
    train = pd.read_parquet(options.train)
    validation = pd.read_parquet(options.validation)
    model = fit(train, options)
    actual, predicted = validation[demand.TARGET].to_numpy(float), predict(model, validation)
    error = np.abs(actual - predicted)
    print(f"validation:wape={error.sum() / actual.sum():.6f};")
    print(f"validation:mae={error.mean():.6f};")
    print(f"validation:bias={(predicted - actual).sum() / actual.sum():.6f};")
    model = fit(pd.concat([train, validation]), options)
    folder = Path(options.model_dir)
    joblib.dump(model, folder / "model.joblib")
    facts = {
        "features": list(demand.FEATURES),
        "target": demand.TARGET,
        "rows": len(train) + len(validation),
        "packages": {"scikit-learn": sklearn.__version__, "numpy": np.__version__, "pandas": pd.__version__},
    }
    (folder / "facts.json").write_text(json.dumps(facts))


def arguments() -> argparse.Namespace:
    """Hyperparameters and channels, as the training toolkit hands them in."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--max_iter", type=int, default=300)
    parser.add_argument("--learning_rate", type=float, default=0.06)
    parser.add_argument("--random_state", type=int, default=0)
    parser.add_argument("--train", default=os.environ.get("SM_CHANNEL_TRAIN"))
    parser.add_argument("--validation", default=os.environ.get("SM_CHANNEL_VALIDATION"))
    parser.add_argument("--model_dir", default=os.environ.get("SM_MODEL_DIR"))
    return parser.parse_args()


def fit(frame: pd.DataFrame, options: argparse.Namespace) -> HistGradientBoostingRegressor:
    """A Poisson gradient boosting of counts; missing features are the algorithm's own business."""
    model = HistGradientBoostingRegressor(
        loss="poisson",
        max_iter=options.max_iter,
        learning_rate=options.learning_rate,
        random_state=options.random_state,
    )
    return model.fit(frame[list(demand.FEATURES)], frame[demand.TARGET])


def predict(model: HistGradientBoostingRegressor, frame: pd.DataFrame) -> np.ndarray:
    """Rentals an hour, one value a row."""
    return np.asarray(model.predict(frame[list(demand.FEATURES)]))


if __name__ == "__main__":
    main()

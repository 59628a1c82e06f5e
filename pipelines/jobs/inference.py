"""Serving script (scikit-learn image): feature rows in, predicted rentals out, as CSV or JSON."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

from pipelines.features import demand


def model_fn(model_dir: str) -> Any:
    """The model that training saved."""
    return joblib.load(Path(model_dir) / "model.joblib")


def input_fn(body: str | bytes, content_type: str) -> pd.DataFrame:
    """Rows of features.

    Parameters
    ----------
    body : str or bytes
        ``text/csv``: a header of feature names, or none and the columns in the order of ``FEATURES``.
        ``application/json``: a list of objects, or ``{"instances": [...]}``.

    Raises
    ------
    ValueError
        A feature is missing, or the content type is another.
    """
    text = body.decode() if isinstance(body, (bytes, bytearray)) else body
    kind = content_type.split(";", maxsplit=1)[0].strip()
    if kind == "application/json":
        rows = json.loads(text)
        frame = pd.DataFrame(rows["instances"] if isinstance(rows, dict) else rows)
    elif kind == "text/csv":
        named = demand.FEATURES[0] in text.partition("\n")[0].split(",")
        frame = pd.read_csv(io.StringIO(text), header=0 if named else None)
        if not named and len(frame.columns) == len(demand.FEATURES):
            frame.columns = pd.Index(demand.FEATURES)
    else:
        raise ValueError(f"content type {content_type!r} is not served: send text/csv or application/json")
    missing = [name for name in demand.FEATURES if name not in frame.columns]
    if missing:
        raise ValueError(f"missing features: {', '.join(missing)}")
    return frame[list(demand.FEATURES)].astype(float)


def predict_fn(frame: pd.DataFrame, model: Any) -> np.ndarray:
    """Rentals an hour, one value a row."""
    return np.asarray(model.predict(frame))


def output_fn(prediction: np.ndarray, accept: str) -> tuple[str, str]:
    """One value a line as CSV where that is asked for, else a JSON list."""
    values = [float(value) for value in prediction]
    if accept.startswith("text/csv"):
        return "\n".join(map(repr, values)) + "\n", "text/csv"
    return json.dumps({"predictions": values}), "application/json"

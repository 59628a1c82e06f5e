from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.features import demand
from pipelines.jobs import inference

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)
ROWS = st.lists(st.lists(NUMBERS, min_size=len(demand.FEATURES), max_size=len(demand.FEATURES)), min_size=1)


@given(rows=ROWS)
def test_rows_arrive_the_same_in_every_form(rows: list[list[float]]) -> None:
    frame = pd.DataFrame(rows, columns=list(demand.FEATURES))
    objects = [dict(zip(demand.FEATURES, row, strict=True)) for row in rows]
    shuffled = frame[sorted(demand.FEATURES)]
    for body, kind in (
        (frame.to_csv(index=False), "text/csv"),
        (frame.to_csv(index=False, header=False).encode(), "text/csv; charset=utf-8"),
        (shuffled.to_csv(index=False), "text/csv"),
        (json.dumps(objects), "application/json"),
        (json.dumps({"instances": objects}), "application/json"),
    ):
        got = inference.input_fn(body, kind)
        assert tuple(got.columns) == demand.FEATURES
        np.testing.assert_allclose(got.to_numpy(), frame.to_numpy(), rtol=1e-12)


def test_a_missing_feature_is_named() -> None:
    with pytest.raises(ValueError, match=r"missing features: hr, weekday"):
        inference.input_fn(json.dumps([{"temp": 0.5}]), "application/json")
    with pytest.raises(ValueError, match="send text/csv or application/json"):
        inference.input_fn("x", "text/plain")


@given(values=st.lists(NUMBERS, min_size=1))
def test_predictions_leave_whole_in_both_forms(values: list[float]) -> None:
    body, kind = inference.output_fn(np.asarray(values), "text/csv")
    assert kind == "text/csv" and [float(line) for line in body.split()] == values
    body, kind = inference.output_fn(np.asarray(values), "*/*")
    assert kind == "application/json" and json.loads(body) == {"predictions": values}

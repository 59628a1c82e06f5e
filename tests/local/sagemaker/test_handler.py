"""The inference contract, function by function, without a server."""

from __future__ import annotations

import io
import json
import pickle
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_kit.local.sagemaker.handler import (
    CSV,
    JSON,
    NPY,
    ContractError,
    Handler,
    default_input,
    default_output,
)


def handler(**functions: Any) -> Handler:
    module = SimpleNamespace(__name__="inference", model_fn=lambda folder: f"model of {folder}", **functions)
    return Handler(module, "/m")


def test_four_functions_are_called_in_order() -> None:
    it = handler(
        input_fn=lambda data, content_type: [content_type, data],
        predict_fn=lambda data, model: [*data, model],
        output_fn=lambda prediction, accept: (json.dumps(prediction), accept),
    )
    answer = it.invoke(b"x,y", CSV, "application/json")
    assert (answer.status, answer.content_type) == (200, JSON)
    assert json.loads(answer.body) == [CSV, "x,y", "model of /m"]


def test_transform_fn_stands_in_for_three_of_them() -> None:
    it = handler(
        transform_fn=lambda model, data, content_type, accept: (f"{model}: {data} {accept}", "text/plain")
    )
    assert it.invoke(b"1", JSON, "*/*").body == b"model of /m: 1 application/json"
    with pytest.raises(ContractError, match="Cannot use transform_fn"):
        handler(transform_fn=print, predict_fn=print)


def test_text_arrives_as_text_and_the_rest_as_bytes() -> None:
    seen: list[type] = []
    it = handler(transform_fn=lambda model, data, *_: (seen.append(type(data)), ("", ""))[1])
    for kind in (CSV, JSON, None, NPY, "image/png"):
        it.invoke(b"1", kind, None)
    assert seen == [str, str, str, bytes, bytes]


@pytest.mark.parametrize(
    ("result", "body", "content_type"),
    [
        ("text", b"text", "text/html; charset=utf-8"),
        (b"\x00", b"\x00", "text/html; charset=utf-8"),
        ({"a": 1}, b'{"a": 1}', JSON),
        (("1,2", CSV), b"1,2", CSV),
        (SimpleNamespace(get_data=lambda: b"r", mimetype=CSV, status_code=201), b"r", CSV),
    ],
)
def test_results_in_every_form_become_answers(result: Any, body: bytes, content_type: str) -> None:
    answer = handler(transform_fn=lambda *_: result).invoke(b"1", JSON, None)
    assert (answer.body, answer.content_type) == (body, content_type)


def test_unsupported_formats_are_the_clients_fault() -> None:
    it = handler(predict_fn=lambda data, model: [1.0])
    assert it.invoke(b"<a/>", "application/xml", None).status == 415
    refused = it.invoke(b"[1]", JSON, "application/xml")
    assert refused.status == 406
    assert json.loads(refused.body)["error"] == "UnsupportedFormat"


def test_pickles_are_refused() -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (pytest.fail, ("it was unpickled",))

    buffer = io.BytesIO()
    np.save(buffer, np.array([Evil()], dtype=object), allow_pickle=True)
    assert handler(predict_fn=lambda *_: None).invoke(buffer.getvalue(), NPY, None).status == 500
    assert handler(predict_fn=lambda *_: None).invoke(pickle.dumps(1), NPY, None).status == 500


numbers = st.floats(-1e6, 1e6, width=32).map(float)
rows = st.integers(2, 4).flatmap(
    lambda n: st.lists(st.lists(numbers, min_size=n, max_size=n), min_size=2, max_size=5)
)


@given(rows)
def test_what_is_written_reads_back(table: list[list[float]]) -> None:
    for kind in (CSV, JSON):
        body, said = default_output(np.array(table), kind)
        assert said == kind
        assert default_input(body.decode(), kind) == pytest.approx(np.array(table, dtype=np.float32))


def test_one_row_has_two_dimensions() -> None:
    assert default_input("1,2,3", CSV).shape == default_input("[1, 2, 3]", JSON).shape == (1, 3)

"""Batches fit into an invocation and lose nothing; what a function wants again is read as Lambda reads it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_kit.local.kafka_batch import Record, Source, event, failed, fitting

RECORDS = st.lists(
    st.builds(
        Record,
        topic=st.just("drift"),
        partition=st.integers(0, 3),
        offset=st.integers(0, 99),
        value=st.binary(max_size=900),
    ),
    max_size=30,
)
THREE = tuple(Record("drift", 0, offset) for offset in range(3))


@given(RECORDS)
def test_batches_hold_every_record_once_in_order_and_none_is_too_large(records: list[Record]) -> None:
    batches = list(fitting(records, limit=6000))
    assert [record for batch in batches for record in batch] == records
    for batch in batches:
        size = len(json.dumps(event(Source(("127.0.0.1:9092",)), batch)))
        assert size <= 6000 or len(batch) == 1


def item(offset: Any, partition: str = "drift-0") -> dict[str, Any]:
    return {"itemIdentifier": {"partition": partition, "offset": offset}}


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        (None, []),
        ({}, []),
        ({"batchItemFailures": []}, []),
        ({"batchItemFailures": None}, []),
        ({"batchItemFailures": [item(1)]}, [1]),
        ({"batchItemFailures": [item(2), item("0")]}, [0, 2]),
        ({"batchItemFailures": [item(9)]}, [0, 1, 2]),
        ({"batchItemFailures": [item(1, "drift-1")]}, [0, 1, 2]),
        ({"batchItemFailures": [item(None)]}, [0, 1, 2]),
        ({"batchItemFailures": [{"itemIdentifier": ""}]}, [0, 1, 2]),
        ({"batchItemFailures": [{}]}, [0, 1, 2]),
        ({"batchItemFailures": 3}, [0, 1, 2]),
        ("fine", [0, 1, 2]),
        ({"statusCode": 200}, []),
    ],
)
def test_what_cannot_be_understood_wants_the_whole_batch_again(answer: Any, wanted: list[int]) -> None:
    assert [record.offset for record in failed(answer, THREE)] == wanted

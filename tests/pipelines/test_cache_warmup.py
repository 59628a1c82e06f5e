"""The function that fills the cache: which forecast it takes, what an item says, what is tried again."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.functions.warm_cache import TRIES, item, newest, write
from tests.conftest import EmbeddedAws

ROW = {
    "hour": "2011-11-06T00:00:00-04:00",
    "forecast": 12.5,
    "kind": "seasonal-naive",
    "model_version": None,
    "made_at": "2011-11-06T04:30:00+00:00",
}


class Table:
    """A DynamoDB that has room for so many items a request."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.kept: list[Any] = []
        self.requests: list[int] = []

    def batch_write_item(self, RequestItems: dict[str, list[Any]]) -> dict[str, Any]:
        ((name, asked),) = RequestItems.items()
        self.requests.append(len(asked))
        self.kept += [one["PutRequest"]["Item"] for one in asked[: self.room]]
        left = asked[self.room :]
        return {"UnprocessedItems": {name: left} if left else {}}


def test_an_item_is_forgotten_a_day_after_the_end_of_its_hour() -> None:
    made = item("demand", ROW)
    expires = datetime.fromtimestamp(int(made["expires_at"]["N"]), UTC)
    assert expires == datetime(2011, 11, 7, 5, tzinfo=UTC)  # 00:00 in summer time is 04:00 UTC
    assert made["model"] == {"S": "demand"} and made["hour"] == {"S": ROW["hour"]}
    assert made["forecast"] == {"N": "12.5"} and "model_version" not in made


@given(count=st.integers(1, 60), room=st.integers(5, 30))
def test_what_dynamodb_had_no_room_for_is_put_again_until_all_is_there(count: int, room: int) -> None:
    table, pauses = Table(room), list[float]()
    items = [{"n": number} for number in range(count)]
    write(table, "cache", items, pauses.append)
    assert sorted(one["n"] for one in table.kept) == list(range(count))
    assert max(table.requests) <= 25 and all(pause > 0 for pause in pauses)


def test_what_never_fits_is_an_error_that_says_how_much_is_left() -> None:
    table, pauses = Table(0), list[float]()
    with pytest.raises(RuntimeError, match="left 3 of 3 items unwritten"):
        write(table, "cache", [{"n": number} for number in range(3)], pauses.append)
    assert len(table.requests) == TRIES and pauses == sorted(pauses)


def test_the_newest_forecast_is_taken_but_none_of_a_later_day(aws: EmbeddedAws) -> None:
    s3, bucket = aws.client("s3"), f"cache-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=bucket)
    with pytest.raises(LookupError, match=r"no forecast until 2011-07-03 under s3://.*; run the forecast"):
        newest(s3, bucket, "forecast/demand/", "2011-07-03")
    for day in ("2011-06-30", "2011-07-02", "2011-07-04"):
        body = json.dumps(ROW).encode()
        s3.put_object(Bucket=bucket, Key=f"forecast/demand/date={day}/_forecast.jsonl", Body=body)
    s3.put_object(Bucket=bucket, Key="forecast/demand/date=2011-07-03/forecast.parquet", Body=b"half done")
    assert newest(s3, bucket, "forecast/demand/", "2011-07-03") == "2011-07-02"
    assert newest(s3, bucket, "forecast/demand/", "2011-07-04") == "2011-07-04"

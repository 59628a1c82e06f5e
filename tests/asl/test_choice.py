from __future__ import annotations

from typing import Any

import pytest

from mlops_kit.asl import choice
from mlops_kit.asl.errors import StatesError


def holds(operator: str, value: Any, expected: Any) -> bool:
    return choice.matches({"Variable": "$.v", operator: expected}, {"v": value, "other": expected})


@pytest.mark.parametrize(
    ("operator", "value", "expected", "answer"),
    [
        ("NumericEquals", 1, 1.0, True),
        ("NumericEquals", True, 1, False),
        ("NumericEquals", "42", 42, False),
        ("NumericGreaterThan", 2, 1, True),
        ("NumericLessThanEquals", 1, 1, True),
        ("BooleanEquals", False, False, True),
        ("BooleanEquals", 0, False, False),
        ("StringEquals", "a", "a", True),
        ("StringEquals", None, "a", False),
        ("StringLessThan", "A", "AB", True),
        ("StringLessThan", "\U0001f600", "\uffff", True),
        ("StringMatches", "log-2024.txt", "log-*.txt", True),
        ("StringMatches", "log-*.txt", r"log-\*.txt", True),
        ("StringMatches", "log-1.txt", r"log-\*.txt", False),
        ("StringMatches", "a\nb", "a*b", True),
        ("StringMatches", 1, "*", False),
        ("TimestampEquals", "2020-01-01T01:00:00+01:00", "2020-01-01T00:00:00Z", True),
        ("TimestampLessThan", "2020-01-01T00:00:00.1Z", "2020-01-01T00:00:00.12Z", True),
        ("TimestampEquals", "2020-01-01", "2020-01-01T00:00:00Z", False),
        ("IsNull", None, True, True),
        ("IsNull", 1, True, False),
        ("IsNumeric", True, True, False),
        ("IsString", "", True, True),
        ("IsBoolean", False, True, True),
        ("IsTimestamp", "2012-10-09T19:00:55Z", True, True),
        ("IsTimestamp", "2012-10-09T19:00:55", True, False),
        ("IsTimestamp", "2012-13-09T19:00:55Z", True, False),
        ("IsPresent", None, True, True),
    ],
)
def test_operators_compare_only_their_own_type(
    operator: str, value: Any, expected: Any, answer: bool
) -> None:
    assert holds(operator, value, expected) is answer
    if not operator.startswith("Is") and operator != "StringMatches":
        rule = {"Variable": "$.v", f"{operator}Path": "$.other"}
        assert choice.matches(rule, {"v": value, "other": expected}) is answer


def test_is_present_is_the_only_operator_that_takes_a_missing_variable() -> None:
    assert choice.matches({"Variable": "$.gone", "IsPresent": False}, {})
    assert not choice.matches({"Variable": "$.gone.deeper", "IsPresent": True}, {})
    for rule in ({"Variable": "$.gone", "IsNull": True}, {"Variable": "$.v", "StringEqualsPath": "$.gone"}):
        with pytest.raises(StatesError) as raised:
            choice.matches(rule, {"v": "a"})
        assert raised.value.error == "States.Runtime"
        assert raised.value.cause == (
            "Invalid path '$.gone': The choice state's condition path references an invalid value."
        )


def test_rules_combine_and_stop_at_the_first_decision() -> None:
    yes, no = {"Variable": "$.a", "NumericEquals": 1}, {"Variable": "$.a", "NumericEquals": 2}
    missing = {"Variable": "$.gone", "IsNull": True}
    assert choice.matches({"And": [yes, {"Not": no}, {"Or": [no, yes]}]}, {"a": 1})
    assert not choice.matches({"And": [no, missing]}, {"a": 1})
    assert choice.matches({"Or": [yes, missing]}, {"a": 1})


def test_variables_and_the_context_object_can_be_compared() -> None:
    rule = {"Variable": "$guess", "StringEqualsPath": "$$.Execution.Name"}
    assert choice.matches(rule, {}, {"Execution": {"Name": "x"}}, {"guess": "x"})

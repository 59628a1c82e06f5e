from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_kit.asl import intrinsics
from mlops_kit.asl.errors import StatesError

NOTHING: dict[str, Any] = {}


def value(expression: str, data: Any = None, **variables: Any) -> Any:
    return intrinsics.evaluate(expression, data, {}, variables)


@pytest.mark.parametrize(
    ("expression", "data", "expected"),
    [
        ("States.Array()", None, []),
        ("States.Array('a', 1, -2.5, true, null, $.x)", {"x": [1]}, ["a", 1, -2.5, True, None, [1]]),
        ("States.ArrayPartition($, 2)", [1, 2, 3], [[1, 2], [3]]),
        ("States.ArrayContains($, 5)", [1, 5], True),
        ("States.ArrayContains($, 1)", [True], False),
        ("States.ArrayContains($, $.x)", {"x": 1}, StatesError),
        ("States.ArrayRange(1, 9, 2)", None, [1, 3, 5, 7, 9]),
        ("States.ArrayRange(3, 1, -1)", None, [3, 2, 1]),
        ("States.ArrayRange(1, 1001, 1)", None, StatesError),
        ("States.ArrayRange(1, 9, 0)", None, StatesError),
        ("States.ArrayGetItem($, 1)", ["a", "b"], "b"),
        ("States.ArrayGetItem($, 2)", ["a", "b"], StatesError),
        ("States.ArrayLength($)", [1, 2], 2),
        ("States.ArrayUnique($)", [1, 2, 2, True, 1], [1, 2, True]),
        ("States.Base64Encode('Hello World')", None, "SGVsbG8gV29ybGQ="),
        ("States.Base64Decode('SGVsbG8gV29ybGQ=')", None, "Hello World"),
        ("States.Base64Decode('%')", None, StatesError),
        ("States.Hash('input data', 'MD5')", None, "812f45842bc6d66ee14572ce20db8e86"),
        ("States.Hash('input data', 'SHA-3')", None, StatesError),
        (
            "States.JsonMerge($.a, $.b, false)",
            {"a": {"x": 1, "y": {"p": 1}}, "b": {"y": 2}},
            {"x": 1, "y": 2},
        ),
        ("States.JsonMerge($, $, true)", {}, StatesError),
        ("States.MathAdd(1.5, 1.51)", None, 4),
        ("States.MathAdd(-1.5, 0)", None, -1),
        ("States.MathAdd(-1.51, 0)", None, -2),
        ("States.MathAdd(2147483647, 1)", None, StatesError),
        ("States.StringSplit('1,2;;3', ',;')", None, ["1", "2", "3"]),
        ("States.StringSplit(',,,,', ',')", None, []),
        ("States.StringToJson('-0')", None, 0),
        ("States.StringToJson($)", '{"Arg1": 1, "Arg2": []}', {"Arg1": 1, "Arg2": []}),
        ("States.StringToJson('NaN')", None, StatesError),
        ("States.JsonToString($)", {"Arg1": 1, "Arg2": []}, '{"Arg1":1,"Arg2":[]}'),
        ("States.Format('{} and {}', 'a', 1)", None, "a and 1"),
        ("States.Format('fst={}.', $)", {"Arg1": 1, "Arg2": []}, "fst={Arg1=1, Arg2=[]}."),
        (r"States.Format('it\'s \{{}\}', null)", None, "it's {null}"),
        ("States.Format('{}')", None, StatesError),
        ("States.Format('a', $.x)", {"x": 1}, StatesError),
        ("States.MathAdd(States.ArrayLength($.l), -1)", {"l": [1, 2]}, 1),
        ("States.Format('{}', $['a b'])", {"a b": 1}, "1"),
        ("States.Array($.l[?(@.x > 1)])", {"l": [{"x": 1}, {"x": 2}]}, [[{"x": 2}]]),
    ],
)
def test_each_function_answers_as_aws_does(expression: str, data: Any, expected: Any) -> None:
    if expected is StatesError:
        with pytest.raises(StatesError):
            value(expression, data)
    else:
        result = value(expression, data)
        assert (result, type(result)) == (expected, type(expected))


def test_a_template_from_a_variable_is_formatted_too() -> None:
    assert value("States.Format($t, $x)", None, t="It's {}!", x="Pikachu") == "It's Pikachu!"


def test_random_numbers_stay_in_the_range_and_follow_their_seed() -> None:
    assert all(12 <= value("States.MathRandom(12, 15)") < 15 for _ in range(50))
    assert value("States.MathRandom(1, 1000, 7)") == value("States.MathRandom(1, 1000, 7)")


def test_uuids_differ() -> None:
    assert len({value("States.UUID()") for _ in range(3)}) == 3


def test_a_missing_path_names_the_function_the_path_and_the_input() -> None:
    with pytest.raises(StatesError) as raised:
        value("States.Array($.gone)", {"a": 1})
    assert raised.value.error == "States.Runtime"
    assert raised.value.cause == (
        "The function 'States.Array($.gone)' had the following error: The JsonPath argument for the field "
        "'$.gone' could not be found in the input '{\"a\":1}'"
    )


def test_a_wrong_argument_is_an_intrinsic_failure() -> None:
    with pytest.raises(StatesError) as raised:
        value("States.ArrayLength('x')")
    assert raised.value.error == "States.IntrinsicFailure"


@pytest.mark.parametrize(
    ("expression", "word"),
    [
        ("States.Nope()", "no intrinsic"),
        ("States.ArrayLength()", "takes 1 argument"),
        ("States.UUID(1)", "takes 0"),
        ("States.Array('a'", "missing"),
        ("States.Array('a' 'b')", "missing"),
        (r"States.Format('a\nb')", "backslash"),
        ("States.Array('a", "not closed"),
        ("States.Array(a)", "argument"),
        ("States.Array($[a])", "path"),
        ("States.Array() x", "follows"),
        ("States.Array(" * 11 + ")" * 11, "nest"),
    ],
)
def test_check_says_what_is_wrong_with_the_text(expression: str, word: str) -> None:
    assert word in str(intrinsics.check(expression))


def test_check_accepts_every_function() -> None:
    for expression in (
        "States.Format('Hello {}, welcome to {}!', $name, $place)",
        "States.ArrayGetItem(States.StringSplit($$.StateMachine.Name, '-'), States.MathAdd(1, -1))",
        "States.ArrayRange( 1 , 10 , 2 )",
        "States.UUID()",
    ):
        assert intrinsics.check(expression) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_a_value_survives_json_to_string_and_back(data: Any) -> None:
    assert value("States.StringToJson(States.JsonToString($))", data) == data


@given(JSON)
def test_a_json_text_means_the_same_after_string_to_json_and_back(data: Any) -> None:
    text = json.dumps(data)
    assert json.loads(value("States.JsonToString(States.StringToJson($))", text)) == json.loads(text)


@given(st.lists(st.integers(), max_size=20), st.integers(1, 30))
def test_partitions_joined_again_are_the_array(items: list[int], size: int) -> None:
    parts = value("States.ArrayPartition($.l, $.n)", {"l": items, "n": size})
    assert [item for part in parts for item in part] == items
    assert all(len(part) == size for part in parts[:-1])


@given(st.text(max_size=200))
def test_base64_decodes_what_it_encodes(text: str) -> None:
    if all(not 0xD800 <= ord(char) < 0xE000 for char in text):
        assert value("States.Base64Decode(States.Base64Encode($))", text) == text


@given(st.text())
def test_a_quoted_text_is_itself(text: str) -> None:
    quoted = text
    for char in "\\'{}":
        quoted = quoted.replace(char, "\\" + char)
    assert value(f"States.Array('{quoted}')") == [text]
    assert value(f"States.Format('{quoted}')") == text

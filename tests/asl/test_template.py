from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_kit.asl import template
from mlops_kit.asl.errors import StatesError


def test_dollar_keys_take_paths_context_variables_and_intrinsics() -> None:
    rendered = template.render(
        {
            "a.$": "$.x",
            "deep": [{"id.$": "$$.Execution.Id", "kept": "$.x"}],
            "v.$": "$name.y",
            "f.$": "States.Format('{}!', $.x)",
        },
        {"x": 1},
        {"Execution": {"Id": "e"}},
        {"name": {"y": 2}},
    )
    assert rendered == {"a": 1, "deep": [{"id": "e", "kept": "$.x"}], "v": 2, "f": "1!"}


def test_a_path_without_a_value_fails_in_awss_words() -> None:
    with pytest.raises(StatesError) as raised:
        template.render({"address.$": "$.application.address"}, {"flagged": False})
    assert raised.value.error == "States.Runtime"
    assert raised.value.cause == (
        "The JSONPath '$.application.address' specified for the field 'address.$' could not be found in the "
        "input '{\"flagged\":false}'"
    )


def test_a_dollar_key_with_something_else_fails() -> None:
    for wrong in ("x", 1, None):
        with pytest.raises(StatesError, match="must be a valid JSONPath"):
            template.render({"a.$": wrong}, {})


KEYS = st.text(max_size=6).filter(lambda key: not key.endswith(".$"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=10,
)


@given(JSON)
def test_a_template_without_dollar_keys_is_itself(value: Any) -> None:
    assert template.render(value, {"x": 1}) == value


@given(JSON)
def test_the_whole_input_can_be_put_anywhere(value: Any) -> None:
    assert template.render({"a": {"b.$": "$"}}, value) == {"a": {"b": value}}

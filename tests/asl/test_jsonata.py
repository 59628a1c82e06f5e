from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_kit.asl import jsonata
from mlops_kit.asl.errors import StatesError

STATES = {
    "input": {
        "a": None,
        "b": {"c": None, "l": [None, 1]},
        "s": "x",
        "n": 2,
        "one": [1],
        "many": [{"k": 1}, {"k": 2}],
    },
    "context": {"Execution": {"Id": "e"}},
}
VARIABLES = {"empty": None, "x": {"y": [1, {"k": 3}]}}


def value(expression: str, **options: Any) -> Any:
    return jsonata.evaluate("{% " + expression + " %}", STATES, VARIABLES, "Output", **options)


def failure(expression: str, **options: Any) -> str:
    with pytest.raises(StatesError) as raised:
        value(expression, **options)
    assert raised.value.error == "States.QueryEvaluationError"
    assert raised.value.location == "Output"
    return str(raised.value.cause)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("$states.input.s", "x"),
        ("$states.context.Execution.Id", "e"),
        ("$states.input.a", None),
        ("$states.input.b", {"c": None, "l": [None, 1]}),
        ("$states.input.one", [1]),
        ("$states.input.many.k", [1, 2]),
        ("$states.input.many[k = 2].k", 2),
        ("$states.input.n + 1", 3),
        ("$x.y.k", 3),
        ("$empty", None),
        ("$exists($empty)", True),
        ("null", None),
        ("{'x': null, 'l': [null]}", {"x": None, "l": [None]}),
        ("$variable := 1", 1),
        (r"$contains('hello$world', /^hello\$/)", True),
        ("$partition([0,1,2], 2)", [[0, 1], [2]]),
        ("$partition([0], 5)", [[0]]),
        ("$range(0, 10, 5)", [0, 5, 10]),
        ("$range(3, 1, -1)", [3, 2, 1]),
        ("$hash('input data', 'MD5')", "812f45842bc6d66ee14572ce20db8e86"),
        ("$random(42)", 0.7275636800328681),
        ('$parse(\'{"a": null, "b": 1.0}\')', {"a": None, "b": 1}),
        ("$parse('null')", None),
        ("$map(['1', '2'], $parse)", [1, 2]),
        ("$merge([$states.input.b, {'z': 1}])", {"c": None, "l": [None, 1], "z": 1}),
    ],
)
def test_expressions_give_plain_values(expression: str, expected: Any) -> None:
    result = value(expression)
    assert result == expected
    assert type(result) is type(expected)


def test_random_and_uuid_differ_between_calls() -> None:
    assert value("$uuid()") != value("$uuid()")
    assert 0 <= value("$random()") < 1


def test_a_template_is_evaluated_at_every_text_that_is_an_expression() -> None:
    template = {"a": ["{% $states.input.s %}", 1, {"k": "{% true %}"}], "b": "$.s", "c": "{%", "d": None}
    assert jsonata.evaluate(template, STATES, {}, "Output") == {
        "a": ["x", 1, {"k": True}],
        "b": "$.s",
        "c": "{%",
        "d": None,
    }


def test_nothing_fails_with_the_place_in_the_template() -> None:
    with pytest.raises(StatesError) as raised:
        jsonata.evaluate({"result": [0, "{% $doesNotExist %}"]}, STATES, {}, "Assign")
    assert raised.value.location == "Assign/result[1]"
    assert raised.value.cause == (
        "The JSONata expression '$doesNotExist' specified for the field 'Assign/result[1]' returned nothing "
        "(undefined)."
    )


def test_functions_and_patterns_are_no_result() -> None:
    for expression in ("$fn := function($x){$x}", "$sum", "/a/", "[$sum]"):
        assert failure(expression).endswith("returned an unsupported result type.")


def test_a_result_of_another_type_than_the_field_takes_is_refused_with_its_value() -> None:
    assert failure("'string'", expect="array").endswith(
        "returned an unexpected result type. Expected 'array', but was 'string' for value: \"string\""
    )
    assert failure("1.5", expect="integer")
    assert value("1.0", expect="integer") == 1
    assert value("[1]", expect="array") == [1]


@pytest.mark.parametrize(
    ("expression", "ending"),
    [
        ("1 + 'a'", '. T2002: The right side of the "+" operator must evaluate to a number'),
        ("$abs('x')", '. T0410: Argument 1 of function "abs" does not match function signature'),
        ("$sum(['a'])", '. T0412: Argument 1 of function "sum" must be an array of "numbers"'),
        ("$f(1)", ". T1006: Attempted to invoke a non-function"),
        ("$eval('1')", ". T1006: Attempted to invoke a non-function"),
        ("$error('boom')", ". D3137: boom"),
        ("$number('abc')", '. D3030: Unable to cast value to a number: "abc"'),
        ("$hash('a', 'X')", "must be one of SHA-1, SHA-384, SHA-256, SHA-512, MD5"),
        ("$parse('{')", ". D3137: Invalid JSON"),
        ('$parse(\'{"a":1,"a":2}\')', ". D3137: Invalid JSON"),
        ("$uuid(1)", '. T0410: Argument 1 of function "uuid" does not match function signature'),
        ("$partition([1], -1)", ". D3137: Second argument must be zero or greater"),
        ("[1..900000]", ": Expression evaluation memory limit exceeded: Check for excessive memory usage"),
        (
            "($f := function($x){1 + $f($x)}; $f(1))",
            ": Stack overflow error: Check for non-terminating recursive function. Consider rewriting as "
            "tail-recursive",
        ),
    ],
)
def test_an_expression_that_fails_says_so_in_awss_words(expression: str, ending: str) -> None:
    cause = failure(expression)
    assert cause.startswith(
        f"The JSONata expression '{expression}' specified for the field 'Output' threw an error during "
        "evaluation"
    )
    assert cause.endswith(ending)


def test_python_errors_of_the_library_never_come_through() -> None:
    for expression in ("5/0", "$sort(['a', 1])", "$toMillis('zz')", "$power(10, 400)"):
        failure(expression)


def test_an_endless_loop_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonata, "MAX_SECONDS", 0.2)
    assert "timeout" in failure("($f := function($x){$f($x + 1)}; $f(1))")


def test_now_is_the_time_of_each_evaluation() -> None:
    import time

    first = value("$millis()")
    value("1 + 1")
    time.sleep(0.01)
    assert value("$millis()") > first


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("{% a[1,2) %}", 'Expected "]", got ","'),
        ('{% "unterminated %}', "String literal must be terminated by a matching quote"),
        ("{% 1 + %}", "Unexpected end of expression"),
        ('{% {"a":} %}', 'The symbol "}" cannot be used as a unary operator'),
        ('{% $match("a", /abc %}', "No terminating / in regular expression"),
        ("{% $states.input.a %}", None),
    ],
)
def test_check_reads_without_evaluating(expression: str, problem: str | None) -> None:
    assert jsonata.check(expression) == problem


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_the_input_comes_out_as_it_went_in(data: Any) -> None:
    states = {"input": data}
    assert jsonata.evaluate("{% $states.input %}", states, {}, "Output") == data
    assert jsonata.evaluate("{% {'x': $states.input} %}", states, {}, "Output") == {"x": data}

from __future__ import annotations

import json
from typing import Any

import pytest

from mlops_kit.asl import definition, states
from tests.asl import recorded

LAMBDA = "arn:aws:states:::lambda:invoke"


def machine(_language: str | None = None, **named: Any) -> dict[str, Any]:
    first = next(iter(named))
    found: dict[str, Any] = {"StartAt": first, "States": named}
    return found | ({"QueryLanguage": _language} if _language else {})


def said(value: Any, **options: Any) -> list[tuple[str, str, str | None]]:
    return [
        (d.code, d.message, d.location)
        for d in definition.validate(value, **options)
        if d.severity == "ERROR"
    ]


def schema(value: Any, **options: Any) -> list[tuple[str, str | None]]:
    found = said(value, **options)
    return [(message, location) for code, message, location in found if code == "SCHEMA_VALIDATION_FAILED"]


def test_nothing_is_said_of_a_definition_with_every_state_type() -> None:
    assert not definition.validate(
        machine(
            Begin={"Type": "Pass", "Parameters": {"a.$": "$.x"}, "ResultPath": "$.y", "Next": "Work"},
            Work={
                "Type": "Task",
                "Resource": LAMBDA,
                "Parameters": {"FunctionName": "f", "Payload.$": "$"},
                "TimeoutSeconds": 5,
                "Retry": [{"ErrorEquals": ["States.ALL"], "MaxDelaySeconds": 9, "JitterStrategy": "FULL"}],
                "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Broken", "ResultPath": "$.error"}],
                "Next": "Both",
            },
            Both={
                "Type": "Parallel",
                "Branches": [
                    {"StartAt": "Rest", "States": {"Rest": {"Type": "Wait", "Seconds": 0, "End": True}}}
                ],
                "Next": "Each",
            },
            Each={
                "Type": "Map",
                "ItemsPath": "$.items",
                "ItemProcessor": {
                    "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                    "StartAt": "Item",
                    "States": {"Item": {"Type": "Pass", "End": True}},
                },
                "Next": "Decide",
            },
            Decide={
                "Type": "Choice",
                "Choices": [{"And": [{"Variable": "$.a", "IsPresent": True}], "Next": "Done"}],
                "Default": "Broken",
            },
            Done={"Type": "Succeed"},
            Broken={
                "Type": "Fail",
                "ErrorPath": "$.error.Error",
                "CausePath": "States.Format('{}', $.error.Cause)",
            },
        )
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "not a definition",
            "Unrecognized token 'not': was expecting (JSON String, Number, Array, Object or token 'null', "
            "'true' or 'false')\n at [Source: (String)\"not a definition\"; line: 1, column: 4]",
        ),
        (
            '{"StartAt": }',
            "Unexpected character ('}' (code 125)): expected a valid value (JSON String, Number, Array, "
            "Object or token 'null', 'true' or 'false')\n"
            ' at [Source: (String)"{"StartAt": }"; line: 1, column: 14]',
        ),
        (
            "{a: 1}",
            "(code 97)): was expecting double-quote to start field name\n"
            ' at [Source: (String)"{a: 1}"; line: 1, column: 3]',
        ),
        ('{"a": 1e999}', "line: 1"),
        ('{"StartAt": "A"', "Unexpected end-of-input"),
        ('{"a": NaN}', "Unrecognized token 'NaN'"),
    ],
)
def test_a_text_that_is_no_json_is_refused_with_the_place(text: str, message: str) -> None:
    (found,) = definition.validate(text)
    assert found.code == "INVALID_JSON_DESCRIPTION"
    assert message in found.message
    assert str(found.location).startswith("[Source: (String)")


def test_empty_text_other_json_and_deep_nesting_are_refused() -> None:
    assert said("  ")[0][0] == "MISSING_DESCRIPTION"
    assert said("[]") == [("SCHEMA_VALIDATION_FAILED", "Expected value of type [OBJECT]", "/")]
    assert said('{"a":' * 100_000)


def test_a_state_name_that_stands_twice_is_refused() -> None:
    text = '{"StartAt":"A","States":{"A":{"Type":"Succeed"},"A":{"Type":"Succeed"}}}'
    assert said(text) == [("DUPLICATE_STATE_NAME", "Duplicate State name: A", "/States/A")]
    inner = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}
    both = machine(A={"Type": "Parallel", "Branches": [inner], "End": True})
    assert [location for _, _, location in said(both)] == ["/States/A", "/States/A/Branches[0]/States/A"]


def test_transitions_need_targets_and_states_need_to_be_reached() -> None:
    bad = machine(pass1={"Type": "Pass", "Next": "pass3"}, pass2={"Type": "Pass", "End": True})
    assert definition.refusal(definition.validate(bad)) == (
        "Invalid State Machine Definition: 'MISSING_TRANSITION_TARGET: Missing 'Next' target: pass3 at "
        '/States/pass1/Next, MISSING_TRANSITION_TARGET: State "pass2" is not reachable. at /States/pass2\''
    )
    assert said({"StartAt": "B", "States": {"A": {"Type": "Succeed"}}})[0][2] == "/StartAt"
    loop = machine(A={"Type": "Pass", "Next": "B"}, B={"Type": "Pass", "Next": "A"})
    assert said(loop) == [("MISSING_END_STATE", "Workflow has no terminal state", None)]
    assert str(definition.refusal(definition.validate(loop))).endswith("no terminal state at null'")


@pytest.mark.parametrize(
    ("state", "message", "field"),
    [
        ({"Type": "Pass", "End": True, "TimeoutSeconds": 1}, "Field 'TimeoutSeconds' is not supported", ""),
        ({"Type": "Pass", "End": True, "comment": "x"}, "Field 'comment' is not supported", ""),
        ({"Type": "Succeed", "End": True}, "Field 'End' is not supported", ""),
        ({"Type": "Pas", "End": True}, "Value should be one of the following: [Pass, Task,", "/Type"),
        ({"Type": "Task", "End": True}, "These fields are required: [Resource]", ""),
        ({"Type": "Pass"}, "This object should have only one of the following fields: [Next, End]", ""),
        ({"Type": "Wait", "End": True, "Seconds": -1}, "Minimum value is 0", "/Seconds"),
        ({"Type": "Wait", "End": True, "Seconds": 10**8}, "Maximum value is 99999999", "/Seconds"),
        ({"Type": "Wait", "End": True, "Seconds": "5"}, "Expected value of type Integer", "/Seconds"),
        (
            {"Type": "Wait", "End": True, "Seconds": 1, "SecondsPath": "$.s"},
            "There should only be one of",
            "",
        ),
        (
            {"Type": "Wait", "End": True, "Timestamp": "2016-13-05T21:29:29Z"},
            "does not match RFC3339",
            "/Timestamp",
        ),
        ({"Type": "Parallel", "End": True, "Branches": []}, "Value cannot be empty", "/Branches"),
        ({"Type": "Choice", "Choices": []}, "Value cannot be empty", "/Choices"),
        ({"Type": "Map", "End": True}, "only one of the following fields: [ItemProcessor, Iterator]", ""),
        ({"Type": "Task", "Resource": "x", "End": True}, "Value is not a valid resource ARN", "/Resource"),
        (
            {"Type": "Task", "Resource": "${Fn}", "End": True},
            "Value is not a valid resource ARN",
            "/Resource",
        ),
        ({"Type": "Task", "Resource": LAMBDA + ".sync", "End": True}, "is not recognized", "/Resource"),
        ({"Type": "Pass", "End": True, "InputPath": "x"}, "Value must be a valid JSONPath.", "/InputPath"),
        (
            {"Type": "Pass", "End": True, "ResultPath": "$.a[*]"},
            "Value is not a Reference Path",
            "/ResultPath",
        ),
        (
            {"Type": "Pass", "End": True, "Parameters": {"a": [{"b.$": "x"}]}},
            "The value for the field 'b.$' must be a valid JSONPath or a valid intrinsic function call",
            "/Parameters",
        ),
        (
            {"Type": "Pass", "End": True, "Parameters": {"b.$": r"States.Format('a\nb')"}},
            "The value for the field 'b.$' must be",
            "/Parameters",
        ),
        (
            {"Type": "Pass", "End": True, "Output": 1},
            "The QueryLanguage is set to 'JSONPath', but field 'Output'",
            "",
        ),
        ({"Type": "Pass", "End": True, "QueryLanguage": "x"}, "[JSONPath, JSONata]", "/QueryLanguage"),
        ({"Type": "Pass", "End": True, "Assign": "x"}, "Expected value of type [OBJECT]", "/Assign"),
        ({"Type": "Parallel", "End": True, "Branches": [1]}, "type [OBJECT]", "/Branches[0]"),
        ({"Type": "Wait", "End": True, "Seconds": 1.5}, "Expected value of type Integer", "/Seconds"),
        (
            {"Type": "Wait", "End": True, "SecondsPath": None},
            "Value must be a valid JSONPath.",
            "/SecondsPath",
        ),
    ],
)
def test_fields_are_checked_by_state_type(state: dict[str, Any], message: str, field: str) -> None:
    found = schema(machine(S=state))
    assert any(message in words and location == f"/States/S{field}" for words, location in found), found


@pytest.mark.parametrize(
    ("extra", "message", "field"),
    [
        ({"Retry": [{"ErrorEquals": []}]}, "Value cannot be empty", "/Retry[0]/ErrorEquals"),
        ({"Retry": [{"MaxAttempts": 1}]}, "These fields are required: [ErrorEquals]", "/Retry[0]"),
        (
            {"Retry": [{"ErrorEquals": ["E"], "BackoffRate": 0.5}]},
            "Minimum value is 1",
            "/Retry[0]/BackoffRate",
        ),
        ({"Retry": [1]}, "Expected value of type [OBJECT]", "/Retry[0]"),
        ({"Retry": [{"ErrorEquals": [1]}]}, "Expected value of type [STRING]", "/Retry[0]/ErrorEquals"),
        (
            {"Retry": [{"ErrorEquals": ["E"], "IntervalSeconds": 0}]},
            "Minimum value is 1",
            "/Retry[0]/IntervalSeconds",
        ),
        (
            {"Retry": [{"ErrorEquals": ["E"], "IntervalSeconds": 2, "MaxDelaySeconds": 2}]},
            "MaxDelaySeconds must be greater",
            "/Retry[0]/MaxDelaySeconds",
        ),
        ({"Catch": [{"ErrorEquals": ["E"], "Next": "S", "Assign": 1}]}, "[OBJECT]", "/Catch[0]/Assign"),
        (
            {"Retry": [{"ErrorEquals": ["E"], "JitterStrategy": "HALF"}]},
            "[NONE, FULL]",
            "/Retry[0]/JitterStrategy",
        ),
        (
            {"Retry": [{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["E"]}]},
            "States.ALL must appear alone and at end of list",
            "/Retry[0]/ErrorEquals",
        ),
        (
            {"Catch": [{"ErrorEquals": ["States.ALL", "E"], "Next": "S"}]},
            "States.ALL must appear alone and at end of list",
            "/Catch[0]/ErrorEquals",
        ),
        ({"Catch": [{"ErrorEquals": ["E"]}]}, "These fields are required: [Next]", "/Catch[0]"),
        (
            {"Catch": [{"ErrorEquals": ["E"], "Next": "S", "ResultPath": "$..x"}]},
            "Reference Path",
            "/Catch[0]/ResultPath",
        ),
    ],
)
def test_retriers_and_catchers_are_checked(extra: dict[str, Any], message: str, field: str) -> None:
    found = schema(machine(S={"Type": "Task", "Resource": LAMBDA, "End": True, **extra}))
    assert any(message in words and location == f"/States/S{field}" for words, location in found), found


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"Variable": "$.a", "StringEquals": "x"}, "These fields are required: [Next]"),
        ({"Variable": "$.a", "Next": "S"}, "There should only be one of the following fields"),
        ({"Variable": "$.a", "IsNull": True, "IsPresent": True, "Next": "S"}, "There should only be one of"),
        ({"StringEquals": "x", "Next": "S"}, "The object must have only one of the following fields"),
        ({"Variable": "a", "IsNull": True, "Next": "S"}, "Reference path didn't start with '$'"),
        ({"Variable": "$.a", "NumericEqualsPath": "b", "Next": "S"}, "Reference path didn't start with '$'"),
        (
            {"Not": {"Variable": "$.a", "IsNull": True, "Next": "S"}, "Next": "S"},
            "Field 'Next' is not supported",
        ),
        ({"Variable": "$.a", "NumericEquals": "1", "Next": "S"}, "Expected value of type [NUMBER]"),
        ({"Variable": "$.a", "IsPresent": "yes", "Next": "S"}, "Expected value of type [BOOLEAN]"),
        ({"Variable": "$.a", "StringMatches": 1, "Next": "S"}, "Expected value of type [STRING]"),
        ({"Variable": "$.a", "TimestampEquals": "now", "Next": "S"}, "Expected value of type [TIMESTAMP]"),
        ({"And": [1], "Next": "S"}, "Expected value of type [OBJECT]"),
        ({"Or": "x", "Next": "S"}, "Expected value of type [ARRAY]"),
        ({"Not": 1, "Next": "S"}, "Expected value of type [OBJECT]"),
        ({"Condition": "{% true %}", "Next": "S"}, "field 'Condition' is only supported for the 'JSONata'"),
    ],
)
def test_choice_rules_are_checked(rule: dict[str, Any], message: str) -> None:
    found = schema(machine(C={"Type": "Choice", "Choices": [rule], "Default": "S"}, S={"Type": "Succeed"}))
    assert any(message in words for words, _ in found), found


@pytest.mark.parametrize(
    ("part", "message", "field"),
    [
        ({"ItemReader": "x"}, "Expected value of type [OBJECT]", "/ItemReader"),
        (
            {"ItemReader": {"Resource": "arn:aws:states:::s3:foo"}},
            "is not recognized",
            "/ItemReader/Resource",
        ),
        ({"ItemReader": {"ReaderConfig": {"MaxItems": -1}}}, "Minimum", "/ItemReader/ReaderConfig/MaxItems"),
        ({"ItemReader": {"ReaderConfig": {"InputType": "XML"}}}, "CSV", "/ItemReader/ReaderConfig/InputType"),
        ({"ItemReader": {"Parameters": "x"}}, "Expected value of type [OBJECT]", "/ItemReader/Parameters"),
        ({"ItemBatcher": {}}, "at least one of the following fields: [MaxItemsPerBatch,", "/ItemBatcher"),
        ({"ItemBatcher": {"MaxItemsPerBatch": 0}}, "Minimum value is 1", "/ItemBatcher/MaxItemsPerBatch"),
        ({"ItemBatcher": {"Size": 1}}, "Field 'Size' is not supported", "/ItemBatcher"),
        ({"ResultWriter": {}}, "These fields are required: [Resource]", "/ResultWriter"),
        (
            {"ResultWriter": {"WriterConfig": {"OutputType": "CSV"}}},
            "[JSON, JSONL]",
            "/ResultWriter/WriterConfig/OutputType",
        ),
        ({"Label": "x" * 41}, "40 characters", "/Label"),
        ({"Label": "a*"}, "invalid characters", "/Label"),
    ],
)
def test_the_parts_of_a_distributed_map_are_checked(part: dict[str, Any], message: str, field: str) -> None:
    config = {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}
    inner = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}, "ProcessorConfig": config}
    found = schema(machine(M={"Type": "Map", "ItemProcessor": inner, "End": True, **part}))
    assert any(message in words and location == f"/States/M{field}" for words, location in found), found


def test_jsonata_is_read_at_creation_with_the_place_of_each_text() -> None:
    state = {
        "Type": "Task",
        "Resource": LAMBDA,
        "Arguments": {"a": ["{% 1 + %}"], "b": "{% phone %}", "c": "{% 1"},
        "Output": "{% $states.errorOutput %}",
        "Catch": [{"ErrorEquals": ["E"], "Output": {"e": "{% $states.errorOutput.Cause %}"}, "Next": "S"}],
        "Assign": {"states": 1, "a-b": 1},
        "ResultPath": "$.x",
        "End": True,
    }
    assert said(machine("JSONata", T=state, S={"Type": "Succeed"})) == [
        (
            "SCHEMA_VALIDATION_FAILED",
            "The QueryLanguage is set to 'JSONata', but field 'ResultPath' is only supported for the "
            "'JSONPath' QueryLanguage",
            "/States/T",
        ),
        ("INVALID_JSONATA_EXPRESSION", "Unexpected end of expression", "/States/T/Arguments/a[0]"),
        (
            "UNSUPPORTED_JSONATA_EXPRESSION",
            "Reference to 'phone' at the top level is not supported.",
            "/States/T/Arguments/b",
        ),
        (
            "SCHEMA_VALIDATION_FAILED",
            "JSONata string must start with {% and end with %}",
            "/States/T/Arguments/c",
        ),
        (
            "UNSUPPORTED_JSONATA_EXPRESSION",
            "Reference to '$states.errorOutput' is not supported.",
            "/States/T/Output",
        ),
        (
            "RESERVED_VARIABLE_NAME",
            "Cannot assign to reserved variable '$states'.",
            "/States/T/Assign/states",
        ),
        (
            "INVALID_VARIABLE_NAME",
            "Invalid variable name 'a-b': the variable name contains invalid characters.",
            "/States/T/Assign/a-b",
        ),
    ]


def test_names_inside_predicates_groups_and_lambdas_are_no_top_level_references() -> None:
    for expression in (
        "$states.input.items[value > 3].{'k': name}",
        "$states.input.items^(<price){kind: $sum(price)}",
        "$map($states.input.items, function($v, $i) { $v.name & $i })",
        "$states.input ~> |items|{'price': price * 2}|",
        "($x := $states.input; $x.a)",
    ):
        assert not said(machine("JSONata", S={"Type": "Succeed", "Output": "{% " + expression + " %}"}))
    assert said(machine("JSONata", S={"Type": "Succeed", "Output": "{% $map([1], function($v) { b }) %}"}))


def test_a_jsonata_machine_has_no_jsonpath_states_and_nested_machines_no_language() -> None:
    mixed = machine("JSONata", S={"Type": "Pass", "QueryLanguage": "JSONPath", "Output": 1, "End": True})
    assert schema(mixed) == [
        ("'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine", "/States/S")
    ]
    inner = {
        "QueryLanguage": "JSONata",
        "StartAt": "P",
        "States": {"P": {"Type": "Pass", "Output": 1, "End": True}},
    }
    each = machine(
        M={"Type": "Map", "QueryLanguage": "JSONata", "Items": [1], "ItemProcessor": inner, "End": True}
    )
    assert [location for _, location in schema(each)] == [
        "/States/M/ItemProcessor",
        "/States/M/ItemProcessor/States/P",
    ]


def test_express_machines_wait_for_nothing() -> None:
    token = machine(
        S={"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "End": True}
    )
    (found,) = definition.validate(token, "EXPRESS")
    assert found.message == "Express state machine does not support '.waitForTaskToken' service integration "
    assert not said(token)
    worker = machine(
        S={"Type": "Task", "Resource": "arn:aws:states:us-east-1:000000000000:activity:a", "End": True}
    )
    assert not said(worker)
    assert [place for _, place in schema(worker, type="EXPRESS")] == ["/States/S/Resource"]
    config = {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}
    inner = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}, "ProcessorConfig": config}
    spread = machine(M={"Type": "Map", "ItemProcessor": inner, "End": True})
    assert not said(spread)
    assert [place for _, place in schema(spread, type="EXPRESS")] == [
        "/States/M/ItemProcessor/ProcessorConfig"
    ]


def test_tokens_of_cloudformation_count_as_right_only_when_asked_for() -> None:
    value = machine(S={"Type": "Task", "Resource": "${Fn}", "TimeoutSeconds": "${Limit}", "End": True})
    assert len(said(value)) == 2
    assert not said(value, tokens=True)


def test_paths_without_a_dollar_are_doubts_that_let_a_definition_pass() -> None:
    value = machine(
        P={"Type": "Pass", "Result": {"a.$": "$.x"}, "Next": "T"},
        T={
            "Type": "Task",
            "Resource": LAMBDA,
            "Parameters": {"Payload": "$.x", "FunctionName": "f"},
            "End": True,
        },
    )
    found = definition.validate(value)
    assert [(d.severity, d.code) for d in found] == [
        ("WARNING", "PASS_RESULT_IS_STATIC"),
        ("WARNING", "NO_DOLLAR"),
    ]
    assert definition.refusal(found) is None


def test_variables_that_states_read_are_named_as_describe_state_machine_does() -> None:
    value = machine(
        A={"Type": "Pass", "Assign": {"x": 1}, "Next": "B"},
        B={"Type": "Pass", "Parameters": {"a.$": "States.Format('{}{}', $x, $y.z)"}, "Next": "C"},
        C={
            "Type": "Pass",
            "QueryLanguage": "JSONata",
            "Output": "{% $sum([$x, $states.input.a]) %}",
            "End": True,
        },
    )
    assert definition.variable_references(value) == {"B": ["x", "y"], "C": ["x"]}


def test_walk_visits_nested_states_after_the_one_that_holds_them() -> None:
    inner = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}
    value = machine(
        M={"Type": "Map", "ItemProcessor": inner, "Next": "L"}, L={"Type": "Parallel", "Branches": [inner]}
    )
    assert [place.path for place in states.walk(value)] == [
        "/States/M",
        "/States/M/ItemProcessor/States/P",
        "/States/L",
        "/States/L/Branches[0]/States/P",
    ]


def test_no_definition_that_aws_took_is_refused() -> None:
    refused = {
        row["id"]: said(value, type=kind, tokens=True)
        for row in recorded.rows()
        for value, kind in recorded.accepted(row)
        if said(value, type=kind, tokens=True)
    }
    assert not refused


def test_what_aws_refused_is_refused_in_its_words() -> None:
    compared = 0
    for row in recorded.rows():
        text = row.get("definition_raw") or json.dumps(row.get("definition"))
        kind = (row.get("args") or {}).get("type", "STANDARD")
        if row["kind"] == "create_error" and row["expect"]["error"]["Code"] == "InvalidDefinition":
            assert definition.refusal(definition.validate(text, kind)) == row["expect"]["error"]["Message"]
            compared += 1
        if row["kind"] == "validate":
            found = [vars(diagnostic) for diagnostic in definition.validate(text, kind)]
            assert found == row["expect"]["response"]["diagnostics"]
            compared += 1
    assert compared >= 7

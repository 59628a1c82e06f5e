from __future__ import annotations

import copy
import json
import socket
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_kit.asl import definition as asl
from mlops_kit.build.lint import Finding, Findings, lint
from mlops_kit.errors import UsageError
from mlops_kit.pipeline import Pipeline
from tests.asl import recorded

STATES = "arn:aws:states:::"
HASHED = "States.Format('job-{}', States.Hash(States.Format('{}{}{}', $$.Execution.Id, $$.State.RetryCount, "
HASHED += "$$.Execution.RedriveCount), 'SHA-1'))"
RETRY = [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 2}]


def machine(**named: Any) -> dict[str, Any]:
    return {"StartAt": next(iter(named)), "States": named}


def task(resource: str, parameters: Any = None, **further: Any) -> dict[str, Any]:
    state: dict[str, Any] = {"Type": "Task", "Resource": resource, "TimeoutSeconds": 60}
    if parameters is not None:
        state["Parameters"] = parameters
    state.update(further)
    return state if "Next" in state else {**state, "End": True}


def training(name: dict[str, str], **further: Any) -> dict[str, Any]:
    parameters = {"RoleArn": "${SageMakerRole}", "OutputDataConfig": {"S3OutputPath": "s3://${DataBucket}/m"}}
    return task(f"{STATES}sagemaker:createTrainingJob.sync", {**name, **parameters}, **further)


def found(value: Any) -> list[tuple[str, str, str]]:
    return [(finding.severity, finding.state, finding.field) for finding in lint(value)]


def only(value: Any) -> Finding:
    findings = lint(value)
    assert len(findings) == 1, findings
    return findings[0]


def test_a_good_workflow_has_no_findings() -> None:
    value = machine(
        Train=training(
            {"TrainingJobName.$": HASHED},
            ResultPath="$.training",
            Retry=RETRY,
            Catch=[{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Tell"}],
            Next="Decide",
        ),
        Decide={
            "Type": "Choice",
            "Choices": [
                {"Variable": "$.training.TrainingJobStatus", "StringEquals": "Completed", "Next": "Done"}
            ],
            "Default": "Tell",
        },
        Tell=task(f"{STATES}sns:publish", {"TopicArn": "${CriticalTopic}", "Message.$": "$"}),
        Done={"Type": "Succeed"},
    )
    findings = lint(value)
    assert not findings
    assert str(findings) == "No findings."
    assert findings._repr_html_() == "<p>No findings.</p>"
    assert findings.to_json() == "[]"


def test_subjects_are_pipelines_definitions_and_json_texts() -> None:
    value = machine(A={"Type": "Pass", "Next": "B"})
    pipeline = Pipeline(name="p", description="A pipeline.", definition=value)
    assert list(lint(value)) == list(lint(json.dumps(value))) == list(lint(pipeline))


@pytest.mark.parametrize("text", ["{", "[]", "not json", '{"StartAt": "A"}', "{}", '{"States": []}'])
def test_what_is_no_definition_is_a_usage_error_with_words(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        lint(text)
    assert raised.value.suggestion


def test_unreachable_and_missing_states_are_found_with_the_name_that_was_meant() -> None:
    value = machine(Validate={"Type": "Pass", "Next": "Transform"}, Trasform={"Type": "Pass", "End": True})
    missing, unreached = lint(value)
    assert (missing.state, missing.field) == ("Validate", "Next")
    assert "did you mean Trasform?" in missing.fix
    assert unreached.state == "Trasform" and "not reachable" in unreached.problem


def test_a_map_that_cannot_end_is_found() -> None:
    inner = {
        "StartAt": "P",
        "States": {"P": {"Type": "Wait", "Seconds": 1, "Next": "Q"}, "Q": {"Type": "Pass", "Next": "P"}},
    }
    value = machine(M={"Type": "Map", "ItemProcessor": inner, "End": True})
    assert found(value) == [("warning", "M", "ItemProcessor")]


@pytest.mark.parametrize(
    ("state", "field", "word"),
    [
        ({"Type": "Pass", "InputPath": "$.a b", "End": True}, "InputPath", "Bad path '$.a b'"),
        ({"Type": "Pass", "ResultPath": "$..a", "End": True}, "ResultPath", "one place"),
        ({"Type": "Pass", "Parameters": {"x": {"a.$": "$[a]"}}, "End": True}, "Parameters/x/a.$", "'[a]'"),
        (
            {"Type": "Pass", "Parameters": {"a.$": "States.Fmt('x')"}, "End": True},
            "Parameters/a.$",
            "no intrinsic",
        ),
        ({"Type": "Pass", "Parameters": {"a.$": 5}, "End": True}, "Parameters/a.$", "must be a text"),
        (
            {"Type": "Pass", "Parameters": {"a.$": "$.l.length()"}, "End": True},
            "Parameters/a.$",
            "States.ArrayLength",
        ),
        (
            {"Type": "Pass", "QueryLanguage": "JSONata", "Output": {"v": ["{% 1 + %}"]}, "End": True},
            "Output/v[0]",
            "Unexpected end of expression",
        ),
        (
            {"Type": "Pass", "QueryLanguage": "JSONata", "Output": "{% phone %}", "End": True},
            "Output",
            "'phone'",
        ),
        (
            {"Type": "Pass", "QueryLanguage": "JSONata", "Output": "{% 1", "End": True},
            "Output",
            "ends with %}",
        ),
        ({"Type": "Pass", "Timeout": 5, "End": True}, "", "Field 'Timeout' is not supported"),
        ({"Type": "Pass", "parameters": {}, "End": True}, "", "Field 'parameters'"),
    ],
)
def test_paths_intrinsics_jsonata_and_fields_are_read(state: dict[str, Any], field: str, word: str) -> None:
    finding = only(machine(S=state))
    assert (finding.severity, finding.state, finding.field) == ("error", "S", field)
    assert word in finding.problem
    assert finding.fix


def test_states_all_that_is_not_last_or_not_alone_is_found() -> None:
    retry = [{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["A"]}]
    catch = [{"ErrorEquals": ["States.ALL", "A"], "Next": "S", "ResultPath": "$.error"}]
    value = machine(
        T=task(f"{STATES}lambda:invoke", {"FunctionName": "f"}, Retry=retry, Catch=catch),
        S={"Type": "Succeed"},
    )
    assert found(value) == [("error", "T", "Retry[0]/ErrorEquals"), ("error", "T", "Catch[0]/ErrorEquals")]


@pytest.mark.parametrize(
    ("resource", "parameters", "field", "words"),
    [
        ("lamda:invoke", {}, "Resource", "did you mean lambda?"),
        ("s3:putObject", {}, "Resource", "aws-sdk:s3:putObject"),
        ("sagemaker:createTrainingJobs", {}, "Resource", "did you mean sagemaker:createTrainingJob?"),
        ("sagemaker:createEndpoint.sync", {}, "Resource", "no .sync"),
        ("lambda:invoke.sync", {"FunctionName": "f"}, "Resource", "no .sync"),
        ("aws-sdk:logs:createLogGroup", {}, "Resource", "did you mean aws-sdk:cloudwatchlogs?"),
        ("aws-sdk:s3:putObjekt", {}, "Resource", "did you mean putObject?"),
        ("aws-sdk:s3:getObject.sync", {}, "Resource", "answers at once"),
        ("aws-sdk:s3:getObject", {"Bucket": "b"}, "Parameters", "add Key."),
        ("aws-sdk:s3:getObject", {"bucket": "b", "Key": "k"}, "Parameters/bucket", "write Bucket."),
        (
            "aws-sdk:sfn:startExecution",
            {"StateMachineArn": "a", "Inputs": "{}"},
            "Parameters/Inputs",
            "mean Input?",
        ),
        (
            "sns:publish",
            {"TopicArn": "t", "Mesage": "m", "Message": "m"},
            "Parameters/Mesage",
            "did you mean Message?",
        ),
        (
            "ecs:runTask.sync",
            {"TaskDefinition": "t", "NetworkConfiguration": {"AwsvpcConfiguration": {"Subnet": []}}},
            "Parameters/NetworkConfiguration/AwsvpcConfiguration/Subnet",
            "did you mean Subnets?",
        ),
        ("events:putEvents", {"Entries": {"Detail": {}}}, "Parameters/Entries", "list"),
        (
            "events:putEvents",
            {"Entries": [{"Details": {}}]},
            "Parameters/Entries[0]/Details",
            "did you mean Detail?",
        ),
        (
            "dynamodb:putItem",
            {"TableName": "t", "Item": {"a": {"T": "x"}}},
            "Parameters/Item/a/T",
            "no member",
        ),
    ],
)
def test_services_actions_and_parameters_are_held_against_the_models(
    resource: str, parameters: dict[str, Any], field: str, words: str
) -> None:
    finding = only(machine(T=task(STATES + resource, parameters)))
    assert (finding.severity, finding.state, finding.field) == ("error", "T", field)
    assert words in f"{finding.problem} {finding.fix}"


@pytest.mark.parametrize(
    ("resource", "parameters"),
    [
        ("lambda:invoke", {"FunctionName.$": "$.f", "Payload": None}),
        ("lambda:invoke", None),
        ("sqs:sendMessage.waitForTaskToken", {"QueueUrl": "q", "MessageBody": {"token.$": "$$.Task.Token"}}),
        ("events:putEvents", {"Entries": [{"Detail": {"a": 1}, "DetailType": "t", "Source": "s"}]}),
        ("states:startExecution.sync:2", {"StateMachineArn": "a", "Input": {"x.$": "$"}}),
        ("athena:startQueryExecution.sync", {"QueryString": "select 1", "WorkGroup": "w"}),
        ("http:invoke", {"ApiEndpoint": "https://x", "Method": "GET", "Whatever": 1}),
        ("bedrock:invokeModel", {"ModelId": "m", "Input": {"S3Uri": "s3://b/k"}}),
        ("glue:startJobRun.sync", {"JobName": "${PrepareJob}", "Arguments": {"--day.$": "$.day"}}),
        ("dynamodb:updateItem", {"TableName": "t", "Key": {"k": {"S": "x"}}, "UpdateExpression": "${Set}"}),
        ("aws-sdk:sagemakerruntime:invokeEndpoint", {"EndpointName": "e", "Body.$": "$.row"}),
        ("aws-sdk:rds:describeDBInstances", {"DbInstanceIdentifier": "d"}),
    ],
)
def test_right_integrations_are_left_alone(resource: str, parameters: Any) -> None:
    assert not lint(machine(T=task(STATES + resource, parameters, HeartbeatSeconds=5)))


def test_arguments_of_jsonata_tasks_are_held_against_the_models_too() -> None:
    state = {"Type": "Task", "Resource": f"{STATES}sns:publish", "TimeoutSeconds": 5, "End": True}
    value = machine(T=state | {"Arguments": {"Topic": "{% $states.input.t %}", "Message": "m"}})
    assert found(value | {"QueryLanguage": "JSONata"}) == [("error", "T", "Arguments/Topic")]
    whole = machine(T=state | {"Arguments": "{% $states.input %}"})
    assert not lint(whole | {"QueryLanguage": "JSONata"})


@pytest.mark.parametrize(
    ("name", "retry", "severity", "words"),
    [
        ({"TrainingJobName": "train"}, None, "error", "same in every execution"),
        ({"TrainingJobName.$": "States.Hash($$.Execution.Id, 'SHA-1')"}, RETRY, "error", "retry"),
        ({"TrainingJobName.$": "$.name"}, RETRY, "error", "retry"),
        (
            {"TrainingJobName.$": HASHED.replace(".RedriveCount", ".Name")},
            RETRY,
            "warning",
            "redrive",
        ),
        ({"TrainingJobName.$": "$$.Execution.Name"}, None, "warning", "EventBridge"),
        ({"TrainingJobName.$": "States.Format('a-{}', $$.Execution.Name)"}, None, "warning", "EventBridge"),
    ],
)
def test_job_names_that_come_back_are_found(
    name: dict[str, str], retry: Any, severity: str, words: str
) -> None:
    finding = only(machine(T=training(name, **({"Retry": retry} if retry else {}))))
    assert (finding.severity, finding.state) == (severity, "T")
    assert finding.field.startswith("Parameters/TrainingJobName")
    assert words in finding.problem


@pytest.mark.parametrize(
    ("name", "retry"),
    [
        ("States.Hash($$.Execution.Id, 'SHA-1')", None),
        ("States.Hash($$.Execution.Id, 'SHA-1')", [{"ErrorEquals": ["ThrottlingException"]}]),
        ("States.Hash($$.Execution.Id, 'SHA-1')", [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 0}]),
        ("States.UUID()", RETRY),
        ("States.Hash($$.Execution.Name, 'SHA-1')", None),
        (HASHED, RETRY),
    ],
)
def test_job_names_that_stay_new_are_left_alone(name: str, retry: Any) -> None:
    assert not lint(machine(T=training({"TrainingJobName.$": name}, **({"Retry": retry} if retry else {}))))


def test_a_job_name_inside_a_map_needs_the_item() -> None:
    def mapped(name: str) -> dict[str, Any]:
        inner = machine(T=training({"TrainingJobName.$": name}))
        return machine(M={"Type": "Map", "ItemProcessor": inner, "End": True})

    assert "Every item" in only(mapped("States.Hash($$.Execution.Id, 'SHA-1')")).problem
    assert not lint(mapped("States.Format('{}-{}', States.Hash($$.Execution.Id, 'MD5'), $$.Map.Item.Index)"))
    assert not lint(mapped("$.name"))


def test_a_sagemaker_name_that_aws_refuses_is_found() -> None:
    problems = [finding.problem for finding in lint(machine(T=training({"TrainingJobName": "no_good"})))]
    assert any("no SageMaker job name" in problem for problem in problems)


CALLBACK = task(f"{STATES}sqs:sendMessage.waitForTaskToken", HeartbeatSeconds=5)
QUEUE = {"QueueUrl": "q", "MessageBody.$": "$.body"}
IN_JSONATA = {"QueryLanguage": "JSONata"}


@pytest.mark.parametrize(
    ("state", "severity", "field", "words"),
    [
        (
            {"Type": "Pass", "Parameters": {"a": {"b.$": "$$.Execution.Nam"}}},
            "warning",
            "Parameters/a/b.$",
            "no $$.Execution.Nam. did you mean Name?",
        ),
        (
            {"Type": "Pass", "Parameters": {"a.$": "States.Format('{}', $$.Tsk)"}},
            "warning",
            "Parameters/a.$",
            "no $$.Tsk. did you mean Task?",
        ),
        (
            {"Type": "Pass", "InputPath": "$$.Map.Item.Index.x.y", "OutputPath": "$$.Map.Size"},
            "warning",
            "OutputPath",
            "no $$.Map.Size. $$.Map has: Item.",
        ),
        (
            {"Type": "Pass", "Output": "{% $states.context.Tsk.Token %}", **IN_JSONATA},
            "warning",
            "Output",
            "no $states.context.Tsk. did you mean Task?",
        ),
        (
            {"Type": "Pass", "Output": {"a": "{% $states.inputt.b %}"}, **IN_JSONATA},
            "error",
            "Output/a",
            "$states has no member 'inputt'. did you mean input?",
        ),
        ({"Type": "Wait", "SecondsPath": "$.n[*]"}, "error", "SecondsPath", "finds a list, and one value"),
        (
            CALLBACK | {"Parameters": QUEUE},
            "warning",
            "Parameters",
            "gives it to nobody. pass $$.Task.Token to",
        ),
        (
            CALLBACK
            | {
                "Arguments": {"QueueUrl": "q", "MessageBody": "{% $states.context.Execution.Id %}"},
                **IN_JSONATA,
            },
            "warning",
            "Arguments",
            "pass {% $states.context.Task.Token %} to",
        ),
        (
            task(
                f"{STATES}lambda:invoke",
                {"FunctionName": "f"},
                Catch=[
                    {"ErrorEquals": ["States.TaskFailed", "states.timeout"], "Next": "S", "ResultPath": "$.e"}
                ],
            ),
            "warning",
            "Catch[0]/ErrorEquals",
            "so this never matches; names are matched by case. did you mean States.Timeout?",
        ),
        (
            task(f"{STATES}lambda:invoke", {"FunctionName": "f"}, Retry=[{"ErrorEquals": ["States.Zzz"]}]),
            "warning",
            "Retry[0]/ErrorEquals",
            "use one of: States.ALL, ",
        ),
        (
            task(f"{STATES}foo:bar"),
            "error",
            "Resource",
            "integration 'foo'. use one of: apigateway, athena, batch",
        ),
    ],
)
def test_what_finds_nothing_or_comes_to_nobody_is_found(
    state: dict[str, Any], severity: str, field: str, words: str
) -> None:
    value = machine(S={"End": True, **state})
    if "Catch" in state:
        value = machine(S={**state}, T={"Type": "Succeed"})
        value["States"]["S"]["Catch"][0]["Next"] = "T"
    finding = only(value)
    assert (finding.severity, finding.state, finding.field) == (severity, "S", field)
    assert words in f"{finding.problem} {finding.fix}"


@pytest.mark.parametrize(
    "state",
    [
        {
            "Type": "Pass",
            "Parameters": {"a.$": "$$", "b.$": "$$.Execution.Input.x['y']", "c.$": "$$.Map.Item.Value.z"},
        },
        {
            "Type": "Pass",
            "Output": "{% $states.context.Execution.Input.x & $states.input.context %}",
            **IN_JSONATA,
        },
        {"Type": "Wait", "SecondsPath": "$.n[0].m"},
        CALLBACK | {"Parameters": {"QueueUrl": "q", "MessageBody.$": "States.Format('{}', $$.Task.Token)"}},
        CALLBACK | {"Parameters": {"QueueUrl": "q", "MessageBody": {"all.$": "$$"}}},
        CALLBACK | {"InputPath": "$$.Task", "Parameters": QUEUE},
        CALLBACK | {"Parameters": "${All}"},
        CALLBACK
        | {"Arguments": {"QueueUrl": "q", "MessageBody": "{% $states.context.Task %}"}, **IN_JSONATA},
        CALLBACK | {"Arguments": "{% $f($states) %}", **IN_JSONATA},
        task(
            f"{STATES}lambda:invoke",
            {"FunctionName": "f"},
            Retry=[{"ErrorEquals": ["States.Http.StatusCode.429", "Lambda.Unknown", "Statesman"]}],
        ),
    ],
)
def test_what_aws_gives_is_left_alone(state: dict[str, Any]) -> None:
    findings = lint(machine(S={"End": True, **state}))
    assert not [one for one in findings if "nobody" in one.problem or " has no " in one.problem], findings


def test_a_result_that_replaces_what_is_read_later_is_found() -> None:
    value = machine(
        Train=training({"TrainingJobName.$": HASHED}, Next="Rest"),
        Rest={"Type": "Wait", "SecondsPath": "$.pause", "Next": "Tell"},
        Tell=task(
            f"{STATES}sns:publish", {"TopicArn": "t", "Message.$": "$.TrainingJobName", "Subject.$": "$.day"}
        ),
    )
    first, second = lint(value)
    assert (first.severity, first.state, first.field) == ("error", "Train", "ResultPath")
    assert "Rest reads $.pause" in first.problem and "Tell reads $.day" in second.problem
    assert '"ResultPath": "$.train"' in first.fix
    value["States"]["Train"]["ResultPath"] = "$.train"
    value["States"]["Tell"]["Parameters"]["Message.$"] = "$.train.TrainingJobName"
    assert not lint(value)


def test_an_unknown_result_is_doubted_only_when_the_member_was_read_before() -> None:
    def through(resource: str, name: str) -> dict[str, Any]:
        return machine(
            First={"Type": "Wait", "SecondsPath": "$.pause", "Next": "Work"},
            Work=task(resource, None, Next="Then"),
            Then={"Type": "Wait", "SecondsPath": f"$.{name}", "End": True},
        )

    function = "arn:aws:lambda:eu-central-1:123456789012:function:f"
    assert found(through(function, "pause")) == [("warning", "Work", "ResultPath")]
    assert not lint(through(function, "other"))
    assert not lint(through("${WorkFunction}", "other"))


def test_a_caught_error_that_replaces_what_is_read_later_is_found() -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Tell"}]
    tell = task(f"{STATES}sns:publish", {"TopicArn": "t", "Message.$": "$.Cause", "Subject.$": "$.model"})
    value = machine(T=task(f"{STATES}lambda:invoke", {"FunctionName": "f"}, Catch=catch), Tell=tell)
    finding = only(value)
    assert (finding.severity, finding.state, finding.field) == ("error", "T", "Catch[0]/ResultPath")
    assert "Tell reads $.model" in finding.problem


def test_members_that_may_be_absent_are_no_findings() -> None:
    value = machine(
        Work=task(f"{STATES}lambda:invoke", {"FunctionName": "f"}, Next="Ask"),
        Ask={
            "Type": "Choice",
            "Choices": [
                {
                    "And": [{"Variable": "$.x", "IsPresent": True}, {"Variable": "$.x", "NumericEquals": 1}],
                    "Next": "Use",
                }
            ],
            "Default": "Done",
        },
        Use={"Type": "Wait", "SecondsPath": "$.x", "End": True},
        Done={"Type": "Succeed"},
    )
    assert not lint(value)


def test_jsonata_outputs_that_lack_what_is_read_later_are_found() -> None:
    work = {
        "Type": "Task",
        "Resource": f"{STATES}lambda:invoke",
        "Arguments": {"FunctionName": "f"},
        "TimeoutSeconds": 5,
    }
    value = machine(
        Work=work | {"Output": {"a": "{% $states.result.Payload %}"}, "Next": "Rest"},
        Rest={"Type": "Wait", "Seconds": "{% $states.input.pause %}", "End": True},
    ) | {"QueryLanguage": "JSONata"}
    assert found(value) == [("error", "Work", "Output")]
    value["States"]["Rest"]["Seconds"] = "{% $exists($states.input.pause) ? $states.input.pause : 1 %}"
    assert not lint(value)


def test_an_output_that_merges_into_the_input_keeps_it() -> None:
    work = {"Type": "Task", "Resource": f"{STATES}lambda:invoke", "TimeoutSeconds": 5}
    merged = "{% $merge([$states.input, {'more': $states.result.Payload}]) %}"
    value = machine(
        Work=work | {"Arguments": {"FunctionName": "f"}, "Output": merged, "Next": "Rest"},
        Rest={"Type": "Wait", "Seconds": "{% $states.input.more %}", "End": True},
    ) | {"QueryLanguage": "JSONata"}
    assert not lint(value)
    first = {"First": work | {"Arguments": {"FunctionName": "f"}, "Next": "Work"}}
    value = value | {"StartAt": "First", "States": first | value["States"]}
    assert not lint(value)
    value["States"]["Rest"]["Seconds"] = "{% $states.input.pause %}"
    finding = only(value)
    assert (finding.state, finding.field) == ("First", "Output")
    assert "Rest reads {% $states.input.pause %}" in finding.problem


def test_traces_of_the_data_science_sdk_are_found() -> None:
    printed = "<stepfunctions.inputs.placeholders.ExecutionInput object at 0x7f0a>"
    parameters = {
        "ProcessingJobName.$": HASHED,
        "RoleArn": "r",
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "t", "VolumeSizeInGB": 1}
        },
        "AppSpecification": {"ImageUri": "i", "ContainerArguments": ["--day", printed]},
        "ProcessingInputs": [
            {"InputName": None, "S3Input": {"S3Uri": "/etc/hosts", "S3DataType": "S3Prefix"}}
        ],
        "Environment": {"PORT": 80},
        "ExperimentConfig": None,
    }
    value = machine(P=task(f"{STATES}sagemaker:createProcessingJob.sync", parameters))
    assert sorted(found(value)) == [
        ("error", "P", "Parameters/AppSpecification/ContainerArguments[1]"),
        ("error", "P", "Parameters/ProcessingInputs[0]/S3Input/S3Uri"),
        ("warning", "P", "Parameters/Environment/PORT"),
        ("warning", "P", "Parameters/ExperimentConfig"),
        ("warning", "P", "Parameters/ProcessingInputs[0]/InputName"),
    ]


def test_mixed_partitions_are_found() -> None:
    publish = {"TopicArn": "t", "Message": "m"}
    value = machine(
        A=task(f"{STATES}sns:publish", publish, ResultPath=None, Next="B"),
        B=task(f"{STATES}sns:publish", publish, ResultPath=None, Next="C"),
        C=task("arn:aws-cn:states:::sns:publish", publish),
    )
    assert found(value) == [("warning", "C", "Resource")]


def test_tasks_without_an_end_and_choices_without_a_default_are_advised_on() -> None:
    value = machine(
        Ask={"Type": "Choice", "Choices": [{"Variable": "$.a", "IsNull": True, "Next": "T"}]},
        T={"Type": "Task", "Resource": f"{STATES}lambda:invoke", "End": True},
    )
    assert found(value) == [("warning", "T", "TimeoutSeconds"), ("warning", "Ask", "Default")]
    late = machine(T=task(f"{STATES}lambda:invoke", HeartbeatSeconds=60))
    assert found(late) == [("warning", "T", "HeartbeatSeconds")]


def test_a_variable_that_no_state_assigns_is_found_in_both_languages() -> None:
    value = machine(
        A={"Type": "Pass", "Assign": {"known": 1}, "Parameters": {"a.$": "$unknown.x"}, "Next": "B"},
        B={"Type": "Pass", "QueryLanguage": "JSONata", "Output": "{% $sum([$known, $other]) %}", "End": True},
    )
    assert found(value) == [("warning", "A", ""), ("warning", "B", "")]


def test_tokens_are_never_a_finding() -> None:
    value = machine(
        A=task("${WorkFunction}", {"any": "${Thing}"}, ResultPath="$.a", Next="B"),
        B=task(
            "arn:${AWS::Partition}:states:::sns:publish",
            {"TopicArn": "${Topic}", "Message.$": "${Path}"},
            Next="C",
        ),
        C={"Type": "Wait", "Seconds": "${Pause}", "Next": "D"},
        D={
            "Type": "Pass",
            "QueryLanguage": "JSONata",
            "Output": "{% $states.input.${Member} %}",
            "End": True,
        },
    )
    assert not lint(value)


def test_findings_read_well_in_a_terminal_and_in_a_notebook_and_as_json() -> None:
    findings = lint(machine(T=training({"TrainingJobName": "<b>"}), Lost={"Type": "Succeed"}))
    text = str(findings)
    assert text.splitlines()[0].startswith("error    Lost")
    assert "\n         Fix: " in text
    assert max(map(len, text.splitlines())) <= 100
    assert text.endswith("3 errors, 0 warnings")
    html = findings._repr_html_()
    assert "&lt;b&gt;" in html and "<b>'" not in html
    assert [set(entry) for entry in json.loads(findings.to_json())] == [
        {"state", "field", "problem", "fix", "severity"}
    ] * 3
    assert isinstance(findings, Findings) and isinstance(findings[0], Finding) and findings[:1]


def test_errors_stand_before_warnings_and_nothing_stands_twice() -> None:
    warning, error = Finding("a", "", "p", "f", "warning"), Finding("b", "", "p", "f")
    assert list(Findings([warning, error, warning])) == [error, warning]


def test_it_needs_no_network_and_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    assert lint(machine(T=task(f"{STATES}aws-sdk:ssm:getParameter", {"Nme": "x"})))


def test_no_error_is_found_in_a_definition_that_aws_took() -> None:
    wrong = {}
    for row in recorded.rows():
        for value, _ in recorded.accepted(row):
            if errors := lint(value).errors:
                wrong[row["id"]] = errors
    assert not wrong


def test_every_doubt_about_a_definition_that_aws_took_is_advice_or_came_true() -> None:
    advice = {"TimeoutSeconds", "Default"}
    came_true = {
        "base__state_pass_result_jsonpaths": "Result",  # AWS warns of it itself; the paths stay texts
        "base_scenarios__invalid_jsonpath-INVALID_JSONPATH_IN_ERRORPATH": "ResultPath",  # failed for it
        "assign_reference_variables__undefined_reference-BASE_UNDEFINED_ASSIGN": "",  # failed for it
    }
    for row in recorded.rows():
        for value, _ in recorded.accepted(row):
            for finding in lint(value):
                assert finding.field in advice or came_true[row["id"]] == finding.field, finding


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from(["", "$", "$.a", "{% x %}", "States.UUID()", "A"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["A", "Type", "States", "a.$", "Next"]), inner, max_size=3)
    ),
    max_leaves=5,
)
WHOLE = machine(
    A={
        **training({"TrainingJobName.$": HASHED}, Retry=RETRY, Next="B"),
        "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.e", "Next": "F"}],
    },
    B={
        "Type": "Choice",
        "Choices": [
            {
                "And": [{"Variable": "$.a", "IsPresent": True}, {"Not": {"Variable": "$.b", "IsNull": True}}],
                "Next": "C",
            }
        ],
        "Default": "F",
    },
    C={
        "Type": "Map",
        "ItemsPath": "$.l",
        "ItemReader": {
            "Resource": "r",
            "ReaderConfig": {"InputType": "CSV"},
            "Parameters": {"Bucket.$": "$.b"},
        },
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "INLINE"},
            "StartAt": "P",
            "States": {"P": {"Type": "Pass", "Assign": {"x.$": "$.y"}, "End": True}},
        },
        "Next": "D",
    },
    D={
        "Type": "Parallel",
        "QueryLanguage": "JSONata",
        "Branches": [{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 1, "End": True}}}],
        "Output": {"r": "{% $states.result %}"},
        "Catch": [{"ErrorEquals": ["E"], "Output": {"e": "{% $states.errorOutput %}"}, "Next": "F"}],
        "Next": "S",
    },
    F={"Type": "Fail", "ErrorPath": "$.e.Error", "CausePath": "States.Format('{}', $.e.Cause)"},
    S={"Type": "Succeed"},
)


def places(value: Any, trail: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [trail, *(place for key, item in items for place in places(item, (*trail, key)))]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(places(WHOLE)[1:]), JSON)
def test_nothing_in_a_definition_can_break_the_linter_or_the_validation(
    place: tuple[Any, ...], junk: Any
) -> None:
    value = copy.deepcopy(WHOLE)
    inner: Any = value
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = junk
    try:
        lint(value)
    except UsageError:
        assert not isinstance(value["States"], dict)
    asl.validate(value)
    asl.validate(json.dumps(value), "EXPRESS")

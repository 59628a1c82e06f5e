from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mlops_kit.build import steps
from mlops_kit.build.sdk import partition, sdk
from mlops_kit.errors import KitError

JOB = steps.ScriptJob(
    image="image",
    instance="ml.m5.large",
    name="{% 'job-' & $string($states.context.State.RetryCount) %}",
    inputs={"train": "{% 's3://data/' & $states.input.prefix %}"},
    output="{% 's3://data/' & $states.input.prefix & '/model' %}",
    source="s3://code/source.tar.gz",
    program="train.py",
    hyperparameters={"max_iter": 5, "name": "a"},
    metrics={"wape": "wape=([0-9.]+);"},
    arguments=("python3", "/opt/ml/processing/input/code/score.py", "--a", "{% $states.input.a %}"),
)
BUILD = """
import json
from tests.build.test_steps import workflow
print(json.dumps(workflow()))
"""


def workflow() -> dict[str, Any]:
    call = steps.Call(60, (steps.JOB_FAILED,))
    train = steps.training("Train", "us-east-1", JOB, call, "{% $states.input %}")
    score = steps.processing("Score", "us-east-1", JOB, call, None)
    failed = steps.fail("Failed", "E", "{% $states.input.failure.cause %}")
    steps.catch([train, score], failed, "{% $states.errorOutput %}")
    inner = steps.group("Both", steps.chain([train, score]), "{% $states.result[0] %}")
    return steps.definition(steps.chain([inner, steps.succeed("Done")]), "Trains", 600)


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    # no path to the project's packages is in these variables: the project is installed
    known = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    root = str(Path(__file__).parents[2])
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=root,
        env={**known, "PYTHONPATH": root, **environment},
    )


def test_the_same_workflow_gives_the_same_bytes_in_every_process() -> None:
    runs = [
        python(BUILD, PYTHONHASHSEED="1", AWS_DEFAULT_REGION="cn-north-1", TZ="Asia/Tokyo"),
        python(BUILD, PYTHONHASHSEED="2"),
    ]
    assert runs[0].stdout == runs[1].stdout
    assert json.loads(runs[0].stdout)["States"]["Both"]


def test_the_sdk_is_imported_in_silence_offline_and_without_a_trace() -> None:
    code = """
import logging, socket, sys, yaml
def refuse(*_, **__): raise AssertionError("the network was asked for")
socket.socket.connect = socket.create_connection = refuse
logging.getLogger().setLevel(17)
before = dict(yaml.SafeDumper.yaml_representers)
from mlops_kit.build.sdk import sdk
sdk().TrainingStep
heavy = {"sagemaker", "stepfunctions", "boto3", "botocore", "pandas", "IPython", "numpy", "pkg_resources"}
assert not heavy & {name.partition(".")[0] for name in sys.modules}, sys.modules
assert logging.getLogger().level == 17
assert before == yaml.SafeDumper.yaml_representers
assert not [finder for finder in sys.meta_path if type(finder).__module__.startswith("mlops_kit")]
from mlops_kit.build.hollow import HollowModule, Hollow
hollow = [name for name, module in sys.modules.items() if isinstance(module, HollowModule)]
held = [name for name, module in sys.modules.items() if name not in ("__main__", "mlops_kit.build.hollow")
        and any(value is Hollow for value in vars(module).values())]
assert not hollow and not held, (hollow, held)
"""
    ended = python(code, AWS_PROFILE="there-is-none", AWS_CONFIG_FILE="/nowhere")
    assert ended.returncode == 0 and ended.stdout == ended.stderr == "", ended.stderr


def test_a_package_that_is_imported_already_stays_what_it_was() -> None:
    code = """
import sys, types
own = sys.modules["sagemaker"] = types.ModuleType("sagemaker")
import yaml
from mlops_kit.build.sdk import sdk
sdk()
assert sys.modules["sagemaker"] is own and sys.modules["yaml"] is yaml
"""
    assert python(code).returncode == 0


def test_what_was_imported_between_two_builds_is_still_the_same_after_the_second() -> None:
    done = python("""
from mlops_kit.settings import Settings
from pipelines import retraining
retraining.build(Settings())
from botocore.exceptions import ClientError
import sys, pandas
retraining.build(Settings())
from botocore import exceptions
assert exceptions.ClientError is ClientError, "who caught it before does not catch it now"
assert sys.modules["pandas"] is pandas
""")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_sdk_imported_in_full_writes_the_same_jobs() -> None:
    code = """
import json, logging, sys, warnings
warnings.simplefilter("ignore")
from tests.build.test_steps import JOB, workflow
ours = workflow()["States"]["Both"]["Branches"][0]["States"]
from mlops_kit.build.sdk import OfflineSession
from sagemaker.inputs import TrainingInput
from sagemaker.processing import ProcessingInput, ProcessingOutput, Processor
from sagemaker.sklearn import SKLearn
from sagemaker import image_uris
from stepfunctions import steps as theirs
from mlops_kit.build import steps
session = OfflineSession("us-east-1")
estimator = SKLearn(entry_point="train.py", source_dir="s3://code/source.tar.gz", role="${SageMakerRole}",
    instance_type="ml.m5.large", instance_count=1, image_uri="image", framework_version="1.2-1",
    output_path="s3://x", hyperparameters={"max_iter": 5, "name": "a"}, max_run=3600,
    metric_definitions=[{"Name": "wape", "Regex": "wape=([0-9.]+);"}], debugger_hook_config=False,
    sagemaker_session=session)
data = {"train": TrainingInput(JOB.inputs["train"])}
made = theirs.TrainingStep("Train", estimator=estimator, job_name=JOB.name, data=data).fields["parameters"]
train = ours["Train"]["Arguments"]
made["OutputDataConfig"] = train["OutputDataConfig"]
made["HyperParameters"]["sagemaker_job_name"] = train["HyperParameters"]["sagemaker_job_name"]
assert made == train, (made, train)
processor = Processor(role="${SageMakerRole}", image_uri="image", instance_count=1,
    instance_type="ml.m5.large", max_runtime_in_seconds=3600, sagemaker_session=session)
base = "/opt/ml/processing"
made = theirs.ProcessingStep("Score", processor=processor, job_name=JOB.name,
    inputs=[ProcessingInput(JOB.inputs["train"], f"{base}/input/train", input_name="train")],
    outputs=[ProcessingOutput(f"{base}/output", JOB.output, output_name="output")],
    container_entrypoint=list(JOB.arguments[:2]), container_arguments=list(JOB.arguments[2:]))
made = made.fields["parameters"]
assert made == ours["Score"]["Arguments"], (made, ours["Score"]["Arguments"])
for region in ("us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1"):
    theirs = image_uris.retrieve("sklearn", region, version="1.2-1", image_scope="inference",
                                 instance_type="ml.m5.large")
    assert steps.image_uri("sklearn", "1.2-1", region, "ml.m5.large") == theirs
"""
    ended = python(code, AWS_EC2_METADATA_DISABLED="true", AWS_DEFAULT_REGION="us-east-1")
    assert ended.returncode == 0, ended.stderr


def test_a_job_in_jsonata_has_its_names_and_places_as_expressions() -> None:
    train = workflow()["States"]["Both"]["Branches"][0]["States"]["Train"]
    arguments = train["Arguments"]
    assert "Parameters" not in train and "DebugHookConfig" not in arguments
    assert arguments["TrainingJobName"] == JOB.name and arguments["OutputDataConfig"] == {
        "S3OutputPath": JOB.output
    }
    parameters = arguments["HyperParameters"]
    assert parameters["max_iter"] == "5" and parameters["name"] == '"a"'
    assert (
        parameters["sagemaker_job_name"]
        == "{% '\"' & 'job-' & $string($states.context.State.RetryCount) & '\"' %}"
    )
    assert train["Retry"][0]["JitterStrategy"] == "FULL" and train["Retry"][0]["MaxDelaySeconds"] == 30
    assert train["Catch"] == [
        {"ErrorEquals": ["States.ALL"], "Output": "{% $states.errorOutput %}", "Next": "Failed"}
    ]


@pytest.mark.parametrize(
    ("region", "wanted"),
    [
        ("eu-central-1", "aws"),
        ("cn-north-1", "aws-cn"),
        ("us-gov-west-1", "aws-us-gov"),
        ("il-central-1", "aws"),
    ],
)
def test_resources_and_images_are_of_the_regions_partition(region: str, wanted: str) -> None:
    assert partition(region) == wanted
    state = steps.training("Train", region, JOB, steps.Call(), None)
    machine = steps.definition(state, "x", 60)
    resource = machine["States"]["Train"]["Resource"]
    assert resource == f"arn:{wanted}:states:::sagemaker:createTrainingJob.sync"
    suffix = ".com.cn/" if wanted == "aws-cn" else ".com/"
    assert f".dkr.ecr.{region}.amazonaws{suffix}" in steps.image_uri(
        "sklearn", "1.2-1", region, "ml.m5.large"
    )


def test_an_image_that_aws_does_not_have_is_refused_in_words() -> None:
    with pytest.raises(KitError, match=r"no sklearn 1\.4-2 image"):  # it exists for training alone
        steps.image_uri("sklearn", "1.4-2", "us-east-1", "ml.m5.large")


def test_a_python_object_in_a_definition_is_refused() -> None:
    with pytest.raises(KitError, match="/States/P/Output"):
        steps.definition(steps.pass_("P", f"{object()!r}"), "x", 60)
    with pytest.raises(KitError, match="set stands in the definition at /States/P/Output/a"):
        steps.definition(steps.pass_("P", {"a": {1}}), "x", 60)


def test_nulls_are_left_out() -> None:
    call = steps.task("T", "us-east-1", "lambda:invoke", {"A": None, "B": [{"C": None}]}, steps.Call(), None)
    state = steps.definition(call, "x", 60)["States"]["T"]
    assert state["Arguments"] == {"B": [{}]} and "Output" not in state


def test_the_fields_that_the_sdk_lacks_are_written() -> None:
    inner = steps.pass_("Each", "{% $states.input %}")
    loop = sdk().Map("Loop", items="{% $states.input.a %}", item_selector={"x": 1}, tolerated_failure_count=1)
    loop.attach_iterator(inner)
    machine = steps.definition(loop, "x", 60)
    assert machine["QueryLanguage"] == "JSONata"
    state = machine["States"]["Loop"]
    assert state["ItemProcessor"]["StartAt"] == "Each" and "Iterator" not in state
    assert state["ItemSelector"] == {"x": 1} and state["ToleratedFailureCount"] == 1
    assert state["Items"] == "{% $states.input.a %}"


def test_a_choice_in_a_loop_gives_each_way_its_output() -> None:
    wait = steps.wait("Wait", "{% $states.input.n %}")
    done = steps.succeed("Done")
    look = steps.choice("Look", [("{% $states.input.n > 3 %}", done, "{% 'enough' %}")], wait)
    wait.next(look)
    states = steps.definition(wait, "x", 60)["States"]
    assert states["Wait"]["Seconds"] == "{% $states.input.n %}" and states["Wait"]["Next"] == "Look"
    assert states["Look"] == {
        "Type": "Choice",
        "Choices": [{"Condition": "{% $states.input.n > 3 %}", "Output": "{% 'enough' %}", "Next": "Done"}],
        "Default": "Wait",
    }

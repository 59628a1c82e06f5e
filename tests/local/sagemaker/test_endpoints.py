"""Endpoints serve real predictions from real processes, and stay up through updates, deaths and restarts."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.sagemaker.support import IMAGE, ROLE, Sage, archive, unique, until

ADD = """
import json, os, pathlib

def model_fn(model_dir):
    return json.loads(pathlib.Path(model_dir, "model.json").read_text())

def input_fn(data, content_type):
    if content_type != "application/json":
        raise ValueError(f"no {content_type} please")
    return json.loads(data)

def predict_fn(data, model):
    if data == "die":
        os._exit(1)
    return {"sum": data + model["add"], "pid": os.getpid(), "greeting": os.environ.get("GREETING")}

def output_fn(prediction, accept):
    return json.dumps(prediction), accept
"""


class Serving:
    """Endpoints of one test."""

    def __init__(self, sage: Sage) -> None:
        self.sage = sage
        self.client = sage.client
        self.name = unique("endpoint")

    def config(self, *variants: dict[str, Any]) -> str:
        name = unique("config")
        self.client.create_endpoint_config(EndpointConfigName=name, ProductionVariants=list(variants))
        return name

    def variant(
        self, add: int, name: str = "AllTraffic", weight: float = 1.0, script: str = ADD
    ) -> dict[str, Any]:
        model = unique("model")
        files = {"model.json": json.dumps({"add": add}), "code/inference.py": script}
        uri = self.sage.put(f"{model}/model.tar.gz", archive(files))
        container = {"Image": IMAGE, "ModelDataUrl": uri, "Environment": {"GREETING": "hi"}}
        self.client.create_model(ModelName=model, PrimaryContainer=container, ExecutionRoleArn=ROLE)
        size = {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        return {"VariantName": name, "ModelName": model, "InitialVariantWeight": weight, **size}

    def create(self, config: str) -> dict[str, Any]:
        self.client.create_endpoint(EndpointName=self.name, EndpointConfigName=config)
        assert self.describe()["EndpointStatus"] == "Creating"
        return self.settled()

    def describe(self) -> dict[str, Any]:
        return self.client.describe_endpoint(EndpointName=self.name)  # type: ignore[no-any-return]

    def settled(self) -> dict[str, Any]:
        return until(lambda: (d := self.describe())["EndpointStatus"] in ("InService", "Failed") and d)  # type: ignore[no-any-return]

    def ask(self, value: Any, **more: Any) -> dict[str, Any]:
        answer = self.raw(json.dumps(value).encode(), ContentType="application/json", **more)
        return json.loads(answer["Body"].read()) | {"variant": answer["InvokedProductionVariant"]}

    def raw(self, body: bytes, **more: Any) -> dict[str, Any]:
        runtime = self.sage.aws.client("sagemaker-runtime")
        return runtime.invoke_endpoint(EndpointName=self.name, Body=body, **more)  # type: ignore[no-any-return]

    def remove(self) -> None:
        client = self.sage.aws.client("sagemaker")
        with contextlib.suppress(ClientError):
            client.delete_endpoint(EndpointName=self.name)


@pytest.fixture
def serving(sage: Sage) -> Iterator[Serving]:
    it = Serving(sage)
    yield it
    it.remove()


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_an_endpoint_answers_from_a_process_of_its_own(serving: Serving) -> None:
    config = serving.config(serving.variant(10))
    described = serving.create(config)
    assert described["EndpointStatus"] == "InService" and described["EndpointConfigName"] == config
    variant = described["ProductionVariants"][0]
    assert variant["VariantName"] == "AllTraffic" and variant["CurrentWeight"] == 1.0
    assert variant["DeployedImages"][0]["SpecifiedImage"] == IMAGE
    answer = serving.ask(5)
    assert (answer["sum"], answer["greeting"], answer["variant"]) == (15, "hi", "AllTraffic")
    assert answer["pid"] not in (os.getpid(), serving.sage.aws.pid)
    serving.client.delete_endpoint(EndpointName=serving.name)
    until(lambda: gone(answer["pid"]))
    with pytest.raises(
        ClientError, match=f"Endpoint {serving.name} of account 000000000000 not found"
    ) as caught:
        serving.ask(5)
    assert caught.value.response["Error"]["Code"] == "ValidationError"
    until(lambda: not serving.client.list_endpoints(NameContains=serving.name)["Endpoints"])
    with pytest.raises(ClientError, match="Could not find endpoint"):
        serving.describe()


def test_a_scikit_learn_model_predicts_with_the_images_defaults(serving: Serving) -> None:
    import joblib
    import numpy as np
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [1.0, 3.0, 4.0])
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    script = "import joblib, os\ndef model_fn(d):\n    return joblib.load(os.path.join(d, 'model.joblib'))\n"
    name = unique("model")
    source = serving.sage.put(f"{name}/sourcedir.tar.gz", archive({"score.py": script}))
    data = serving.sage.put(f"{name}/model.tar.gz", archive({"model.joblib": buffer.getvalue()}))
    environment = {"SAGEMAKER_PROGRAM": "score.py", "SAGEMAKER_SUBMIT_DIRECTORY": source}
    container = {"Image": IMAGE, "ModelDataUrl": data, "Environment": environment}
    serving.client.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
    variant = {
        "VariantName": "v",
        "ModelName": name,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    assert serving.create(serving.config(variant))["EndpointStatus"] == "InService"
    csv = serving.raw(b"1,1\n2,0\n", ContentType="text/csv", Accept="text/csv")
    assert csv["ContentType"] == "text/csv"
    assert [float(line) for line in csv["Body"].read().split()] == pytest.approx([6.0, 5.0])
    assert json.loads(serving.raw(b"[1, 1]", ContentType="application/json")["Body"].read()) == pytest.approx(
        [6.0]
    )
    npy = io.BytesIO()
    np.save(npy, np.array([[2.0, 2.0]]))
    answer = serving.raw(npy.getvalue(), ContentType="application/x-npy", Accept="application/x-npy")
    assert np.load(io.BytesIO(answer["Body"].read())) == pytest.approx([11.0])
    with pytest.raises(ClientError) as caught:
        serving.raw(b"<a/>", ContentType="application/xml")
    assert caught.value.response["OriginalStatusCode"] == 415


def test_what_the_model_raises_is_a_model_error(serving: Serving) -> None:
    serving.create(serving.config(serving.variant(1)))
    with pytest.raises(ClientError) as caught:
        serving.raw(b"1,2", ContentType="text/csv")
    response = caught.value.response
    assert response["Error"]["Code"] == "ModelError"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert response["OriginalStatusCode"] == 500
    assert "ValueError: no text/csv please" in response["OriginalMessage"]
    assert "Received server error (500) from primary with message" in response["Error"]["Message"]
    group = f"/aws/sagemaker/Endpoints/{serving.name}"
    assert group in response["LogStreamArn"]
    until(lambda: any("no text/csv please" in line for line in serving.sage.lines(group, "AllTraffic/")))


def test_bodies_over_six_mebibytes_are_refused(serving: Serving) -> None:
    serving.create(serving.config(serving.variant(1)))
    with pytest.raises(ClientError) as caught:
        serving.raw(b"1" * (6_291_456 + 1), ContentType="application/json")
    assert caught.value.response["Error"]["Code"] == "ValidationError"
    assert "6291456" in caught.value.response["Error"]["Message"]
    assert serving.raw(b"1" + b" " * 6_291_455, ContentType="application/json")["Body"].read()


def test_a_model_that_does_not_load_fails_the_endpoint_with_words(serving: Serving) -> None:
    script = "def model_fn(d):\n    raise RuntimeError('the file is damaged')\n"
    described = serving.create(serving.config(serving.variant(1, script=script)))
    assert described["EndpointStatus"] == "Failed"
    reason = described["FailureReason"]
    assert reason.startswith(
        "The primary container for production variant AllTraffic did not pass the ping health check."
    )
    assert "RuntimeError: the file is damaged" in reason
    with pytest.raises(ClientError, match="not found"):
        serving.ask(1)
    config = described["EndpointConfigName"]
    with pytest.raises(ClientError, match="only operation that can be performed on a failed endpoint"):
        serving.client.update_endpoint(EndpointName=serving.name, EndpointConfigName=config)
    serving.client.delete_endpoint(EndpointName=serving.name)
    assert serving.create(serving.config(serving.variant(1)))["EndpointStatus"] == "InService"


def test_a_module_without_model_fn_fails_the_endpoint(serving: Serving) -> None:
    described = serving.create(serving.config(serving.variant(1, script="x = 1\n")))
    assert "inference has no model_fn" in described["FailureReason"]


def test_an_update_serves_without_a_gap(serving: Serving) -> None:
    serving.create(serving.config(serving.variant(1)))
    old = serving.ask(0)["pid"]
    config = serving.config(serving.variant(2))
    serving.client.update_endpoint(EndpointName=serving.name, EndpointConfigName=config)
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        serving.client.delete_endpoint(EndpointName=serving.name)
    sums = set()
    with ThreadPoolExecutor(4) as pool:
        while serving.describe()["EndpointStatus"] == "Updating":
            sums |= {answer["sum"] for answer in pool.map(serving.ask, [0] * 8)}
    assert sums <= {1, 2} and 1 in sums
    described = serving.describe()
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", config)
    assert serving.ask(0)["sum"] == 2
    until(lambda: gone(old))


def test_a_failed_update_goes_back_and_says_so(serving: Serving) -> None:
    good = serving.config(serving.variant(1))
    serving.create(good)
    pid = serving.ask(0)["pid"]
    bad = serving.config(serving.variant(2, script="raise SystemExit('cannot')\n"))
    serving.client.update_endpoint(EndpointName=serving.name, EndpointConfigName=bad)
    described = serving.settled()
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", good)
    assert "did not pass the ping health check" in described["FailureReason"]
    assert serving.ask(0)["pid"] == pid
    serving.client.update_endpoint(
        EndpointName=serving.name, EndpointConfigName=serving.config(serving.variant(3))
    )
    assert "FailureReason" not in serving.settled()
    assert serving.ask(0)["sum"] == 3


def test_a_process_that_dies_is_started_again(serving: Serving) -> None:
    serving.create(serving.config(serving.variant(1)))
    pid = serving.ask(0)["pid"]
    with pytest.raises(ClientError) as caught:
        serving.ask("die")
    assert caught.value.response["Error"]["Code"] == "ModelError"
    found = until(lambda: _quietly(serving, 1))  # one that is sent while it dies is answered as it was
    assert found["sum"] == 2 and found["pid"] != pid
    os.kill(found["pid"], signal.SIGKILL)
    assert until(lambda: _quietly(serving, 2))["sum"] == 3


def _quietly(serving: Serving, value: int) -> dict[str, Any] | None:
    try:
        return serving.ask(value)
    except ClientError:
        return None


def test_weights_and_targets_are_respected(serving: Serving) -> None:
    a, b = serving.variant(1, "a", weight=1.0), serving.variant(2, "b", weight=0.0)
    serving.create(serving.config(a, b))
    assert {serving.ask(0)["variant"] for _ in range(10)} == {"a"}
    assert serving.ask(0, TargetVariant="b")["sum"] == 2
    with pytest.raises(ClientError, match="Variant c not found"):
        serving.ask(0, TargetVariant="c")
    weights = [{"VariantName": "a", "DesiredWeight": 0.0}, {"VariantName": "b", "DesiredWeight": 3.0}]
    serving.client.update_endpoint_weights_and_capacities(
        EndpointName=serving.name, DesiredWeightsAndCapacities=weights
    )
    current = {v["VariantName"]: v["CurrentWeight"] for v in serving.settled()["ProductionVariants"]}
    assert current == {"a": 0.0, "b": 3.0}
    assert {serving.ask(0)["variant"] for _ in range(10)} == {"b"}


def test_a_name_is_used_once_and_needs_its_configuration(serving: Serving) -> None:
    with pytest.raises(ClientError, match="Could not find endpoint configuration"):
        serving.client.create_endpoint(EndpointName=serving.name, EndpointConfigName="none")
    config = serving.config(serving.variant(1))
    serving.create(config)
    with pytest.raises(ClientError, match="Cannot create already existing endpoint"):
        serving.client.create_endpoint(EndpointName=serving.name, EndpointConfigName=config)


def test_deployments_are_events_in_the_spelling_of_events(serving: Serving) -> None:
    queue = serving.sage.aws.client("sqs").create_queue(QueueName=unique("endpoint-events"))["QueueUrl"]
    events, rule = serving.sage.aws.client("events"), unique("rule")
    pattern = {
        "detail-type": ["SageMaker Endpoint State Change"],
        "detail": {"EndpointName": [serving.name], "EndpointStatus": ["IN_SERVICE"]},
    }
    events.put_rule(Name=rule, EventPattern=json.dumps(pattern))
    arn = f"arn:aws:sqs:us-east-1:000000000000:{queue.rsplit('/', 1)[-1]}"
    events.put_targets(Rule=rule, Targets=[{"Id": "q", "Arn": arn}])
    serving.create(serving.config(serving.variant(1)))
    sqs = serving.sage.aws.client("sqs")
    message = until(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"))[0]
    assert json.loads(message["Body"])["detail"]["ProductionVariants"][0]["VariantName"] == "AllTraffic"


def test_an_endpoint_is_found_again_after_a_kill(fresh_sage: Sage) -> None:
    serving = Serving(fresh_sage)
    serving.create(serving.config(serving.variant(1)))
    pid = serving.ask(0)["pid"]
    fresh_sage.aws.kill()
    assert not gone(pid)
    fresh_sage.aws.start()
    assert until(lambda: _quietly(serving, 1))["pid"] == pid


def test_an_endpoint_is_started_again_after_a_stop(fresh_sage: Sage) -> None:
    serving = Serving(fresh_sage)
    serving.create(serving.config(serving.variant(1)))
    pid = serving.ask(0)["pid"]
    fresh_sage.aws.stop()
    assert gone(pid)
    fresh_sage.aws.start()
    assert until(lambda: _quietly(serving, 1))["sum"] == 2


def test_an_update_that_a_kill_interrupts_goes_on(fresh_sage: Sage) -> None:
    serving = Serving(fresh_sage)
    serving.create(serving.config(serving.variant(1)))
    slow = ADD + "\nimport time\ntime.sleep(1.5)\n"
    config = serving.config(serving.variant(2, script=slow))
    serving.client.update_endpoint(EndpointName=serving.name, EndpointConfigName=config)
    fresh_sage.aws.kill()
    fresh_sage.aws.start()
    serving.client = fresh_sage.aws.client("sagemaker")
    assert serving.ask(0)["sum"] in (1, 2)
    until(lambda: serving.describe()["EndpointStatus"] == "InService")
    assert serving.describe()["EndpointConfigName"] == config
    assert serving.ask(0)["sum"] == 2

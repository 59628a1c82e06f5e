"""A walk through the SageMaker SDK v2 against an embedded AWS; run by its test in a process of its own.

python sdk_walk.py URL FOLDER
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

TRAIN = """
import argparse, os, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--add", type=int)
add = parser.parse_args().add
rows = pathlib.Path(os.environ["SM_CHANNEL_TRAIN"], "train.csv").read_text().split()
print(f"rows={len(rows)}")
pathlib.Path(os.environ["SM_MODEL_DIR"], "add").write_text(str(add))

def model_fn(model_dir):
    return int(pathlib.Path(model_dir, "add").read_text())
"""
SERVE = """
import pathlib
import helper

def model_fn(model_dir):
    return int(pathlib.Path(model_dir, "add").read_text())

def predict_fn(data, model):
    return helper.plus(data, model)
"""
PROCESS = """
import helper, pathlib, sys
out = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
out.joinpath("r.txt").write_text(str(helper.plus(1, 1)))
"""


def main(url: str, folder: Path) -> None:
    os.environ |= {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "SAGEMAKER_SUPPRESS_V2_WARNING": "1",
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(folder / "config.yaml"),
    }
    quiet = {"SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}}
    (folder / "config.yaml").write_text(json.dumps({"SchemaVersion": "1.0", **quiet}))
    really_sleep = time.sleep
    time.sleep = lambda seconds: really_sleep(min(seconds, 0.3))  # the SDK looks every 30 s, made for minutes

    import sagemaker
    from sagemaker.processing import FrameworkProcessor, ProcessingInput, ProcessingOutput
    from sagemaker.sklearn import SKLearn, SKLearnModel, SKLearnProcessor

    # The name is given, since the SDK would ask AWS's own STS for the account whatever the endpoint is.
    session = sagemaker.Session(default_bucket=f"sdk-{folder.parent.name}")
    role = "arn:aws:iam::000000000000:role/sdk"
    size = {"instance_type": "ml.m5.large", "instance_count": 1, "role": role, "sagemaker_session": session}
    source = folder / "source"
    source.mkdir()
    for name, text in (("train.py", TRAIN), ("serve.py", SERVE), ("process.py", PROCESS)):
        (source / name).write_text(text)
    (source / "helper.py").write_text("def plus(a, b):\n    return a + b\n")
    (source / "requirements.txt").write_text("numpy\n")
    (folder / "train.csv").write_text("1,0\n2,0\n3,0\n")
    data = session.upload_data(str(folder / "train.csv"), key_prefix="sdk")

    metrics = [{"Name": "rows", "Regex": r"rows=(\d+)"}]
    estimator = SKLearn(
        entry_point="train.py",
        source_dir=str(source),
        framework_version="1.2-1",
        hyperparameters={"add": 5},
        metric_definitions=metrics,
        **size,
    )
    estimator.fit({"train": data}, logs=False)
    session.logs_for_job(estimator.latest_training_job.name)  # with wait=True it would sleep 30 s first
    job = estimator.latest_training_job.describe()
    said = {"metrics": {m["MetricName"]: m["Value"] for m in job["FinalMetricDataList"]}}

    model = SKLearnModel(
        model_data=estimator.model_data,
        role=role,
        entry_point="serve.py",
        source_dir=str(source),
        framework_version="1.2-1",
        sagemaker_session=session,
    )
    predictor = model.deploy(instance_type="ml.m5.large", initial_instance_count=1)
    said["prediction"] = predictor.predict([[1.0, 2.0]]).tolist()
    predictor.delete_endpoint()

    transformer = model.transformer(instance_count=1, instance_type="ml.m5.large", accept="text/csv")
    transformer.transform(data, content_type="text/csv", split_type="Line", wait=True, logs=False)
    out = transformer.output_path.removeprefix("s3://").split("/", 1)
    said["transformed"] = session.read_s3_file(out[0], f"{out[1]}/train.csv.out").split()

    for name, processor in (
        ("script", SKLearnProcessor(framework_version="1.2-1", **size)),
        ("framework", FrameworkProcessor(estimator_cls=SKLearn, framework_version="1.2-1", **size)),
    ):
        output = ProcessingOutput(
            source="/opt/ml/processing/out", destination=f"s3://{out[0]}/{name}", output_name="o"
        )
        helper = ProcessingInput(
            source=str(source / "helper.py"), destination="/opt/ml/processing/input/code/lib"
        )
        more = {"code": "process.py", "source_dir": str(source)}
        if name == "script":
            more = {"code": str(source / "process.py"), "inputs": [helper]}
            processor.env = {"PYTHONPATH": "/opt/ml/processing/input/code/lib"}
        processor.run(outputs=[output], arguments=["--out", "/opt/ml/processing/out"], logs=False, **more)
        said[name] = session.read_s3_file(out[0], f"{name}/r.txt")
    print("SAID", json.dumps(said))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

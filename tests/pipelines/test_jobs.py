"""The scripts of Glue and SageMaker as processes on the real data, in folders as their services give them."""

from __future__ import annotations

import ast
import gzip
import json
import os
import subprocess
import sys
import tarfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest

from pipelines.features import demand
from pipelines.models.demand import DEMAND
from tests.conftest import REGION, EmbeddedAws

ROOT = Path(__file__).parents[2]
JOBS = ROOT / "pipelines" / "jobs"
KEY = DEMAND.data.key
WINDOW = {"train_start": "2011-01-01", "train_end": "2011-07-01", "validation_days": "14", "test_days": "14"}
Prepare = Callable[..., subprocess.CompletedProcess[str]]


def run(script: str, arguments: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    awsglue = ROOT / "mlops_kit" / "local" / "glue_site"
    return subprocess.run(
        [sys.executable, str(JOBS / script), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{awsglue}", **environment},
    )


@pytest.fixture(scope="module")
def bucket(aws: EmbeddedAws) -> str:
    name = f"jobs-{uuid.uuid4().hex[:8]}"
    aws.client("s3").create_bucket(Bucket=name)
    aws.client("s3").put_object(Bucket=name, Key=KEY, Body=DEMAND.data.path.read_bytes())
    return name


@pytest.fixture(scope="module")
def prepare(aws: EmbeddedAws, bucket: str) -> Prepare:
    def prepared(prefix: str, **changed: str) -> subprocess.CompletedProcess[str]:
        options = {"bucket": bucket, "raw_key": KEY, "output_prefix": prefix, **WINDOW, **changed}
        return run(
            "prepare_training_data.py",
            [part for name, value in options.items() for part in (f"--{name}", value)],
            AWS_ENDPOINT_URL=aws.url,
            AWS_DEFAULT_REGION=REGION,
            AWS_ACCESS_KEY_ID="test",
            AWS_SECRET_ACCESS_KEY="test",
        )

    return prepared


def fetch(aws: EmbeddedAws, bucket: str, prefix: str, folder: Path) -> Path:
    s3 = aws.client("s3")
    for found in s3.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/")["Contents"]:
        path = folder / found["Key"].removeprefix(f"{prefix}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(s3.get_object(Bucket=bucket, Key=found["Key"])["Body"].read())
    return folder


@pytest.fixture(scope="module")
def july(aws: EmbeddedAws, bucket: str, prepare: Prepare, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The window of 2011-07-01, prepared and trained."""
    ended = prepare("july")
    assert ended.returncode == 0, ended.stderr
    folder = fetch(aws, bucket, "july", tmp_path_factory.mktemp("july"))
    (folder / "model").mkdir()
    trained = run(
        "train.py",
        ["--max_iter", "100"],
        SM_CHANNEL_TRAIN=str(folder / "train"),
        SM_CHANNEL_VALIDATION=str(folder / "validation"),
        SM_MODEL_DIR=str(folder / "model"),
    )
    assert trained.returncode == 0, trained.stderr
    (folder / "log.txt").write_text(trained.stdout)
    for name in ("challenger", "champion"):
        (folder / name).mkdir()
        with tarfile.open(folder / name / "model.tar.gz", "w:gz") as archive:
            archive.add(folder / "model", arcname=".")
    return folder


def parts(folder: Path) -> dict[str, pd.DataFrame]:
    return {name: pd.read_parquet(folder / name) for name in ("train", "validation", "test")}


def test_the_parts_follow_each_other_in_time_and_fill_the_window(july: Path) -> None:
    frames = parts(july)
    ends = [(frame["timestamp"].min(), frame["timestamp"].max()) for frame in frames.values()]
    assert str(ends[0][0]) == "2011-01-01 00:00:00" and str(ends[2][1]) == "2011-06-30 23:00:00"
    assert str(ends[1][0]) == "2011-06-03 00:00:00" and str(ends[2][0]) == "2011-06-17 00:00:00"
    assert ends[0][1] < ends[1][0] and ends[1][1] < ends[2][0]
    facts = json.loads((july / "data.json").read_text())
    assert facts["rows"] == {name: len(frame) for name, frame in frames.items()}
    assert facts["train_start"] == "2011-01-01" and len(facts["data_hash"]) == 64
    profile = json.loads((july / "profile.json").read_text())
    assert profile["rows"] == len(frames["train"]) + len(frames["validation"])


def test_the_same_window_has_the_same_digest_and_another_has_another(
    aws: EmbeddedAws, bucket: str, prepare: Prepare, july: Path
) -> None:
    assert prepare("again").returncode == 0
    assert prepare("other", train_start="2011-02-01", train_end="2011-08-01").returncode == 0
    digests = [
        json.loads(aws.client("s3").get_object(Bucket=bucket, Key=f"{prefix}/data.json")["Body"].read())[
            "data_hash"
        ]
        for prefix in ("july", "again", "other")
    ]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"train_end": "2010-01-01"}, r"the window ends \(2010-01-01\) before it starts \(2011-01-01\)"),
        ({"train_start": "2010-12-31"}, r"outside the data, which hold 2011-01-01 to 2012-12-31"),
        ({"train_end": "2013-01-02"}, r"outside the data, which hold 2011-01-01 to 2012-12-31"),
        ({"train_start": "2011-06-10"}, r"the train set has 0 rows, at least 24 are needed"),
        ({"test_days": "0"}, r"the test set has 0 rows"),
        ({"train_start": "2011-02-30"}, r"day is out of range"),
        ({"raw_key": "raw/no_temp.csv"}, r"no column temp; found instant, dteday"),
    ],
)
def test_a_foreseeable_mistake_ends_in_one_line_and_leaves_nothing(
    aws: EmbeddedAws, bucket: str, prepare: Prepare, changed: dict[str, str], words: str
) -> None:
    text = gzip.decompress(DEMAND.data.path.read_bytes()).decode().replace("temp,", "heat,", 1)
    aws.client("s3").put_object(Bucket=bucket, Key="raw/no_temp.csv", Body=text.encode())
    ended = prepare("refused", **changed)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1 and "Traceback" not in ended.stderr
    assert pd.Series([ended.stderr]).str.contains(words, regex=True).all(), ended.stderr
    assert "Contents" not in aws.client("s3").list_objects_v2(Bucket=bucket, Prefix="refused/")


def test_the_printed_metrics_are_those_that_the_definition_scrapes(july: Path) -> None:
    import re

    from mlops_kit.settings import Settings
    from pipelines import retraining

    states: Any = retraining.build(Settings()).definition["States"]
    log = (july / "log.txt").read_text()
    found = {}
    for metric in states["TrainModel"]["Arguments"]["AlgorithmSpecification"]["MetricDefinitions"]:
        match = re.search(metric["Regex"], log)
        assert match, metric
        found[metric["Name"]] = float(match.group(1))
    assert 0.1 < found["validation:wape"] < 0.25 and abs(found["validation:bias"]) < 0.2


def score(folder: Path, *further: str) -> subprocess.CompletedProcess[str]:
    options = {name: str(folder / name) for name in ("challenger", "test", "output")}
    options["data"] = str(folder)
    return run(
        "score_models.py",
        [part for name, value in options.items() for part in (f"--{name}", value)] + [*further],
    )


def test_challenger_champion_and_naive_are_scored_on_the_same_hours(july: Path) -> None:
    ended = score(july, "--champion", str(july / "champion"))
    assert ended.returncode == 0, ended.stderr
    report = json.loads((july / "output" / "metrics.json").read_text())
    metrics = report["metrics"]
    assert metrics["challenger"] == metrics["champion"]
    test = parts(july)["test"]
    model = joblib.load(july / "model" / "model.joblib")
    actual = test[demand.TARGET].to_numpy(float)
    error = model.predict(test[list(demand.FEATURES)]) - actual
    assert metrics["challenger"]["wape"] == pytest.approx(np.abs(error).sum() / actual.sum())
    assert metrics["challenger"]["bias"] == pytest.approx(error.sum() / actual.sum())
    assert 0.1 < metrics["challenger"]["wape"] < 0.2
    assert report["model"]["rows"] == len(parts(july)["train"]) + len(parts(july)["validation"])


def test_without_a_champion_there_are_no_metrics_of_one(july: Path) -> None:
    assert score(july, "--champion", str(july / "nothing-there")).returncode == 0
    assert json.loads((july / "output" / "metrics.json").read_text())["metrics"]["champion"] is None


def test_an_archive_without_a_model_is_refused_and_nothing_is_unpacked(july: Path, tmp_path: Path) -> None:
    (tmp_path / "challenger").mkdir()
    with tarfile.open(tmp_path / "challenger" / "model.tar.gz", "w:gz") as archive:
        archive.add(july / "log.txt", arcname="../escaped.txt")
    for name in ("test", "data.json"):
        (tmp_path / name).symlink_to(july / name)
    ended = score(tmp_path)
    assert ended.returncode == 1 and not list(tmp_path.glob("**/escaped.txt"))
    assert ended.stderr.endswith("model.tar.gz holds no facts.json and no model.joblib\n")


@pytest.mark.parametrize(
    "path", [*JOBS.glob("*.py"), *(ROOT / "pipelines" / "features").glob("*.py")], ids=lambda path: path.name
)
def test_code_of_jobs_is_python_3_9_and_imports_what_its_image_holds(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 9))
    allowed = {"boto3", "awsglue", "joblib", "numpy", "pandas", "sklearn", "pipelines"}
    if path.name == "run_notebook.py":
        allowed.add("mlops_kit")  # comes along as a zip
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
            assert {name.partition(".")[0] for name in names} <= allowed | sys.stdlib_module_names

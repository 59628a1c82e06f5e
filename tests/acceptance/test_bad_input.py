"""What people type wrong is answered by one clear message and exit status 1 or 2; nothing is half made."""

from __future__ import annotations

import gzip
import re
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import mlops_kit as kit
from mlops_kit.settings import Settings
from tests.acceptance import town as room
from tests.acceptance.town import Town

pytestmark = pytest.mark.slow


def refused(done: subprocess.CompletedProcess[str], status: int, words: str) -> None:
    """It ended with that status and one message that holds the words, without a traceback."""
    said = done.stdout + done.stderr
    assert done.returncode == status, said
    assert re.search(words, said, re.DOTALL), said
    assert "Traceback" not in said and len(re.findall(r"^Error:", said, re.MULTILINE)) <= 1, said


@pytest.fixture
def nowhere(tmp_path: Path) -> Settings:
    """Settings under which nothing answers: a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    return Settings(endpoint_url=url, region="us-east-1", project="nowhere", state_dir=tmp_path)


WRONG = [
    (["run", "retrainings"], "no pipeline 'retrainings'.*pipelines are: .*retraining"),
    (["run", "retraining:bikes"], "no model 'bikes'.*use one of: demand"),
    (["run", "retraining", "--input", "{as_of}"], "--input is no JSON: .* at line 1, column 2"),
    (["run", "retraining", "--input", "[1]"], r"--input holds \[1\], not an object"),
    (["run", "retraining", "--input", "@none.json"], "none.json cannot be read"),
    (["run", "retraining", "--input", '{"asof": "2011-07-01"}'], "unknown field asof.*fields are: as_of"),
    (
        ["run", "retraining", "--input", '{"as_of": "July"}'],
        'as_of cannot be "July".*UTC day .* such as 2011-07-01',
    ),
    (
        ["run", "retraining", "--input", '{"train_start": "2011-06-01", "train_end": "2011-05-01"}'],
        "train_start is 2011-06-01, which is not before its train_end, 2011-05-01.*give train_start",
    ),
    (["run", "retraining", "--input", '{"force": "yes"}'], 'force is "yes": it must be boolean'),
    (["run", "retraining", "--input", '{"train_end": 5}'], "train_end is 5: it must be string"),
    (["notebook", "notebooks/03_run_and_history.ipynb", "-p", "asof", "1"], "no parameter 'asof'.*it has"),
    (["plan", "retraining", "--region", "the-moon"], "'the-moon' is no AWS region"),
    (["plan", "retraining", "--endpoint-url", "http://"], "'http://' is no endpoint URL.*http://HOST:PORT"),
    (["plan", "retraining", "--endpoint-url", "http://foo bar"], "'http://foo bar' is no endpoint URL"),
    (["plan", "retraining", "--endpoint-url", "http://127.0.0.1:99999"], "99999' is no endpoint URL"),
    (["plan", "retraining", "--target", "mars"], "Unknown target 'mars'.*'local' or 'aws'"),
    (["lint", "none.asl.json"], "none.asl.json cannot be read"),
    (["local", "start", "--port", "99999"], "99999 is no port"),
]


@pytest.mark.parametrize(("arguments", "words"), WRONG, ids=[" ".join(one[:3])[:60] for one, _ in WRONG])
def test_a_wrong_word_is_a_usage_error_before_anything_is_called(
    nowhere: Settings, arguments: list[str], words: str
) -> None:
    refused(room.cli(nowhere, *arguments), 2, words)


@pytest.mark.parametrize("name", ["Under_Score", "x", "a-name-that-is-far-too-long", "ends-", "1st"])
def test_a_project_that_buckets_or_roles_would_refuse_is_refused(nowhere: Settings, name: str) -> None:
    done = room.cli(nowhere, "apply", "retraining", "--yes", MLOPS_KIT_PROJECT=name)
    refused(done, 2, f"'{name}' cannot be a project's name.*a-z, 0-9")


@pytest.mark.parametrize("command", ["lint", "graph"])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"StartAt": "A", "States": {', "no JSON.*line: 1"),
        ("[]", "no definition of a state machine"),
        ('{"States": []}', "no object 'States'"),
        ("\x80", "cannot be read"),
    ],
)
def test_a_malformed_definition_is_refused(
    nowhere: Settings, tmp_path: Path, command: str, text: str, words: str
) -> None:
    file = tmp_path / "edited.asl.json"
    file.write_text(text, encoding="latin-1")
    refused(room.cli(nowhere, command, str(file)), 2, f"edited.asl.json.*{words}")


def test_a_definition_that_aws_would_refuse_is_found_by_the_linter(nowhere: Settings, tmp_path: Path) -> None:
    file = tmp_path / "edited.asl.json"
    file.write_text('{"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}}}')
    refused(room.cli(nowhere, "lint", str(file)), 1, "A Next.*Missing 'Next' target: B.*Fix:")


@pytest.mark.parametrize(
    "arguments",
    [["plan", "retraining"], ["apply", "retraining", "--yes"], ["run", "retraining"], ["history"],
     ["redrive", "x"], ["destroy", "retraining", "--yes"]],
)  # fmt: skip
def test_without_a_server_the_command_that_starts_one_is_named(
    nowhere: Settings, arguments: list[str]
) -> None:
    refused(room.cli(nowhere, *arguments), 1, f"{nowhere.endpoint_url}.*mlops-kit local start")


def test_without_credentials_aws_is_not_asked(nowhere: Settings) -> None:
    done = room.cli(nowhere, "plan", "retraining", "--target", "aws", MLOPS_KIT_ENDPOINT_URL="")
    refused(done, 1, "No AWS credentials were found.*aws configure.*--target local")
    done = room.cli(nowhere, "plan", "retraining", "--target", "aws", "--profile", "nobody")
    refused(done, 1, "no profile 'nobody'.*--profile")


@pytest.mark.parametrize("value", ["low", None, True, -0.1, float("nan"), float("inf"), [0.3]])
def test_a_threshold_of_the_wrong_type_is_refused(value: object) -> None:
    with pytest.raises(kit.UsageError, match=r"Threshold 'wape' is .* no number of 0 or more"):
        room.cheap(Settings(), wape=value)  # type: ignore[arg-type]


def test_a_port_that_is_in_use_is_said_with_its_user(town: Town, tmp_path: Path) -> None:
    port = str(town.aws.port)
    done = room.cli(
        town.session.settings, "local", "start", "--port", port, "--state-dir", str(tmp_path / "x")
    )
    refused(done, 1, f"Port {port} .*the embedded AWS of .* serves it.*--port")
    assert not (tmp_path / "x").exists()


def test_what_is_not_deployed_is_said_with_the_command_that_deploys_it(town: Town) -> None:
    done = room.cli(town.session.settings, "run", "retraining", MLOPS_KIT_PROJECT="other")
    refused(done, 1, "does not stand on the embedded AWS.*mlops-kit apply retraining")
    done = room.cli(town.session.settings, "redrive", "never-was")
    refused(done, 2, "no execution never-was.*mlops-kit history")
    done = room.cli(town.session.settings, "history", "--region", "eu-west-1")
    refused(done, 0, "No run yet")


WINDOWS = {
    "outside": (
        '{"as_of": "2013-06-01"}',
        "PrepareTrainingData failed after 3 tries.*outside the data, which hold 2011-01-01 to 2012-12-31",
    ),
    "too-short": (
        '{"as_of": "2011-11-08", "train_start": "2011-06-20", "train_end": "2011-07-01"}',
        "PrepareTrainingData failed after 3 tries.*the train set has 0 rows.*widen the window",
    ),
}


@pytest.fixture(scope="module")
def windows(town: Town) -> dict[str, subprocess.CompletedProcess[str]]:
    """Runs on windows that cannot be, at once."""

    def run(name: str) -> subprocess.CompletedProcess[str]:
        return town.cli("run", "retraining", "--name", f"window-{name}", "--input", WINDOWS[name][0])

    with ThreadPoolExecutor() as threads:
        return dict(zip(WINDOWS, threads.map(run, WINDOWS), strict=True))


@pytest.mark.parametrize("name", WINDOWS)
def test_a_window_that_cannot_be_is_told_and_nothing_is_made(
    town: Town, windows: dict[str, subprocess.CompletedProcess[str]], name: str
) -> None:
    refused(windows[name], 1, WINDOWS[name][1])
    run = kit.find(town.session, f"window-{name}")
    assert run.status == "FAILED" and "TrainModel" not in room.states(run.execution)
    made = room.given(run.execution, "RetrainingFailed")
    assert "lock" not in made or town.lock(made["window"]) is None
    bucket, prefix = town.shared["DataBucket"], made.get("prefix", "retraining/none")
    assert town.session.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix)["KeyCount"] == 0
    [message] = town.messages("CriticalTopic", f"window-{name}")
    assert re.search(WINDOWS[name][1].rpartition(".*")[2], message["Message"])


@pytest.fixture
def lacking(town: Town) -> Iterator[str]:
    """The raw file without a column that the features need."""
    s3, file = town.session.client("s3"), town.pipeline.data[0]
    where = {"Bucket": town.shared["DataBucket"], "Key": file.key}
    head, _, rest = gzip.decompress(file.path.read_bytes()).decode().partition("\n")
    column = "temp"
    assert column in head.split(",")
    s3.put_object(**where, Body=gzip.compress(f"{head.replace(column, 'warmth', 1)}\n{rest}".encode()))
    yield column
    s3.put_object(**where, Body=file.path.read_bytes())


def test_a_missing_column_is_named_and_a_failed_window_can_be_repeated_at_once(
    town: Town, lacking: str, request: pytest.FixtureRequest
) -> None:
    given = '{"as_of": "2011-12-01"}'
    done = town.cli("run", "retraining", "--name", "lacking", "--input", given)
    refused(done, 1, f"PrepareTrainingData failed after 3 tries.*{lacking}")
    assert town.lock("2011-W48") is None
    s3, file = town.session.client("s3"), town.pipeline.data[0]
    s3.put_object(Bucket=town.shared["DataBucket"], Key=file.key, Body=file.path.read_bytes())
    repeated = town.start("no-longer-lacking", as_of="2011-12-01")
    town.until(lambda: "TrainModel" in room.states(repeated.execution), lambda: str(repeated))
    assert (town.lock("2011-W48") or {})["owner"] == repeated.arn
    kit.stop(town.session, repeated)

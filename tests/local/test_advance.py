"""The embedded clock moved from outside: who may, what fires, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlops_kit.errors import KitError, UsageError
from mlops_kit.local import control
from tests.conftest import EmbeddedAws
from tests.local.schedules import Schedules, eventually


def now(aws: EmbeddedAws) -> datetime:
    text = control.status(aws.state_dir).now
    assert text is not None
    return datetime.fromisoformat(text)


def command(aws: EmbeddedAws, *arguments: str) -> subprocess.CompletedProcess[str]:
    kit = str(Path(sys.executable).with_name("mlops-kit"))
    argv = [kit, "local", arguments[0], "--state-dir", str(aws.state_dir), *arguments[1:]]
    return subprocess.run(argv, capture_output=True, text=True, check=False, env=os.environ)


def test_the_clock_moves_and_stays_there_over_a_kill(fresh_aws: EmbeddedAws) -> None:
    before = now(fresh_aws)
    lines = list(control.advance(fresh_aws.state_dir, 8 * 86400.0))
    assert lines[-1]["done"] is True
    assert timedelta(days=8) <= now(fresh_aws) - before < timedelta(days=8, minutes=5)
    fresh_aws.kill()
    fresh_aws.start()
    assert now(fresh_aws) - before >= timedelta(days=8)


def test_the_command_says_what_fired_and_where_the_clock_is(fresh_aws: EmbeddedAws) -> None:
    schedules = Schedules(fresh_aws)
    queue = schedules.queue()
    at = (now(fresh_aws) + timedelta(hours=3)).replace(microsecond=0)
    schedules.create(f"at({at:%Y-%m-%dT%H:%M:%S})", name="once", Target={"Arn": queue.arn})
    said = command(fresh_aws, "advance", "4h")
    assert said.returncode == 0, said.stderr
    fired, last = said.stdout.splitlines()
    assert fired == f"{at:%Y-%m-%dT%H:%M:%S}Z  {schedules.group}/once  {queue.arn}  delivered"
    assert last.startswith("Its clock says ")
    assert command(fresh_aws, "advance", "--to", (at + timedelta(days=1)).isoformat()).returncode == 0
    assert now(fresh_aws) >= at + timedelta(days=1)


def test_going_back_is_refused_in_words(fresh_aws: EmbeddedAws) -> None:
    with pytest.raises(UsageError, match="never goes back"):
        list(control.advance(fresh_aws.state_dir, to=datetime(2011, 7, 1, tzinfo=UTC)))
    said = command(fresh_aws, "advance", "--to", "2011-07-01")
    assert said.returncode == 2 and "never goes back" in said.stderr and "Traceback" not in said.stderr


def test_what_no_schedule_knows_is_refused_before_anything_is_kept(fresh_aws: EmbeddedAws) -> None:
    before = now(fresh_aws)
    for duration in ("9999999d", "9" * 400 + "d"):
        said = command(fresh_aws, "advance", duration)
        assert said.returncode == 2 and "no further than the year 2199" in said.stderr, said.stderr
    with pytest.raises(UsageError, match="no further than the year 2199"):
        list(control.advance(fresh_aws.state_dir, to=datetime(2200, 1, 1, tzinfo=UTC)))
    assert now(fresh_aws) - before < timedelta(minutes=5)


def test_who_goes_away_ends_the_moving_and_nobody_moves_it_meanwhile(fresh_aws: EmbeddedAws) -> None:
    schedules = Schedules(fresh_aws)
    schedules.create("rate(1 minute)", Target={"Arn": schedules.queue().arn})
    before = now(fresh_aws)
    moving = control.advance(fresh_aws.state_dir, 30 * 86400.0)
    next(moving)
    with pytest.raises(UsageError, match="Somebody else is moving the clock"):
        list(control.advance(fresh_aws.state_dir, 60.0))
    moving.close()  # type: ignore[attr-defined]
    assert eventually(lambda: _moved_alone(fresh_aws))
    assert now(fresh_aws) - before < timedelta(days=25)


def _moved_alone(aws: EmbeddedAws) -> bool:
    try:
        return bool(list(control.advance(aws.state_dir, 1.0))[-1]["done"])
    except UsageError:
        return False


@pytest.mark.parametrize("duration", ["", "8", "d8", "-1h", "1 fortnight"])
def test_what_is_no_duration_is_refused(fresh_aws: EmbeddedAws, duration: str) -> None:
    said = command(fresh_aws, "advance", "--", duration)
    assert said.returncode == 2 and "no duration" in said.stderr


def test_without_a_server_there_is_no_clock_to_move(fresh_aws: EmbeddedAws) -> None:
    fresh_aws.stop()
    with pytest.raises(KitError, match="no clock to move"):
        list(control.advance(fresh_aws.state_dir, 60.0))


@pytest.mark.parametrize("token", [None, "", "0" * 32])
def test_only_who_can_read_the_state_folder_moves_the_clock(aws: EmbeddedAws, token: str | None) -> None:
    headers = {} if token is None else {control.TOKEN_HEADER: token}
    body = json.dumps({"seconds": 3600}).encode()
    request = urllib.request.Request(aws.url + control.ADVANCE, body, headers)
    before = now(aws)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.code == 403 and now(aws) - before < timedelta(minutes=30)
    mode = (aws.state_dir / "token").stat().st_mode & 0o777
    assert mode == 0o600


def test_a_web_page_does_not_even_with_the_token(aws: EmbeddedAws) -> None:
    token = (aws.state_dir / "token").read_text()
    headers = {control.TOKEN_HEADER: token, "Origin": "https://example.org"}
    request = urllib.request.Request(aws.url + control.ADVANCE, b'{"seconds": 3600}', headers)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.code == 403

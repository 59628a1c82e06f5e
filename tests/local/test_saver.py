"""What a state changed is on disk before its end is told; what is only said about it follows soon."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from mlops_kit.local.durability import Saver


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    thread = threading.Thread(target=made.run_forever)
    thread.start()
    yield made
    made.call_soon_threadsafe(made.stop)
    thread.join()
    made.close()


def _saver(folder: Path, loop: asyncio.AbstractEventLoop) -> Saver:
    def snapshot(names: Iterable[str]) -> dict[str, bytes]:
        return {name: name.encode() for name in names}

    saver = Saver(folder, snapshot)
    saver.attach(loop)
    return saver


def test_what_is_awaited_is_on_disk_when_settled(tmp_path: Path, loop: asyncio.AbstractEventLoop) -> None:
    saver = _saver(tmp_path, loop)
    saver.touch({"logs"}, awaited=False)
    saver.touch({"sqs"})
    saver.settle()
    assert (tmp_path / "sqs.json").read_bytes() == b"sqs"
    assert not (tmp_path / "logs.json").exists()
    asyncio.run_coroutine_threadsafe(saver.save(), loop).result()
    assert (tmp_path / "logs.json").exists()


def test_a_disk_that_takes_nothing_is_waited_for(tmp_path: Path, loop: asyncio.AbstractEventLoop) -> None:
    saver = _saver(tmp_path / "not-yet", loop)
    saver.touch({"sqs"})
    waiting = threading.Thread(target=saver.settle)
    waiting.start()
    waiting.join(0.3)
    assert waiting.is_alive()
    (tmp_path / "not-yet").mkdir()
    waiting.join(20)
    assert (tmp_path / "not-yet" / "sqs.json").read_bytes() == b"sqs"

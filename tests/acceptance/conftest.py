"""One town for the whole folder: each test uses windows of its own, or says which run it stands on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import mlops_kit as kit
from tests.acceptance import town as room
from tests.acceptance.town import Town
from tests.conftest import EmbeddedAws


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("town")
    aws = EmbeddedAws(folder / "state", ("--at", "2011-07-01"))
    aws.start()
    try:
        yield room.build(aws, folder / "kit")
    finally:
        aws.stop()


@pytest.fixture(scope="session")
def pair(town: Town) -> dict[str, kit.Run]:
    """Two executions started at once in the first window, by the state in which they ended."""
    both = [town.start(f"first-{number}", as_of="2011-07-01") for number in (1, 2)]
    return {room.states(town.ended(run).execution)[-1]: run for run in both}


@pytest.fixture(scope="session")
def first(pair: dict[str, kit.Run]) -> kit.Run:
    """The one that retrained and made the first champion."""
    return pair["Retrained"]


@pytest.fixture(scope="session")
def second(town: Town, first: kit.Run) -> kit.Run:
    """A run on the next month's window, judged against the first one's champion."""
    return town.run("second", as_of="2011-08-01")

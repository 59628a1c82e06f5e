"""CloudWatch Logs as the bytes of its file, without encoding again what was encoded before.

Lines are only ever appended, so a block of them that is full does not change. ministack would copy and encode
every line of every group for each save, and keep each of them twice. Must not know when it is saved.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_BLOCK = 500  # lines

Mark = tuple[Any, ...]  # says whether a stream is as it was
Block = tuple[int, int, str]  # identities of the first and last line, and the text
_ROOM = "services.cloudwatch_logs"


class LogState:
    """Encodes and restores the state of ministack's module of CloudWatch Logs.

    Parameters
    ----------
    module : callable
        ``module(name)``: a module of ministack, loaded when it is asked for.
    """

    def __init__(self, module: Callable[[str], Any]) -> None:
        self._module = module
        self._blocks: dict[int, list[Block]] = {}  # by the identity of a stream's record
        self._short: dict[int, tuple[Mark, str]] = {}  # streams without a full block, likewise

    def encode(self) -> bytes:
        """What its `get_state` says, with lines once: a query makes its index of them anew."""
        logs, persistence = self._module(_ROOM), self._module("core.persistence")
        alive: dict[int, list[Block]] = {}
        groups = ",".join(
            f"{json.dumps(_key(*scoped))}:{self._group(group, alive)}"
            for scoped, group in list(logs._log_groups._data.items())
        )
        self._blocks = alive
        self._short = {number: text for number, text in self._short.items() if number in alive}
        stores = {key: getattr(logs, f"_{key}") for key in STORES}
        rest = json.dumps(stores, default=persistence._json_default)[1:]
        version = persistence._state_format_version("cloudwatch_logs")
        all_groups = f'{{"__account_region_scoped__":true,"data":{{{groups}}}}}'
        text = f'{{"__ministack_format__":{version},"payload":{{"log_groups":{all_groups},{rest}}}'
        return text.encode()

    def _group(self, group: Mapping[str, Any], alive: dict[int, list[Block]]) -> str:
        streams = ",".join(
            f"{json.dumps(name)}:{self._stream(stream, alive)}"
            for name, stream in list(group["streams"].items())
        )
        rest = json.dumps({key: value for key, value in group.items() if key != "streams"})[1:]
        return f'{{"streams":{{{streams}}},{rest}'

    def _stream(self, stream: Mapping[str, Any], alive: dict[int, list[Block]]) -> str:
        lines: list[dict[str, Any]] = stream["events"]
        if len(lines) >= _BLOCK:
            return self._long(stream, lines, alive)
        ends = (id(lines[0]), id(lines[-1])) if lines else ()
        mark = (len(lines), ends, stream["uploadSequenceToken"])
        known = self._short.get(id(stream))
        if known is None or known[0] != mark:
            known = self._short[id(stream)] = (mark, json.dumps(stream))
        alive[id(stream)] = []
        return known[1]

    def _long(
        self, stream: Mapping[str, Any], lines: list[dict[str, Any]], alive: dict[int, list[Block]]
    ) -> str:
        blocks = list(self._encoded(lines, self._blocks.get(id(stream), [])))
        alive[id(stream)] = blocks
        tail = json.dumps(lines[len(blocks) * _BLOCK :])[1:-1]
        texts = [text for _, _, text in blocks] + ([tail] if tail else [])
        rest = json.dumps({key: value for key, value in stream.items() if key != "events"})[1:]
        return f'{{"events":[{",".join(texts)}],{rest}'

    def restore(self, state: Mapping[str, Any]) -> None:
        """Load a state."""
        self._module(_ROOM).load_persisted_state(state)

    @staticmethod
    def _encoded(lines: list[dict[str, Any]], known: list[Block]) -> Iterator[Block]:
        for number in range(len(lines) // _BLOCK):
            block = lines[number * _BLOCK : (number + 1) * _BLOCK]
            first, last = id(block[0]), id(block[-1])
            if number < len(known) and known[number][:2] == (first, last):
                yield known[number]
            else:  # new, or moved by a line that came late
                yield first, last, json.dumps(block)[1:-1]


def _key(account: str, region: str, name: str) -> str:
    """A scoped name as ministack's encoder writes it."""
    return f"{account}\0{region}\0{name!r}"


STORES = (
    "destinations",
    "resource_policies",
    "log_group_policies",
    "metric_filters",
    "queries",
    "delivery_sources",
    "delivery_destinations",
    "deliveries",
)

"""Our Scheduler in the place of ministack's: a module object with the names that its start and save use.

No schedule of its own; nothing reaches it, as the port answers for Scheduler itself.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any


def stand_in() -> ModuleType:
    """What ministack imports as its Scheduler: it ticks never, keeps nothing and answers nothing."""
    module = ModuleType("ministack.services.scheduler")
    vars(module).update(
        handle_request=_refuse,
        start_scheduler=lambda: None,
        get_state=lambda: None,
        load_persisted_state=lambda data: None,
        reset=lambda: None,
    )
    return module


async def _refuse(*_: Any) -> tuple[int, dict[str, str], bytes]:
    words = (
        b'{"__type": "UnknownOperationException", "message": "A call of Scheduler is signed for scheduler."}'
    )
    return 400, {"content-type": "application/json"}, words

"""Tells what ministack changes outside of any request: rules that fire, queues that are polled, functions
that end, dead letters. Without this, such changes would wait on no disk until the next request.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from mlops_kit.local.ministack import module

Changed = Callable[[str], None]

# By module of ministack: its functions that change something, and the service that they change first.
PLACES: Mapping[str, Mapping[str, str]] = {
    "services.eventbridge": {"_invoke_target": "events"},
    "services.lambda_svc": {
        "_execute_function": "lambda",
        "_run_sqs_batch": "sqs",
    },
}


def install(place: str, changed: Changed) -> None:
    """Call ``changed(service)`` after each of a module's functions, in whatever thread it ran."""
    loaded = module(place)
    for name, service in PLACES[place].items():
        setattr(loaded, name, _telling(getattr(loaded, name), changed, service))


def _telling(function: Callable[..., Any], changed: Changed, service: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def told(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        finally:
            changed(service)

    return told

"""One prediction: through the endpoint, warm, beside the model in this process. Needs a `make run`."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measure import peak, resident, table


def main() -> str:
    """A table of milliseconds a prediction of one hour, medians of 200, and of the MB of who predicts."""
    from threadpoolctl import threadpool_limits

    import mlops_kit as kit
    from pipelines import retraining

    session = kit.session()
    champion = kit.champion(session, retraining.build(session.settings))
    hour, names = champion.sample(rows=1), champion.features()
    model, runtime = champion.load(), session.client("sagemaker-runtime")
    body = hour[names].to_csv(index=False).encode()
    call: dict[str, Any] = {"EndpointName": champion.endpoint, "ContentType": "text/csv", "Body": body}
    with threadpool_limits(1):  # as the endpoint has it: a row is predicted sooner than other threads wake
        inside = _median(lambda: model.predict(hour[names]))
    rows = [("in this process (floor)", inside, 1.0, *_memory(os.getpid()))]
    through = _median(lambda: runtime.invoke_endpoint(**call)["Body"].read())  # noqa: PLW0108
    server = _server(session.settings.state_dir, champion.endpoint)
    rows.append(("through the endpoint", through, through / inside, *_memory(server)))
    head = ("way", "milliseconds", "ratio", "resident MB of who predicts", "peak MB")
    return table("One prediction", head, rows)


def _median(work: Callable[[], Any]) -> float:
    for _ in range(20):
        work()
    spent = []
    for _ in range(200):
        begin = time.perf_counter()
        work()
        spent.append(1000 * (time.perf_counter() - begin))
    return statistics.median(spent)


def _memory(pid: int) -> tuple[float, float]:
    return resident(pid), peak(pid)


def _server(state_dir: Path, endpoint: str) -> int:
    """The process that serves an endpoint of the embedded AWS."""
    from mlops_kit.local.process_folder import ProcessFolder

    folders = (state_dir / "processes").glob(f"endpoint-*-{endpoint}-*")
    living = [one for one in map(ProcessFolder, folders) if one.alive()]
    if len(living) != 1:
        raise RuntimeError(f"{len(living)} processes serve {endpoint} in {state_dir}")
    return int(living[0].identity()["child"])

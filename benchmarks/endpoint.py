"""One prediction: through the endpoint, warm, beside the model in this process. Needs a `make run`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks.measure import table


def main() -> str:
    """A table of milliseconds a prediction of one hour, medians of 200."""
    import mlops_kit as kit
    from pipelines import retraining

    session = kit.session()
    champion = kit.champion(session, retraining.build(session.settings))
    hour, names = champion.sample(rows=1), champion.features()
    model, runtime = champion.load(), session.client("sagemaker-runtime")
    body = hour[names].to_csv(index=False).encode()
    call: dict[str, Any] = {"EndpointName": champion.endpoint, "ContentType": "text/csv", "Body": body}
    inside = _median(lambda: model.predict(hour[names]))
    through = _median(lambda: runtime.invoke_endpoint(**call)["Body"].read())  # noqa: PLW0108
    rows = [("in this process (floor)", inside, 1.0), ("through the endpoint", through, through / inside)]
    return table("One prediction", ("way", "milliseconds", "ratio"), rows)


def _median(work: Callable[[], Any]) -> float:
    for _ in range(20):
        work()
    spent = []
    for _ in range(200):
        begin = time.perf_counter()
        work()
        spent.append(1000 * (time.perf_counter() - begin))
    return statistics.median(spent)

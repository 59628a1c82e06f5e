"""Batch transform of one job's files with its model; a process of its own, started by the job.

Run as ``python -m mlops_kit.local.sagemaker.batch PROGRAM CODE MODEL_DIR PLAN``. Must not touch S3: the job
has downloaded the input and uploads the output.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_kit.local.sagemaker.handler import Handler, load_or_exit
from mlops_kit.local.sagemaker.rows import Rows, RowsError

FAILED = 3  # exit code of a transform that failed in a way that the failure file tells


@dataclass(frozen=True)
class Plan:
    """What a transform job does with each of its files.

    Attributes
    ----------
    files : list of (str, str)
        Input and output path.
    content_type, accept : str or None
        Of a request.
    split, assemble, strategy : str
        ``SplitType``, ``AssembleWith`` and ``BatchStrategy``.
    largest : int
        Bytes of a request, 0 for no limit.
    input_filter, output_filter, join : str
        ``DataProcessing``.
    failure : str
        File for the words of a failure.
    """

    files: list[tuple[str, str]]
    content_type: str | None
    accept: str | None
    split: str
    assemble: str
    strategy: str
    largest: int
    input_filter: str
    output_filter: str
    join: str
    failure: str


class TransformError(Exception):
    """The model or the data refuse; the text is fit for a FailureReason."""


def transform(plan: Plan, handler: Handler, source: Path, target: Path) -> None:
    """Transform one file."""
    rows = Rows(plan.content_type, plan.accept, plan.split == "Line")
    data = source.read_bytes()
    records = data.splitlines(keepends=True) if plan.split == "Line" else [data]
    filters = (plan.input_filter, plan.output_filter, plan.join)
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        for batch in _batches(records, plan):
            body = rows.select(batch, plan.input_filter)
            answer = _invoke(handler, body, plan, source.name)
            if filters[1:] != ("$", "None"):
                answer = rows.join(batch if plan.join == "Input" else None, answer, plan.output_filter)
            if plan.assemble == "Line":
                answer = answer.rstrip(b"\n") + b"\n"
            file.write(answer)


def _invoke(handler: Handler, body: bytes, plan: Plan, name: str) -> bytes:
    answer = handler.invoke(body, plan.content_type, plan.accept)
    if answer.status >= 400:
        words = answer.body.decode("utf-8", "replace")
        raise TransformError(
            f"{'Client' if answer.status < 500 else 'Algorithm'}Error: {name}: {answer.status} {words}"
        )
    return answer.body


def _batches(records: list[bytes], plan: Plan) -> Iterator[bytes]:
    batch = b""
    for record in records:
        if plan.largest and len(record) > plan.largest:
            raise TransformError(
                f"ClientError: A record of {len(record)} bytes is larger than MaxPayloadInMB allows "
                f"({plan.largest})."
            )
        full = plan.largest and len(batch) + len(record) > plan.largest
        if batch and (full or plan.strategy == "SingleRecord"):
            yield batch
            batch = b""
        batch += record
    if batch:
        yield batch


def main(program: str, code: str, model_dir: str, plan_file: str) -> int:
    """Transform every file of a plan."""
    said: dict[str, Any] = json.loads(Path(plan_file).read_text())
    plan = Plan(**said)
    handler = load_or_exit(program, code, model_dir)
    try:
        for source, target in plan.files:
            transform(plan, handler, Path(source), Path(target))
    except (TransformError, RowsError) as error:
        Path(plan.failure).write_text(str(error))
        print(error, file=sys.stderr)
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:5]))

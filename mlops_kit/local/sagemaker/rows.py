"""Filters and joins of a batch transform's records; pure.

Source: "Associate Prediction Results with Input Records".
"""

from __future__ import annotations

import csv
import io
import json
from typing import Any

OUTPUT = "SageMakerOutput"
INPUT = "SageMakerInput"


class RowsError(Exception):
    """Records that cannot be filtered or joined; the text is fit for a FailureReason."""


class Rows:
    """Records of one job.

    Parameters
    ----------
    content_type, accept : str or None
        Formats of requests and answers: CSV, JSON Lines or JSON.
    lines : bool
        Whether a request holds one record a line (``SplitType`` Line); only then can many be joined.
    """

    def __init__(self, content_type: str | None, accept: str | None, lines: bool) -> None:
        self._input = _format(content_type, lines)
        self._output = _format(accept or content_type, lines)

    def select(self, body: bytes, path: str) -> bytes:
        """What ``InputFilter`` lets through to the model."""
        if path == "$":
            return body
        return _write([_find(record, path) for record in _read(body, self._input)], self._input)

    def join(self, request: bytes | None, answer: bytes, path: str) -> bytes:
        """Answers beside their requests (``JoinSource`` Input), then ``OutputFilter``.

        Raises
        ------
        RowsError
            There are not as many answers as requests.
        """
        answers = _read(answer, self._output)
        if request is None:
            return _write([_find(record, path) for record in answers], self._output)
        requests = _read(request, self._input)
        if len(requests) != len(answers):
            raise RowsError(
                f"ClientError: {len(requests)} records went to the model and {len(answers)} came back: they "
                "cannot be joined."
            )
        pairs = [_joined(*pair, self._input) for pair in zip(requests, answers, strict=True)]
        return _write([_find(record, path) for record in pairs], self._input)


def _format(content_type: str | None, lines: bool) -> str:
    kind = (content_type or "application/json").split(";", 1)[0]
    if kind in ("text/csv", "application/jsonlines"):
        return kind
    if kind == "application/json":
        return "application/jsonlines" if lines else kind
    raise RowsError(f"ClientError: Records of {kind} cannot be filtered or joined; use CSV or JSON.")


def _read(body: bytes, kind: str) -> list[Any]:
    text = body.decode()
    try:
        if kind == "text/csv":
            return [[_number(cell) for cell in row] for row in csv.reader(io.StringIO(text)) if row]
        if kind == "application/jsonlines":
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        return [json.loads(text)]
    except ValueError as error:
        raise RowsError(f"ClientError: A record is no {kind}: {error}") from error


def _write(records: list[Any], kind: str) -> bytes:
    if kind == "text/csv":
        text = io.StringIO()
        rows = [record if isinstance(record, list) else [record] for record in records]
        csv.writer(text, lineterminator="\n").writerows(rows)
        return text.getvalue().encode()
    return "\n".join(json.dumps(record) for record in records).encode()


def _joined(request: Any, answer: Any, kind: str) -> Any:
    if kind == "text/csv":
        return [*request, *(answer if isinstance(answer, list) else [answer])]
    if isinstance(request, dict):
        return {**request, OUTPUT: answer}
    return {INPUT: request, OUTPUT: answer}


def _find(record: Any, path: str) -> Any:
    """What a JSONPath names: one value, or what a path that may match many leaves of an object or a list."""
    if path == "$":
        return record
    import jsonpath

    try:
        compiled = jsonpath.compile(path)
        found = list(compiled.finditer(record))
    except jsonpath.JSONPathError as error:
        raise RowsError(f"ClientError: The filter {path!r} is no JSONPath: {error}") from error
    if isinstance(compiled, jsonpath.JSONPath) and compiled.singular_query():
        if not found:
            raise RowsError(f"ClientError: The filter {path!r} finds nothing in a record.")
        return found[0].obj
    if isinstance(record, dict) and all(len(match.parts) == 1 for match in found):
        return {match.parts[0]: match.obj for match in found}
    return [match.obj for match in found]


def _number(cell: str) -> Any:
    for kind in (int, float):
        try:
            value = kind(cell)
        except ValueError:
            continue
        if str(value) == cell:
            return value
    return cell

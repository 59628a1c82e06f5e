"""Metrics that a training job prints, found by its own definitions; must not know where they go."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mlops_kit.local.sagemaker.records import refusal

_LONGEST = 10_000  # characters of a line that are searched: a definition must not stall on a huge line


@dataclass(frozen=True)
class Observation:
    """One value of one metric."""

    name: str
    value: float


class Scraper:
    """Finds observations in lines of output.

    Parameters
    ----------
    definitions : sequence of mapping
        ``MetricDefinitions`` of the request: ``Name`` and ``Regex``, whose first group is the value.

    Raises
    ------
    AwsError
        ``ValidationException`` for more than 40 definitions or a regular expression that does not compile.
    """

    def __init__(self, definitions: Sequence[dict[str, str]]) -> None:
        if len(definitions) > 40:
            raise refusal(f"At most 40 metric definitions are allowed; {len(definitions)} were given.")
        self._patterns: list[tuple[str, re.Pattern[str]]] = []
        for definition in definitions:
            name, regex = definition["Name"], definition["Regex"]
            try:
                self._patterns.append((name, re.compile(regex)))
            except re.error as error:
                raise refusal(
                    f"Invalid regex {regex!r} in the metric definition {name!r}: {error}."
                ) from error

    def observe(self, lines: Iterable[str]) -> list[Observation]:
        """Every value in the lines, in their order; what is no number is passed over."""
        found = []
        for line in lines:
            for name, pattern in self._patterns:
                for match in pattern.finditer(line[:_LONGEST]):
                    value = _number(match.group(1 if pattern.groups else 0))
                    if value is not None:
                        found.append(Observation(name, value))
        return found


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None

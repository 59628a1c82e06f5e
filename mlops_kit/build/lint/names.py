"""Names that AWS knows, beside one that it does not; must not look into a definition."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def near(name: str, names: Iterable[str], cutoff: float = 0.7) -> str | None:
    """The known name that a wrong one was probably meant to be, whatever the case of its letters."""
    folded = {known.lower(): known for known in names}
    found = get_close_matches(name.lower(), folded, 1, cutoff)
    return folded[found[0]] if found else None


def nearest(name: str, names: Iterable[str], otherwise: str) -> str:
    """The fix for a wrong name: the one that is near, or all that there are after ``otherwise``."""
    known = list(names)
    found = near(name, known)
    return f"did you mean {found}?" if found else f"{otherwise}{', '.join(known)}."

"""Which layer a box belongs to, which lines close a loop, and which would make a thicket; places nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MANY_IN, MANY_OUT = 3, 4  # so many catches of one box, or long ways out of one, share a lane
KINDS = ("next", "default", "choice", "catch")


@dataclass(frozen=True)
class Link:
    """A line to be drawn.

    Attributes
    ----------
    source, target : str
        Names of boxes.
    kind : str
        Kept for the drawing; ``catch`` lines to one target share a lane when they are many.
    weight : float
        How straight it should be.
    label_width, label_lines : float, int
        Room that its label takes, above the box it leads to.
    """

    source: str
    target: str
    kind: str
    weight: float = 1.0
    label_width: float = 0.0
    label_lines: int = 0


def back_links(names: Sequence[str], links: Sequence[Link], start: str) -> set[int]:
    """Links that close a cycle, found depth first from the start."""
    outgoing: dict[str, list[int]] = {name: [] for name in names}
    for i, link in enumerate(links):
        if link.source != link.target:
            outgoing[link.source].append(i)
    for many in outgoing.values():  # the plain way first, catches last: those are not what a loop is about
        many.sort(key=lambda i: (KINDS.index(links[i].kind), i))
    found: set[int] = set()
    done: set[str] = set()
    for root in (start, *names):
        if root in done:
            continue
        trail, stack = {root}, [(root, list(reversed(outgoing[root])))]
        while stack:
            name, rest = stack[-1]
            if not rest:
                stack.pop()
                trail.discard(name)
                done.add(name)
                continue
            i = rest.pop()
            target = links[i].target
            if target in trail:
                found.add(i)
            elif target not in done:
                trail.add(target)
                stack.append((target, list(reversed(outgoing[target]))))
    return found


def ranked(names: Sequence[str], ahead: Sequence[Link]) -> dict[str, int]:
    """Layer of each box: one below the lowest of those that lead to it."""
    sources: dict[str, list[str]] = {name: [] for name in names}
    for link in ahead:
        sources[link.target].append(link.source)
    ranks: dict[str, int] = {}
    stack = list(reversed(names))
    while stack:
        name = stack[-1]
        waiting = [source for source in sources[name] if source not in ranks]
        if name in ranks or not waiting:
            ranks.setdefault(name, max((ranks[source] + 1 for source in sources[name]), default=0))
            stack.pop()
        else:
            stack.extend(waiting)
    return ranks


def thickets(
    links: Sequence[Link], ahead: Sequence[int], ranks: Mapping[str, int]
) -> tuple[set[int], set[int]]:
    """Catches of which many have one target, and ways of a box that has many long ones."""
    into: dict[str, set[int]] = {}
    out_of: dict[str, set[int]] = {}
    for i in ahead:
        link = links[i]
        if link.kind == "catch":
            into.setdefault(link.target, set()).add(i)
        elif ranks[link.target] - ranks[link.source] > 1:
            out_of.setdefault(link.source, set()).add(i)
    many_in = [group for group in into.values() if len(group) >= MANY_IN]
    many_out = [group for group in out_of.values() if len(group) >= MANY_OUT]
    sources = {links[i].source for group in many_out for i in group}
    same = {i for i in ahead if links[i].source in sources and links[i].kind == "choice"}
    return set().union(*many_in), same.union(*many_out)

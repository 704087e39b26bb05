"""Ends of samples whose bars are made by time: the ends of notes can begin one too many."""

from collections.abc import Iterator, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from midigen.plan import Plan

BACK = 64
"""Ids that are taken back at most."""


class Ending:
    """Ways to end `ids`, whose bars are counted from place `start` on, where `state` was."""

    def __init__(self, plan: "Plan", state: Any, ids: Sequence[int], start: int) -> None:
        self._plan, self._ids, self._start = plan, ids, start
        self._states = [state]
        for id in ids[start:]:
            self._states.append(plan.grammar.step(self._states[-1], id))

    def closing(self, bars: int) -> tuple[int, list[int]] | None:
        """Return how many ids to keep, the most, and what closes them with so many bars.

        Time may pass less than it does on the shortest way. None where neither helps.
        """
        end = len(self._ids)
        for size in range(end, max(self._start, end - BACK), -1):
            ids = self._ids[:size]
            for way in self._ways(self._states[size - self._start]):
                if self._count([*ids, *way]) == bars:
                    return size, way
            if self._count(ids) < bars:
                return None
        return None

    def _ways(self, state: Any) -> Iterator[list[int]]:
        """Yield the shortest way to an end, and those that pass another time on it."""
        grammar, shifts = self._plan.grammar, self._plan.shifts
        way = grammar.closing(state)
        yield way
        for at, id in enumerate(way):
            if not shifts[id]:
                continue
            here = reduce(grammar.step, way[:at], state)
            mask = grammar.mask(here)[: len(self._plan.vocab.base)]
            for other in (mask & shifts[: len(mask)]).nonzero()[0].tolist():
                yield [*way[:at], other, *way[at + 1 :]]
            return

    def _count(self, ids: Sequence[int]) -> int:
        """Return how many bars begin."""
        return sum(place >= self._start for place in self._plan.bar_starts(ids))

"""Ways to a note: which ids of a grammar lead to one the soonest."""

from collections.abc import Iterable, Sequence
from itertools import islice
from random import Random
from typing import Any

import numpy as np

from midigen.constrain import Lifted

FAR, WIDE = 32, 12
"""How far is sought: steps, and states that are tried in each."""

KEPT = 4096
"""States whose ways are remembered."""

Before = dict[Any, tuple[Any, list[int]]]
"""Of a state that was found: the one before it, and the ids that lead from there."""


class Ways:
    """Ways through `grammar` to the ids of `ends`, bool (V,); `kinds` are the types of base ids.

    avoided: bool (V,), ids that no way takes. What is found hangs on the state alone, and is kept.
    """

    def __init__(
        self,
        grammar: Lifted,
        ends: np.ndarray,
        kinds: Sequence[str],
        avoided: np.ndarray | None = None,
    ) -> None:
        self._grammar, self._ends, self._kinds = grammar, ends, kinds
        self._base = len(kinds)
        self._avoided = avoided
        self._found: dict[Any, dict[Any, np.ndarray]] = {}

    def from_state(self, start: Any) -> dict[Any, np.ndarray]:
        """Return, for a state and those on its ways, bool (V,): the ids to go on with.

        Ways are sought by trying base ids, WIDE states at a time; empty where none is found.
        """
        if start not in self._found:
            if len(self._found) >= KEPT:
                self._found.clear()
            self._found[start] = self._seek(start)
        return self._found[start]

    def _seek(self, start: Any) -> dict[Any, np.ndarray]:
        before: Before = {}
        edge = [start]
        for _ in range(FAR):
            ends = [state for state in edge if self._ending(state)[: self._base].any()]
            if ends:
                return self._back(start, ends, before)
            found: Before = {}
            for state in edge:
                for other, every in self._grammar.branches(state).items():
                    ids = self._taken(every)
                    if ids and other != start and other not in before:
                        found.setdefault(other, (state, ids))
            before |= found
            edge = self._few(found)
        return {}

    def _few(self, found: Before) -> list[Any]:
        """Return WIDE of the states, or one of each kind that leads to them, if these are more."""
        states = list(found)
        Random(0).shuffle(states)
        first: dict[str, Any] = {}
        for state in states:
            first.setdefault(self._kinds[found[state][1][0]], state)
        chosen = list(first.values())
        rest = (state for state in states if state not in chosen)
        return chosen + list(islice(rest, max(0, WIDE - len(chosen))))

    def _taken(self, ids: list[int]) -> list[int]:
        """Return those ids that are not avoided."""
        avoided = self._avoided
        return ids if avoided is None else [id for id in ids if not avoided[id]]

    def _back(self, start: Any, ends: Iterable[Any], before: Before) -> dict[Any, np.ndarray]:
        """Return the ids of all ways that end in these states, with those that end one."""
        ways: dict[Any, np.ndarray] = {}
        for end in ends:
            state = end
            ways[state] = self._ending(state)
            while state != start:
                state, ids = before[state]
                ways.setdefault(state, self._ending(state))[ids] = True
        return ways

    def _ending(self, state: Any) -> np.ndarray:
        """Return bool (V,): the ids that may come next and end a way."""
        mask = self._grammar.mask(state)
        found = np.zeros(len(self._ends), dtype=bool)
        found[: len(mask)] = mask & self._ends[: len(mask)]
        return found

"""Ways to a note: which ids of a grammar lead to one the soonest."""

from collections.abc import Iterable
from random import Random
from typing import Any

import numpy as np

from midigen.constrain import Lifted

FAR, WIDE = 32, 12
"""How far a note is sought: steps, and states that are tried in each."""

Before = dict[Any, tuple[Any, list[int]]]
"""Of a state that was found: the one before it, and the ids that lead from there."""


class Ways:
    """Ways through `grammar` to the ids of `notes`, bool (V,); `base` of the V ids are base ids.

    What is found depends on the state alone, and is kept.
    """

    def __init__(self, grammar: Lifted, notes: np.ndarray, base: int) -> None:
        self._grammar, self._notes, self._base = grammar, notes, base
        self._found: dict[Any, dict[Any, np.ndarray]] = {}

    def from_state(self, start: Any) -> dict[Any, np.ndarray]:
        """Return, for a state and those on its ways, bool (V,): the ids to go on with.

        Ways are sought by trying base ids, WIDE states at a time; empty where none is found.
        """
        if start not in self._found:
            self._found[start] = self._seek(start)
        return self._found[start]

    def _seek(self, start: Any) -> dict[Any, np.ndarray]:
        before: Before = {}
        edge = [start]
        for _ in range(FAR):
            ends = [state for state in edge if self._writing(state)[: self._base].any()]
            if ends:
                return self._back(start, ends, before)
            found: Before = {}
            for state in edge:
                for other, ids in self._grammar.branches(state).items():
                    if other != start and other not in before:
                        found.setdefault(other, (state, ids))
            before |= found
            # Any few will do, as long as they are not all of one kind.
            edge = Random(0).sample(list(found), min(WIDE, len(found)))
        return {}

    def _back(self, start: Any, ends: Iterable[Any], before: Before) -> dict[Any, np.ndarray]:
        """Return the ids of all ways that end in these states, with those that write a note."""
        ways: dict[Any, np.ndarray] = {}
        for end in ends:
            state = end
            ways[state] = self._writing(state)
            while state != start:
                state, ids = before[state]
                ways.setdefault(state, self._writing(state))[ids] = True
        return ways

    def _writing(self, state: Any) -> np.ndarray:
        """Return bool (V,): the ids that may come next and write a note."""
        mask = self._grammar.mask(state)
        found = np.zeros(len(self._notes), dtype=bool)
        found[: len(mask)] = mask & self._notes[: len(mask)]
        return found

"""The automaton of `events`: exactly the sequences that decode without a repair. A table.

A state is a number: one at the start, one between events, and one for each type and each place in
an event of it. Time and what sounds need not be remembered: an event says where it plays. An empty
sequence needs no repair, but it is no piece: the start is not accepting.
"""

import numpy as np

from midigen_events import vocabulary as v
from midigen_events.rows import FIRSTS, LASTS

_START, _BETWEEN = range(2)
_SIZE = v.BLOCKS["mi"].first + v.BLOCKS["mi"].size
_INSIDE = v.UNIT - 1


def _refused() -> np.ndarray:
    """Return (V,) bool: ids that always need a repair: velocity 0, duration 0, very slow tempos."""
    refused = np.zeros(_SIZE, dtype=bool)
    for name, count in (("velocity", 1), ("duration", 1), ("bpm", v.SLOWEST)):
        refused[v.BLOCKS[name].first :][:count] = True
    return refused


class EventsGrammar:
    """`midigen.protocols.Grammar` over V base ids.

    classes: (V,) int64. Ids of one class are allowed in the same states and lead to the same one.
    """

    def __init__(self) -> None:
        kinds = range(v.NOTE, v.NOTE + len(v.TYPES))
        self._masks = np.zeros((2 + len(v.TYPES) * _INSIDE, _SIZE), dtype=bool)
        self._masks[[_START, _BETWEEN], kinds.start : kinds.stop] = True
        for kind in kinds:
            for place in range(_INSIDE):
                mask = self._masks[self._state(kind, place)]
                mask[FIRSTS[kind, place] : LASTS[kind, place] + 1] = True
        self._masks[:, _refused()] = False
        self._masks.flags.writeable = False
        self._lowest = self._masks.argmax(axis=1).tolist()
        # Ids that are allowed in the same states are alike, but for the types, which lead on to
        # different ones.
        _, alike = np.unique(self._masks.T, axis=0, return_inverse=True)
        self.classes = alike.ravel() + np.where(self._masks[_START], _SIZE + np.arange(_SIZE), 0)

    @staticmethod
    def _state(kind: int, place: int) -> int:
        """Return the state in which the parameter at `place` of an event comes next."""
        return 2 + (kind - v.NOTE) * _INSIDE + place

    def start(self) -> int:
        return _START

    def mask(self, state: int) -> np.ndarray:
        """Return bool (V,), read-only: the ids that may come next."""
        mask: np.ndarray = self._masks[state]
        return mask

    def step(self, state: int, id: int) -> int:
        """Return the state behind `id`, which must be allowed by `mask(state)`."""
        if state in (_START, _BETWEEN):
            return self._state(id, 0)
        return _BETWEEN if (state - 2) % _INSIDE == _INSIDE - 1 else state + 1

    def accepting(self, state: int) -> bool:
        """Return whether a sequence may end here: behind an event."""
        return state == _BETWEEN

    def closing(self, state: int) -> list[int]:
        """Return the shortest ids to an accepting state."""
        ids = []
        while state != _BETWEEN:
            ids.append(self._lowest[state])
            state = self.step(state, ids[-1])
        return ids

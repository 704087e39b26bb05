"""The automaton of `barnote`, a table: exactly the sequences that decode without a repair.

An offset is followed by a bar or a pitch, a pitch by a duration, a duration or bar by an offset.
Within a bar offsets do not fall, and no bar has length 0. So a state is what is expected and the
last offset in the bar, 3 times 32, and the start: it differs from the state behind a bar in that
nothing may end there, as an empty sequence is no piece.
"""

import numpy as np

from midigen_barnote.layout import (
    BAR,
    FIRST_DURATION,
    FIRST_OFFSET,
    FIRST_PITCH,
    LOWEST,
    OFFSETS,
    SIZE,
)

OFFSET, EVENT, DURATION, START = (phase * OFFSETS for phase in range(4))
"""First of the states that expect an offset, a bar or pitch, a duration: plus the last offset."""
NEVER = -1

_HALF_NOTE, _QUARTER, _MIDDLE_C = FIRST_OFFSET + 8, FIRST_DURATION + 3, FIRST_PITCH + 60 - LOWEST
_NOTE = [_MIDDLE_C, _QUARTER]


def build_table() -> np.ndarray:
    """Return (states, V) int64: the state behind an id, NEVER where it may not come."""
    table = np.full((START + 1, SIZE), NEVER)
    for last in range(OFFSETS):
        later = np.arange(last, OFFSETS)
        table[OFFSET + last, FIRST_OFFSET + later] = EVENT + later
        table[EVENT + last, FIRST_PITCH:FIRST_DURATION] = DURATION + last
        table[DURATION + last, FIRST_DURATION:] = OFFSET + last
    table[EVENT + 1 : DURATION, BAR] = OFFSET
    table[START] = table[OFFSET]
    return table


class BarNoteGrammar:
    """`midigen.protocols.Grammar` over the 153 ids.

    classes: (V,) int64. Ids of one class are allowed in the same states and lead to the same one.
    """

    def __init__(self) -> None:
        table = build_table()
        self._masks = table != NEVER
        self._masks.flags.writeable = False
        self._next: list[list[int]] = table.tolist()
        _, classes = np.unique(table, axis=1, return_inverse=True)
        self.classes: np.ndarray = classes.reshape(-1)

    def start(self) -> int:
        return START

    def mask(self, state: int) -> np.ndarray:
        """Return bool (V,), read-only."""
        row: np.ndarray = self._masks[state]
        return row

    def step(self, state: int, id: int) -> int:
        return self._next[state][id]

    def accepting(self, state: int) -> bool:
        return state < EVENT

    def closing(self, state: int) -> list[int]:
        """Return the shortest way to an end: a bar, or middle C as a quarter note."""
        if state < EVENT:
            return []
        if state == START:
            return [_HALF_NOTE, BAR]
        if state >= DURATION:
            return [_QUARTER]
        return [BAR] if state > EVENT else list(_NOTE)

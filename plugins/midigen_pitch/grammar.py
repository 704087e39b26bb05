"""The automaton of `pitch`: any token may follow any other, and a piece has at least one."""

import numpy as np

from midigen_pitch.chords import LOWEST

MIDDLE_C = 60 - LOWEST


class PitchGrammar:
    """`midigen.protocols.Grammar` over V ids, with two states: False before the first id.

    classes: (V,) int64: all ids are alike.
    """

    def __init__(self, size: int) -> None:
        self._mask = np.ones(size, dtype=bool)
        self._mask.flags.writeable = False
        self.classes = np.zeros(size, np.int64)

    def start(self) -> bool:
        return False

    def mask(self, state: bool) -> np.ndarray:
        """Return bool (V,), read-only."""
        return self._mask

    def step(self, state: bool, id: int) -> bool:
        return True

    def accepting(self, state: bool) -> bool:
        return state

    def closing(self, state: bool) -> list[int]:
        """Return nothing, or middle C where nothing stands yet."""
        return [] if state else [MIDDLE_C]

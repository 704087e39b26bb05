"""Which token may follow which: full bars, and nothing is held that does not sound."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from midigen_melody import BAR, FIRST_PITCH, HOLD, REST, TOKENS


class State(NamedTuple):
    """`place`: steps since the bar line (`grid`: the bar is full)."""

    place: int
    is_sounding: bool


class MelodyGrammar:
    """An automaton (`midigen.protocols.Grammar`) over V = 131 ids."""

    def __init__(self, grid: int) -> None:
        self._grid = grid
        self.mask = lru_cache(self._mask)

    def start(self) -> State:
        return State(self._grid, False)

    def _mask(self, state: State) -> np.ndarray:
        """Return bool (V,): a bar line where the bar is full, a step elsewhere."""
        is_full = state.place == self._grid
        allowed = np.full(len(TOKENS), not is_full)
        allowed[BAR] = is_full
        allowed[HOLD] = not is_full and state.is_sounding
        allowed.setflags(write=False)
        return allowed

    def step(self, state: State, id: int) -> State:
        if id == BAR:
            return State(0, state.is_sounding)
        is_sounding = id >= FIRST_PITCH or (id == HOLD and state.is_sounding)
        return State(state.place + 1, is_sounding)

    def accepting(self, state: State) -> bool:
        return state.place == self._grid

    def closing(self, state: State) -> list[int]:
        """Return the rests that fill the bar."""
        return [REST] * (self._grid - state.place)

"""The automaton of MuMIDI: the sequences that `decode_mumidi` reads without a repair.

An empty sequence needs none, but it is no piece: the start is not accepting.
"""

from collections.abc import Hashable
from typing import NamedTuple

import numpy as np
from midigen_remi.order import MELODIC, UNKNOWN
from midigen_remi.values import DRUMS

from midigen_miditok.config import MidiTokConfig
from midigen_miditok.decode_mumidi import (
    ACCEPTING,
    BAR,
    CHORD,
    FOLLOW,
    NOTE,
    POSITION,
    PROGRAM,
    START,
    MuMidiDecoder,
)
from midigen_miditok.flatten import Flat
from midigen_miditok.grammar_compound import CompoundGrammar


class State(NamedTuple):
    """slot: the next one. kind: of the last event, or of this one behind its first slot.

    bar: the number of the bar, -1 before the first. position: in it, -1 at its beginning. program:
    DRUMS or MELODIC. tempo: the id in force, -1 before the first event.
    """

    slot: int
    kind: int
    bar: int
    position: int
    program: int
    tempo: int


class MuMidiGrammar(CompoundGrammar):
    def __init__(self, config: MidiTokConfig, flat: Flat) -> None:
        super().__init__(flat)
        self._decoder = decoder = MuMidiDecoder(config, flat)
        self.names = decoder.names
        self._kind = decoder.kind
        self._number = decoder.number
        self._value = decoder.meaning.value
        self._last_bar = config.bars - 1

    def start(self) -> State:
        return State(0, START, -1, -1, UNKNOWN, -1)

    def accepting(self, state: State) -> bool:
        return state.slot == 0 and state.kind in ACCEPTING

    def view(self, state: State) -> Hashable:
        name = self.names[state.slot]
        if state.slot == 0:
            at_end = state.bar == self._last_bar
            position = state.position if POSITION in FOLLOW[state.kind] else None
            return 0, state.kind, at_end, position, state.program
        if name == "Tempo":
            return name, None if state.kind in (BAR, POSITION) else state.tempo
        return state.slot, {1: state.bar, 2: state.position}.get(state.slot, state.kind == NOTE)

    def fitting(self, state: State, ids: np.ndarray) -> np.ndarray:
        name = self.names[state.slot]
        if state.slot == 0:
            return self._fits_first(state, ids)
        if state.slot == 1:
            return self._number[ids] == state.bar
        plain = ~self.flat.special[ids]
        if state.slot == 2:
            return plain & (self._number[ids] == state.position)
        if name == "Tempo":
            return plain if state.kind in (BAR, POSITION) else ids == state.tempo
        return plain if state.kind == NOTE else self.flat.padding[ids]

    def _fits_first(self, state: State, ids: np.ndarray) -> np.ndarray:
        kind = self._kind[ids]
        follow = FOLLOW[state.kind]
        if state.bar == self._last_bar:
            follow -= {BAR}
        allowed = np.isin(kind, sorted(follow))
        allowed &= (kind != POSITION) | (self._value[ids] >= state.position)
        drums = self._decoder.is_drum[ids]
        return allowed & ((kind != NOTE) | (drums == (state.program == DRUMS)))

    def step(self, state: State, id: int) -> State:
        slot, kind, bar, position, program, tempo = state
        if slot == 0:
            kind = int(self._kind[id])
            if kind == BAR:
                bar, position = bar + 1, -1
            elif kind == POSITION:
                position = int(self._value[id])
            elif kind == PROGRAM:
                program = DRUMS if self._value[id] == DRUMS else MELODIC
        elif self.names[slot] == "Tempo":
            tempo = id
        return State((slot + 1) % self.flat.width, kind, bar, position, program, tempo)

    def alike(self, id: int) -> Hashable:
        slot, kind = int(self.flat.slot[id]), int(self._kind[id])
        if slot == 0 and kind == NOTE:
            return NOTE, bool(self._decoder.is_drum[id])
        if slot == 0 and kind == PROGRAM:
            return PROGRAM, bool(self._value[id] == DRUMS)
        if slot == 0 and kind == CHORD:
            return CHORD
        if slot > 0 and self.names[slot] in ("Velocity", "Duration"):
            return "special" if self.flat.special[id] else "value", self.flat.padding[id]
        return id

    def ordinary(self, state: State, ids: np.ndarray) -> int:
        """Return a note where one is due, then a bar, or what is usual."""
        if state.slot == 0:
            order = {NOTE: 0, PROGRAM: 1, BAR: 2}
            rank = np.array([order.get(int(kind), 3) for kind in self._kind[ids]])
            ids = ids[rank == rank.min()]
        return super().ordinary(state, ids)

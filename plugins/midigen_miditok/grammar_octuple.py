"""The automaton of Octuple: the sequences that `decode_octuple` reads without a repair.

An empty sequence needs none, but it is no piece: the start is not accepting.
"""

from collections.abc import Hashable
from typing import NamedTuple

import numpy as np
from midigen_remi.order import MELODIC, UNKNOWN
from midigen_remi.values import DRUMS

from midigen_miditok.config import MidiTokConfig
from midigen_miditok.decode_octuple import OctupleDecoder
from midigen_miditok.flatten import Flat
from midigen_miditok.grammar_compound import CompoundGrammar


class State(NamedTuple):
    """slot: the next one. bar, position: of the last event, or of this one behind their slots.

    signature: in force, a place in the vocabulary's. free: before the bar, that it may be the last
    event's; behind it, that it is a new one. pitch: the kind of this event's, DRUMS or MELODIC.
    program: of the sequence, as far as what follows depends on it.
    """

    slot: int
    bar: int
    position: int
    signature: int
    free: bool
    pitch: int
    program: int


class OctupleGrammar(CompoundGrammar):
    def __init__(self, config: MidiTokConfig, flat: Flat) -> None:
        super().__init__(flat)
        decoder = OctupleDecoder(config, flat)
        self.meaning = decoder.meaning
        self.names = decoder.names
        self._special = flat.special
        self._is_drum = decoder.is_drum
        self._bar = decoder.bar
        self._last_bar = config.bars - 1
        self._signed = "TimeSig" in self.names
        self._one_program = not config.one_stream or not config.options.programs
        self._kinds_matter = config.options.drums
        self._positions = self.meaning.positions

    def start(self) -> State:
        return State(0, -1, 0, self.meaning.default_signature, False, UNKNOWN, UNKNOWN)

    def accepting(self, state: State) -> bool:
        return state.slot == 0 and state.bar >= 0

    def view(self, state: State) -> Hashable:
        name = self.names[state.slot]
        if name == "Pitch":
            return 0, state.program
        if name == "Position":
            # Only behind the last bar there is no way on to a later one.
            return 1, state.bar == self._last_bar and (state.position, state.signature)
        if name == "Bar":
            return 2, state.bar, state.free
        if name == "TimeSig":
            return name, state.free, state.position if state.free else state.signature
        return name, (state.pitch, state.program) if name == "Program" else None

    def fitting(self, state: State, ids: np.ndarray) -> np.ndarray:
        name, value = self.names[state.slot], self.meaning.value[ids]
        allowed = ~self._special[ids]
        if name == "Pitch" and self._kinds_matter and state.program != UNKNOWN:
            allowed &= self._is_drum[ids] == (state.program == DRUMS)
        elif name == "Position" and state.bar == self._last_bar:
            allowed &= (value >= state.position) & (value < self._positions[state.signature])
        elif name == "Bar":
            allowed &= self._bar[ids] >= state.bar + (not state.free)
        elif name == "TimeSig":
            fits = self._positions[value] > state.position
            allowed &= fits if state.free else value == state.signature
        elif name == "Program":
            allowed &= self._plays(state, value)
        return allowed

    def _plays(self, state: State, program: np.ndarray) -> np.ndarray:
        """Return which programs fit the pitch and the programs before."""
        fits = np.ones(len(program), dtype=bool)
        if self._kinds_matter:
            fits &= (program == DRUMS) == (state.pitch == DRUMS)
        if self._one_program and state.program != UNKNOWN:
            fits &= program == state.program
        return fits

    def step(self, state: State, id: int) -> State:
        slot, bar, position, signature, free, pitch, program = state
        name, value = self.names[slot], int(self.meaning.value[id])
        if name == "Pitch":
            pitch = self._heard(id)
            if "Program" not in self.names:
                program = pitch
        elif name == "Position":
            within = value < self._positions[signature]
            free, position = bool(bar >= 0 and value >= position and within), value
        elif name == "Bar":
            free, bar = self._bar[id] > bar, int(self._bar[id])
        elif name == "TimeSig":
            signature = value
        elif name == "Program" and self._one_program:
            program = value
        slot = (slot + 1) % self.flat.width
        if slot == 0:
            free, pitch = False, UNKNOWN
        return State(slot, bar, position, signature, bool(free), pitch, program)

    def _heard(self, id: int) -> int:
        if not self._kinds_matter:
            return UNKNOWN
        return DRUMS if self._is_drum[id] else MELODIC

    def alike(self, id: int) -> Hashable:
        name = self.names[int(self.flat.slot[id])]
        if self._special[id]:
            return "special"
        if name == "Pitch":
            return self._heard(id)
        if name == "Program" and not self._one_program:
            return self.meaning.value[id] == DRUMS
        return id if name in ("Position", "Bar", "Program", "TimeSig") else name

    def ordinary(self, state: State, ids: np.ndarray) -> int:
        """Return the next bar, the signature in force, or what is usual."""
        name = self.names[state.slot]
        if name == "Bar":
            return int(ids[0])
        if name == "TimeSig":
            return int(ids[np.argmax(self.meaning.value[ids] == state.signature)])
        return super().ordinary(state, ids)

"""The automaton of CPWord: the sequences that `decode_cpword` reads without a repair.

It drives the grammar of `remi`, whose tokens say the same as CPWord's events: a state holds the
state there. A rest at the end needs no repair: MidiTok writes one before a time signature that it
has no bar for.
"""

from collections.abc import Hashable
from typing import NamedTuple

import numpy as np
from midigen_remi.grammar import State as RemiState
from midigen_remi.order import Phase
from midigen_remi.values import DRUMS

from midigen_miditok.config import MidiTokConfig
from midigen_miditok.decode_cpword import FORMS, slot_names
from midigen_miditok.flatten import Flat
from midigen_miditok.grammar_compound import CompoundGrammar
from midigen_miditok.remi_side import RemiSide

NOTE, METRIC = "0.Family_Note", "0.Family_Metric"


class State(NamedTuple):
    """slot: the next one. form: of `FORMS`, "metric" before the slot that tells, "" at the start.

    said: `remi` ids of this note so far, one for all that are alike. inner: the state in `remi`
    behind all that is whole.
    """

    slot: int
    form: str
    said: tuple[int, ...]
    inner: RemiState


class CPWordGrammar(CompoundGrammar):
    def __init__(self, config: MidiTokConfig, flat: Flat) -> None:
        super().__init__(flat)
        self.names = slot_names(flat)
        self.remi = RemiSide(config.options, flat)
        self._inner = self.remi.grammar
        self._drums = config.options.drums
        self._empty = flat.is_type("Ignore")
        self._is_bar, self._is_position = flat.is_type("Bar"), flat.is_type("Position")
        self._first = {name: flat.vocab.index[name] for name in (NOTE, METRIC)}
        # One `remi` id stands for all that its grammar treats alike.
        examples: dict[int, int] = {}
        self._example = [
            examples.setdefault(c, i) for i, c in enumerate(self._inner.classes.tolist())
        ]

    def start(self) -> State:
        return State(0, "", (), self._inner.start())

    def accepting(self, state: State) -> bool:
        return state.slot == 0 and (
            self._inner.accepting(state.inner) or state.inner.phase == Phase.Rest
        )

    def view(self, state: State) -> Hashable:
        name = self.names[state.slot]
        if state.slot and name not in ("Time", *FORMS.get(state.form, ())):
            return state.slot, state.form
        pitch = state.said[:1] if name == "Program" else None
        return state.slot, state.form, pitch, self._inner.view(state.inner)

    def _allowed(self, state: State, ids: np.ndarray) -> np.ndarray:
        """Return which of `ids` `remi` takes now; none that it does not have."""
        there = self.remi.ids[ids]
        found: np.ndarray = (there >= 0) & self._inner.mask(state.inner)[there]
        return found

    def fitting(self, state: State, ids: np.ndarray) -> np.ndarray:
        name = self.names[state.slot]
        if name == "Family":
            note = self._slot_allows(state, "Program" if "Program" in self.names else "Pitch")
            metric = self._slot_allows(state, "Time") or self._slot_allows(state, "Rest")
            return (note & (ids == self._first[NOTE])) | (metric & (ids == self._first[METRIC]))
        if name == "Time" and state.form == "metric":
            return self._allowed(state, ids) | (self._empty[ids] & self._slot_allows(state, "Rest"))
        if name == "Chord" and state.form == "position":
            chords: np.ndarray = ~self.flat.special[ids]
            return chords
        if name not in FORMS[state.form] or name == "Time":
            return self._empty[ids]
        if state.form != "note":
            return self._allowed(state, ids)
        return self._fits_note(state, name, ids)

    def _slot_allows(self, state: State, name: str) -> bool:
        """Return whether `remi` takes any id of a slot now."""
        if name not in self.names:
            return False
        return bool(self._allowed(state, self._ids[self.names.index(name)]).any())

    def _fits_note(self, state: State, name: str, ids: np.ndarray) -> np.ndarray:
        """Return which ids of a slot fit a note: REMI has its program first, CPWord last."""
        here = self.remi.ids[ids] >= 0
        if name == "Pitch" and "Program" not in self.names:
            return self._allowed(state, ids)
        if name == "Pitch" and self._drums:
            slot = self._ids[self.names.index("Program")]
            programs = self._value(slot[self._allowed(state, slot)])
            drums = self._is_drum(self.remi.ids[ids])
            return here & np.where(drums, (programs == DRUMS).any(), (programs != DRUMS).any())
        if name == "Program":
            fits = self._allowed(state, ids)
            if self._drums:
                drum = self._is_drum(np.array(state.said[:1]))
                fits &= (self._value(ids) == DRUMS) == drum
            return fits
        return here

    def _value(self, ids: np.ndarray) -> np.ndarray:
        return self._inner.meaning.value[self.remi.ids[ids]]

    def _is_drum(self, there: np.ndarray) -> np.ndarray:
        kinds = np.array(self.remi.vocab.types)
        return (there >= 0) & (kinds[there] == "PitchDrum")

    def step(self, state: State, id: int) -> State:
        slot, form, said, inner = state
        name, there = self.names[slot], int(self.remi.ids[id])
        if name == "Family":
            form = "note" if id == self._first[NOTE] else "metric"
        elif name == "Time" and form == "metric":
            form = "bar" if self._is_bar[id] else "position" if self._is_position[id] else "rest"
        if there >= 0 and form == "note":
            said = (*said, self._example[there])
        elif there >= 0:
            inner = self._inner.step(inner, there)
        slot = (slot + 1) % self.flat.width
        if slot == 0:
            for token in self._in_order(said) if form == "note" else ():
                inner = self._inner.step(inner, token)
            form, said = "", ()
        return State(slot, form, said, inner)

    def _in_order(self, said: tuple[int, ...]) -> tuple[int, ...]:
        """Return a note's ids with its program, which CPWord has last, in front."""
        return (*said[-1:], *said[:-1]) if "Program" in self.names else said

    def alike(self, id: int) -> Hashable:
        there = int(self.remi.ids[id])
        return self._example[there] if there >= 0 else self.flat.types[id], there < 0 and id

    def ordinary(self, state: State, ids: np.ndarray) -> int:
        """Return a note where one is due, else a bar; the signature in force, or what is usual."""
        name = self.names[state.slot]
        if name == "Family":
            return int(ids[-1])
        if name == "Time" and self._is_bar[ids].any():
            return int(ids[self._is_bar[ids]][0])
        if name == "TimeSig":
            return int(ids[np.argmax(self._value(ids) == state.inner.signature)])
        return super().ordinary(state, ids)

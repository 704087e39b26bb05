"""The automaton of BEAT: the sequences that `decode_beat` reads without a repair.

It remembers what sounds at the end of the last beat: nothing else may sound on. An empty sequence
needs no repair, but it is no piece: the start is not accepting.
"""

from functools import cached_property
from typing import NamedTuple

import numpy as np
from midigen_remi.values import DRUMS

from midigen.vocab import Vocab
from midigen_miditok.beat_order import ACCEPTING, PITCHES, Phase, Type, digits
from midigen_miditok.config import MidiTokConfig
from midigen_miditok.decode_beat import BeatDecoder, Voice

_KEPT = 1 << 14
"""Masks remembered."""
_USUAL_BPM = 120.0


class State(NamedTuple):
    """signature: a place in the vocabulary's. beat: how many the bar has had.

    voice: who plays. seen: the programs of this beat, one a track. pitch: the last of the voice in
    this beat, -1 before the first. held, next: (voice, pitch) that sound at the end of the beat
    before and of this one.
    """

    phase: int
    signature: int
    beat: int
    voice: Voice
    seen: tuple[int, ...]
    pitch: int
    held: frozenset[tuple[Voice, int]]
    next: frozenset[tuple[Voice, int]]


class BeatGrammar:
    """`midigen.protocols.Grammar` over V ids."""

    def __init__(self, config: MidiTokConfig, vocab: Vocab) -> None:
        decoder = BeatDecoder(config, vocab)
        self.options = config.options
        self.vocab = vocab
        self.order = decoder.order
        self.meaning = decoder.meaning
        self.value = decoder.value
        kinds = np.array(self.order.types)
        self._ids = {kind: np.flatnonzero(kinds == kind) for kind in Type}
        self._values = np.array(self.value)
        self._masks: dict[object, np.ndarray] = {}

    def start(self) -> State:
        nothing: frozenset[tuple[Voice, int]] = frozenset()
        signature = self.meaning.default_signature
        return State(Phase.Start, signature, 0, (0, 0), (), -1, nothing, nothing)

    def accepting(self, state: State) -> bool:
        return state.phase in ACCEPTING

    def mask(self, state: State) -> np.ndarray:
        """Return bool (V,), cached and read-only."""
        full = state.beat == self.meaning.signatures[state.signature][0]
        held = state.phase == Phase.Pitch and (state.voice, state.pitch) in state.held
        key = state.phase, full, held, state.voice[0] == DRUMS, state.pitch
        found = self._masks.get(key)
        if found is None:
            if len(self._masks) >= _KEPT:
                self._masks.clear()
            found = np.zeros(len(self.vocab), dtype=bool)
            for kind in self.order.follow[Phase(state.phase)]:
                ids = self._ids[kind]
                found[ids] = self._fitting(state, kind, self._values[ids], full, held)
            found.flags.writeable = False
            self._masks[key] = found
        return found

    def _fitting(
        self, state: State, kind: Type, values: np.ndarray, full: bool, held: bool
    ) -> np.ndarray | bool:
        """Return which values of a type fit a state whose phase takes that type."""
        if kind == Type.Bar:
            return full or state.phase == Phase.Start
        if kind == Type.Beat:
            return not full
        if kind == Type.Pattern:
            found: np.ndarray = self.order.fitting[held][values]
            return found
        if kind in PITCHES:
            if self.options.drums and (kind == Type.PitchDrum) != (state.voice[0] == DRUMS):
                return False
            if state.pitch < 0:
                return True
            reached = values if kind == Type.PitchDrum else state.pitch - values
            return (reached >= 0) & (reached < state.pitch)
        return True

    def step(self, state: State, id: int) -> State:
        """Return the state behind `id`, which `mask` must allow."""
        kind, value = self.order.types[id], self.value[id]
        after = self.order.after(kind, Phase(state.phase))
        state = state._replace(phase=after)
        if kind == Type.Bar:
            return state._replace(beat=0)
        if kind == Type.TimeSig:
            return state._replace(signature=int(self.meaning.value[id]))
        if kind == Type.Beat:
            held = state.next
            return state._replace(beat=state.beat + 1, seen=(), held=held, next=frozenset())
        if kind == Type.Program:
            voice = value, state.seen.count(value)
            return state._replace(voice=voice, seen=(*state.seen, value), pitch=-1)
        if kind in PITCHES:
            first = state.pitch < 0 or kind == Type.PitchDrum
            return state._replace(pitch=value if first else state.pitch - value)
        if kind == Type.Pattern and digits(value)[-1]:
            return state._replace(next=state.next | {(state.voice, state.pitch)})
        return state

    @cached_property
    def classes(self) -> np.ndarray:
        """(V,) int64. Ids of one class are allowed in the same states and lead to the same one."""
        exact = {Type.TimeSig, Type.Program, *PITCHES, Type.Pattern}
        alike: dict[tuple[Type, int], int] = {}
        keys = [(kind, i if kind in exact else -1) for i, kind in enumerate(self.order.types)]
        return np.array([alike.setdefault(key, len(alike)) for key in keys])

    def closing(self, state: State) -> list[int]:
        """Return the shortest ids to an accepting state, by way of the most ordinary values."""
        ids: list[int] = []
        while not self.accepting(state):
            id = self._ordinary(state)
            ids.append(id)
            state = self.step(state, id)
        return ids

    def _ordinary(self, state: State) -> int:
        """Return the next id of a closing: rests and beats first, then middle values."""
        allowed = np.flatnonzero(self.mask(state))
        for kind in (Type.Rest, Type.Beat, Type.Bar, Type.Pattern, Type.Velocity):
            fitting = allowed[np.isin(allowed, self._ids[kind])]
            if len(fitting):
                return int(fitting[len(fitting) // 2])
        raise AssertionError(f"no way to an end from {state}")

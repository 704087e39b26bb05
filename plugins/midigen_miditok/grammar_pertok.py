"""The automaton of PerTok: the sequences that `decode_pertok` reads without a repair.

An empty sequence needs none, but it is no piece: the start is not accepting.
"""

from functools import cached_property
from typing import NamedTuple

import numpy as np
from midigen_remi.order import UNKNOWN
from midigen_remi.values import DRUMS

from midigen.vocab import Vocab
from midigen_miditok.config import MidiTokConfig
from midigen_miditok.decode_pertok import PerTokDecoder
from midigen_miditok.pertok_order import ACCEPTING, PITCHES, PLAYED, Phase, Type

_KEPT = 1 << 14
"""Masks remembered."""
USUAL_BPM = 120.0


class State(NamedTuple):
    """position: the last one of the bar. program: as far as what follows depends on it."""

    phase: int
    position: int
    program: int


class PerTokGrammar:
    """`midigen.protocols.Grammar` over V ids."""

    def __init__(self, config: MidiTokConfig, vocab: Vocab) -> None:
        decoder = PerTokDecoder(config, vocab)
        self.options = config.options
        self.vocab = vocab
        self.order = decoder.order
        self.value = decoder.value
        self._ids = {kind: np.flatnonzero(decoder.kinds == kind) for kind in Type}
        self._masks: dict[State, np.ndarray] = {}

    def start(self) -> State:
        return State(Phase.Start, 0, UNKNOWN)

    def accepting(self, state: State) -> bool:
        return state.phase in ACCEPTING

    def mask(self, state: State) -> np.ndarray:
        """Return bool (V,), cached and read-only."""
        found = self._masks.get(state)
        if found is None:
            if len(self._masks) >= _KEPT:
                self._masks.clear()
            found = np.zeros(len(self.vocab), dtype=bool)
            for kind in self.order.follow[Phase(state.phase)]:
                ids = self._ids[kind]
                found[ids] = self._fitting(state, kind, self.value[ids])
            found.flags.writeable = False
            self._masks[state] = found
        return found

    def _fitting(self, state: State, kind: Type, values: np.ndarray) -> np.ndarray | bool:
        """Return which values of a type fit a state whose phase takes that type."""
        if kind == Type.Position:
            return values >= state.position
        if kind == Type.Program and not self.options.one_stream:
            return (values == state.program) | (state.program == UNKNOWN)
        if kind in PITCHES or kind in PLAYED:
            if self.options.programs and state.program == UNKNOWN:
                return False
            return kind in PLAYED or self.order.plays(state.program, kind)
        return True

    def step(self, state: State, id: int) -> State:
        """Return the state behind `id`, which `mask` must allow."""
        kind = self.order.types[id]
        phase, position, program = state
        if kind == Type.Bar:
            position = 0
        elif kind == Type.Position:
            position = int(self.value[id])
        elif kind == Type.Program:
            program = self._seen[id]
        elif kind in PITCHES:
            program = self.order.heard(program, kind)
        after = self.order.after(kind, Phase(phase), program)
        if self._forgets and after == Phase.Open:
            program = UNKNOWN
        return State(after, position, program)

    @cached_property
    def _forgets(self) -> bool:
        """True where every event names its program anew."""
        return self.options.program_before_notes and self.options.one_stream

    @cached_property
    def _seen(self) -> list[int]:
        """What `program` becomes behind every Program id: one stands for all that behave as it."""
        stands: dict[object, int] = {}
        seen = [UNKNOWN] * len(self.vocab)
        for i in self._ids[Type.Program].tolist():
            program = int(self.value[i])
            behaviour = (self.order.after(Type.Velocity, Phase.Timed, program), program == DRUMS)
            exact = not self.options.one_stream
            seen[i] = program if exact else stands.setdefault(behaviour, program)
        return seen

    @cached_property
    def classes(self) -> np.ndarray:
        """(V,) int64. Ids of one class are allowed in the same states and lead to the same one."""
        alike: dict[tuple[Type, int], int] = {}
        keys = [
            (kind, i if kind == Type.Position else self._seen[i])
            for i, kind in enumerate(self.order.types)
        ]
        return np.array([alike.setdefault(key, len(alike)) for key in keys])

    def closing(self, state: State) -> list[int]:
        """Return the shortest ids to an accepting state, by way of the most ordinary values."""
        paths: list[tuple[State, list[int]]] = [(state, [])]
        met = set()
        for here, ids in paths:
            if self.accepting(here):
                return ids
            if here.phase in met:
                continue
            met.add(here.phase)
            mask = self.mask(here)
            for kind in sorted(self.order.follow[Phase(here.phase)]):
                fitting = self._ids[kind][mask[self._ids[kind]]]
                if len(fitting):
                    id = self._ordinary(kind, fitting)
                    paths.append((self.step(here, id), [*ids, id]))
        raise AssertionError(f"no way to an end from {state}")

    def _ordinary(self, kind: Type, ids: np.ndarray) -> int:
        """Return what a closing takes: a usual tempo, a middle value."""
        if kind == Type.Tempo:
            bpm = np.array([float(self.vocab.values[i]) for i in ids.tolist()])
            return int(ids[np.argmin(abs(bpm - USUAL_BPM))])
        return int(ids[len(ids) // 2])

"""The automaton of `remi`: exactly the sequences that decode without a repair.

A state is a tuple ``(phase, signature, tick, sounding, program, pitches)``:

    phase      a `Phase`: what stands before
    signature  the time signature in force, a place in the vocabulary's
    tick       ticks from the beginning of the bar to the last position or the end of the last
               rest
    sounding   ticks from the beginning of the bar to the end of the last note, where rests begin;
               0 where `tick` is later, and where there are no rests
    program    as far as what follows depends on it: a program, MELODIC, UNKNOWN
    pitches    where there are pitch intervals: ((program, last onset's pitch, last pitch), ...)

`midigen_remi.decode` says what a repair is. An empty sequence needs none, but it is no piece: the
start is not accepting.
"""

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from midigen.vocab import Vocab
from midigen_remi.meaning import DEFAULT_BPM, Meaning
from midigen_remi.order import ACCEPTING, INTERVALS, PITCHES, PLAYED, UNKNOWN, Phase, Type

if TYPE_CHECKING:
    from midigen_remi.config import RemiConfig

_KEPT = 1 << 15
"""Masks and closings remembered. Only with pitch intervals there are more."""
Pitches = tuple[tuple[int, int, int], ...]


class State(NamedTuple):
    phase: int
    signature: int
    tick: int
    sounding: int
    program: int
    pitches: Pitches


class RemiGrammar:
    """`midigen.protocols.Grammar` over V base ids.

    classes: (V,) int64. Ids of one class are allowed in the same states and lead to the same one.
    """

    def __init__(self, config: "RemiConfig", vocab: Vocab) -> None:
        self.config = config
        self.vocab = vocab
        self.meaning = meaning = Meaning(config, vocab)
        self._order = meaning.order
        self._follow = meaning.order.follow
        self._rests = Type.Rest in meaning.order.present
        self._intervals = Type.PitchIntervalTime in meaning.order.present
        self._types = [Type(t) for t in meaning.types.tolist()]
        self._value = meaning.value.tolist()
        self._length = meaning.length.tolist()
        self._bar = meaning.bar.tolist()
        self._step = meaning.step.tolist()
        self._positions = meaning.positions.tolist()
        self._ids = {t: np.flatnonzero(meaning.types == t) for t in Type}
        self._masks: dict[object, np.ndarray] = {}
        self._closings: dict[object, list[int]] = {}

    def start(self) -> State:
        return State(Phase.Start, self.meaning.default_signature, 0, 0, UNKNOWN, ())

    def accepting(self, state: State) -> bool:
        return state.phase in ACCEPTING

    def mask(self, state: State) -> np.ndarray:
        """Return bool (V,), cached and read-only."""
        key = self.view(state)
        found = self._masks.get(key)
        if found is None:
            if len(self._masks) >= _KEPT:
                self._masks.clear()
            found = self._masks[key] = self._build_mask(state)
            found.flags.writeable = False
        return found

    def view(self, state: State) -> object:
        """Return what the mask depends on: far fewer values than there are states."""
        step = self._step[state.signature]
        return (
            state.phase,
            state.signature,
            -(-state.tick // step),
            state.phase == Phase.Rest and state.tick == 0,
            state.program,
            self._last_pitches(state) if self._intervals else None,
        )

    def _build_mask(self, state: State) -> np.ndarray:
        allowed = np.zeros(len(self.vocab), dtype=bool)
        for kind in self._follow[Phase(state.phase)]:
            ids = self._ids[kind]
            allowed[ids] = self._fitting(state, kind, self.meaning.value[ids])
        return allowed

    def _fitting(self, state: State, kind: Type, values: np.ndarray) -> np.ndarray | bool:
        """Return which values of a type fit a state whose phase takes that type."""
        if kind == Type.Position:
            step = self._step[state.signature]
            limit = self._positions[state.signature]
            return (values >= -(-state.tick // step)) & (values < limit)
        if kind == Type.TimeSig and state.phase == Phase.Rest:
            return state.tick == 0
        if kind == Type.Program and not self.config.one_stream:
            return (values == state.program) | (state.program == UNKNOWN)
        if kind in PITCHES or kind in PLAYED:
            if self.config.programs and state.program == UNKNOWN:
                return False
            if kind in PITCHES and not self._order.plays(state.program, kind):
                return False
            return kind not in INTERVALS or self._in_range(state, kind, values)
        return True

    def _in_range(self, state: State, kind: Type, values: np.ndarray) -> np.ndarray | bool:
        """Return which intervals lead to a pitch of the vocabulary."""
        last = self._last_pitches(state)
        if last is None:
            return False
        pitch = values + last[kind == Type.PitchIntervalChord]
        low, high = self.config.pitch
        return (pitch >= low) & (pitch <= high)

    def _last_pitches(self, state: State) -> tuple[int, int] | None:
        """Return the pitches that intervals of the program count from."""
        for program, onset, chord in state.pitches:
            if program == state.program or not self.config.programs:
                return onset, chord
        return None

    def step(self, state: State, id: int) -> State:
        """Return the state behind `id`, which `mask` must allow."""
        kind = self._types[id]
        phase, signature, tick, sounding, program, pitches = state
        if kind == Type.Bar:
            if phase not in (Phase.Start, Phase.Head):
                sounding = max(0, sounding - self._bar[signature])
            tick = 0
        elif kind == Type.TimeSig:
            signature = self._value[id]
        elif kind == Type.Position:
            tick = self._value[id] * self._step[signature]
        elif kind == Type.Rest:
            tick = (max(sounding, tick) + self._length[signature][id]) % self._bar[signature]
            sounding = 0
        elif kind == Type.Duration and self._rests and phase == Phase.Length:
            sounding = max(sounding, tick + self._length[signature][id])
        elif kind == Type.Program:
            program = self._seen[id]
        elif kind in PITCHES:
            program = self._order.heard(program, kind)
            if self._intervals:
                pitches = self._sounded(state, id)
        if sounding <= tick:
            sounding = 0
        after = self._order.after(kind, Phase(phase), program)
        if self._forgets and after == Phase.End:
            program = UNKNOWN
        return State(after, signature, tick, sounding, program, pitches)

    @cached_property
    def _forgets(self) -> bool:
        """True where every note names its program anew."""
        return self.config.program_before_notes and self.config.one_stream

    @cached_property
    def _seen(self) -> list[int]:
        """What `program` becomes behind every Program id.

        Where it only has to be known until the note is whole, one program stands for all that
        behave as it does: this keeps the number of states small.
        """
        stands: dict[object, int] = {}
        seen = [UNKNOWN] * len(self.vocab)
        for i in self._ids[Type.Program].tolist():
            program = self._value[i]
            behaviour = (self._order.length(program), self._order.plays(program, Type.PitchDrum))
            exact = self._intervals or not self.config.one_stream
            seen[i] = program if exact else stands.setdefault(behaviour, program)
        return seen

    def _sounded(self, state: State, id: int) -> Pitches:
        """Return `pitches` behind a pitch, as MidiTok's decoder keeps them."""
        kind, value = self._types[id], self._value[id]
        program = state.program if self.config.programs else 0
        onset, chord = self._last_pitches(state) or (0, 0)
        if kind == Type.PitchIntervalChord:
            onset, chord = onset, chord + value
        else:
            onset = chord = onset + value if kind == Type.PitchIntervalTime else value
        others = [known for known in state.pitches if known[0] != program]
        return tuple(sorted([*others, (program, onset, chord)]))

    @cached_property
    def classes(self) -> np.ndarray:
        alike: dict[tuple[Type, int], int] = {}
        exact = {Type.TimeSig, Type.Position, Type.Rest}
        exact |= {Type.Duration} if self._rests else set()
        exact |= set(PITCHES) if self._intervals else set()
        keys = [
            (kind, i if kind in exact else self._seen[i] if kind == Type.Program else 0)
            for i, kind in enumerate(self._types)
        ]
        return np.array([alike.setdefault(key, len(alike)) for key in keys])

    def closing(self, state: State) -> list[int]:
        """Return the shortest ids to an accepting state, by way of the most ordinary values."""
        if self.accepting(state):
            return []
        key = self.view(state)
        found = self._closings.get(key)
        if found is None:
            if len(self._closings) >= _KEPT:
                self._closings.clear()
            found = self._closings[key] = self._shortest(state)
        return list(found)

    def _shortest(self, state: State) -> list[int]:
        paths: list[tuple[State, list[int]]] = [(state, [])]
        met = set()
        for here, ids in paths:
            if self.accepting(here):
                return ids
            if here.phase in met:
                continue
            met.add(here.phase)
            mask = self.mask(here)
            for kind in sorted(self._follow[Phase(here.phase)]):
                fitting = self._ids[kind][mask[self._ids[kind]]]
                if len(fitting):
                    id = self._ordinary(here, kind, fitting)
                    paths.append((self.step(here, id), [*ids, id]))
        raise AssertionError(f"no way to an end from {state}")

    def _ordinary(self, state: State, kind: Type, ids: np.ndarray) -> int:
        """Return what a closing takes: the signature in force, a usual tempo, a middle value."""
        value = self.meaning.value[ids]
        if kind == Type.TimeSig:
            return int(ids[np.argmax(value == state.signature)])
        if kind == Type.Tempo:
            return int(ids[np.argmin(abs(60e6 / value - DEFAULT_BPM))])
        return int(ids[len(ids) // 2])

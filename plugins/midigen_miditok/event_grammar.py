"""The automaton of TSD, MIDILike and Structured: the sequences that decode without a repair.

A state is a tuple ``(phase, program, pitches, sounding, fresh)``:

    phase     a `Phase`: what stands before
    program   as far as what follows depends on it: a program, MELODIC, UNKNOWN
    pitches   where there are pitch intervals: ((program, last onset's pitch, last pitch), ...)
    sounding  in MIDILike, the notes that have no end yet: sorted numbers ``(program + 1) << 7 |
              pitch``, one as often as it sounds; a program that no token says counts as 0
    fresh     whether one of these began since time last moved on

Without intervals, TSD and Structured are finite and their masks a table. `midigen_miditok.
event_decode` says what a repair is. An empty sequence needs none, but it is no piece: the start is
not accepting.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from midigen_remi.order import UNKNOWN
from midigen_remi.values import PROGRAMS

from midigen_miditok.event_meaning import Meaning
from midigen_miditok.event_order import (
    ACCEPTING,
    INTERVALS,
    OFFS,
    PITCHES,
    PLAYED,
    TIMES,
    Phase,
    Type,
)

if TYPE_CHECKING:
    from midigen_miditok.event_closing import Closings

_KEPT = 1 << 14
"""Masks remembered. Only with pitch intervals or sounding notes there are more."""
Pitches = tuple[tuple[int, int, int], ...]


class State(NamedTuple):
    phase: int
    program: int
    pitches: Pitches
    sounding: tuple[int, ...]
    fresh: bool


class EventGrammar:
    """`midigen.protocols.Grammar` over V base ids.

    classes: (V,) int64. Ids of one class are allowed in the same states and lead to the same one.
    free_ends: any note may end at any time, so that nothing that sounds is remembered: a coarser
    automaton, which `midigen_miditok.event_runs` makes exact again.
    """

    def __init__(self, meaning: Meaning, free_ends: bool = False) -> None:
        self.meaning = meaning
        self.options = meaning.order.options
        self._order = meaning.order
        self._follow = meaning.order.follow
        self._intervals = Type.PitchIntervalTime in meaning.order.present
        self._has_ends = (
            meaning.order.kind == "MIDILike" and bool(self.options.durations) and not free_ends
        )
        self._types = [Type(t) for t in meaning.types.tolist()]
        self._value = meaning.value.tolist()
        self._ids = {t: np.flatnonzero(meaning.types == t) for t in Type}
        self._mask_of = lru_cache(_KEPT)(self._build_mask)

    def start(self) -> State:
        return State(Phase.Start, UNKNOWN, (), (), False)

    def accepting(self, state: State) -> bool:
        return state.phase in ACCEPTING and not self.owes(state)

    def settled(self, state: State) -> bool:
        """Return whether no event has been begun; notes may sound."""
        return state.phase in ACCEPTING

    def owes(self, state: State) -> bool:
        """Return whether notes sound that need an end.

        They do not where only some programs have ends and the tokens do not say which this is.
        """
        return bool(state.sounding) and (
            self.options.programs or self._order.has_length(state.program) is not None
        )

    def mask(self, state: State) -> np.ndarray:
        """Return bool (V,), cached and read-only."""
        mask: np.ndarray = self._mask_of(*self.view(state))
        return mask

    def runs(self, expansions: Sequence[Sequence[int]]) -> Callable[[State], np.ndarray] | None:
        """Return what tells in each state which runs of ids may come next, where masks cannot be
        remembered: in MIDILike."""
        if not self._has_ends or self._intervals or self.options.durations != PROGRAMS:
            return None
        from midigen_miditok.event_runs import Runs

        return Runs(self, EventGrammar(self.meaning, free_ends=True), expansions)

    def view(self, state: State) -> tuple[int, int, tuple[int, int] | None, tuple[int, ...]]:
        """Return what the mask depends on: far fewer values than there are states."""
        ends: tuple[int, ...] = ()
        if state.sounding and not self._follow[Phase(state.phase)].isdisjoint(OFFS):
            low = self.key(state.program, 0)
            start = bisect_left(state.sounding, low)
            ends = state.sounding[start : bisect_left(state.sounding, low + 128, start)]
        last = self._last_pitches(state) if self._intervals else None
        return state.phase, state.program, last, ends

    def key(self, program: int, pitch: int) -> int:
        """Return the number of a note in `State.sounding`."""
        return ((program if self.options.programs else 0) + 1) << 7 | pitch

    def _build_mask(
        self, phase: int, program: int, last: tuple[int, int] | None, ends: tuple[int, ...]
    ) -> np.ndarray:
        allowed = np.zeros(len(self._types), dtype=bool)
        for kind in self._follow[Phase(phase)]:
            ids = self._ids[kind]
            if kind in OFFS and self._has_ends:
                if self._order.plays(program, kind):
                    allowed[ids] = np.isin(self.meaning.value[ids], np.array(ends, int) & 127)
            else:
                allowed[ids] = self._fitting(program, last, kind, self.meaning.value[ids])
        allowed.flags.writeable = False
        return allowed

    def _fitting(
        self, program: int, last: tuple[int, int] | None, kind: Type, values: np.ndarray
    ) -> np.ndarray | bool:
        """Return which values of a type fit a state whose phase takes that type."""
        if kind == Type.Program and not self.options.one_stream:
            return (values == program) | (program == UNKNOWN)
        if kind in PITCHES or kind in PLAYED or kind in OFFS:
            if self.options.programs and program == UNKNOWN:
                return False
            if kind not in PLAYED and not self._order.plays(program, kind):
                return False
        if kind not in INTERVALS:
            return True
        if last is None:
            return False
        pitch = values + last[kind == Type.PitchIntervalChord]
        low, high = self.options.pitch
        return (pitch >= low) & (pitch <= high)

    def _last_pitches(self, state: State) -> tuple[int, int] | None:
        """Return the pitches that intervals of the program count from."""
        for program, onset, chord in state.pitches:
            if program == state.program or not self.options.programs:
                return onset, chord
        return None

    def step(self, state: State, id: int) -> State:
        """Return the state behind `id`, which `mask` must allow."""
        kind = self._types[id]
        phase, program, pitches, sounding, fresh = state
        if kind == Type.Program:
            program = self._seen[id]
        elif kind in PITCHES:
            program = self._order.heard(program, kind)
            if self._intervals:
                pitches = self._moved(state, id)
            if self._has_ends and self._order.has_length(program) is not False:
                sounding = self._with(sounding, program, self._pitch(state, id))
                fresh = True
        elif kind in OFFS:
            place = bisect_left(sounding, self.key(program, self._value[id]))
            sounding = sounding[:place] + sounding[place + 1 :]
        elif kind in TIMES:
            fresh = False
        after = self._order.after(kind, Phase(phase), program)
        if self._forgets and after == Phase.End:
            program = UNKNOWN
        return State(after, program, pitches, sounding, fresh)

    def _with(self, sounding: tuple[int, ...], program: int, pitch: int) -> tuple[int, ...]:
        notes = list(sounding)
        insort(notes, self.key(program, pitch))
        return tuple(notes)

    @cached_property
    def _forgets(self) -> bool:
        """True where every note names its program anew."""
        return self.options.program_before_notes and self.options.one_stream

    def stand_in(self, program: int) -> int:
        """Return the program that stands for `program` in the states."""
        return self._stands.get(program, program)

    @cached_property
    def _stands(self) -> dict[int, int]:
        return {self._value[i]: self._seen[i] for i in self._ids[Type.Program].tolist()}

    @cached_property
    def _seen(self) -> list[int]:
        """What `program` becomes behind every Program id.

        Where it only has to be known until the note is whole, one program stands for all that
        behave as it does: this keeps the number of states small.
        """
        stands: dict[object, int] = {}
        seen = [UNKNOWN] * len(self._types)
        exact = self._intervals or self._has_ends or not self.options.one_stream
        for i in self._ids[Type.Program].tolist():
            program = self._value[i]
            behaviour = (self._order.length(program), self._order.plays(program, Type.PitchDrum))
            seen[i] = program if exact else stands.setdefault(behaviour, program)
        return seen

    def _pitch(self, state: State, id: int) -> int:
        """Return the pitch of a note that begins with `id`."""
        kind, value = self._types[id], self._value[id]
        if kind not in INTERVALS:
            return value
        onset, chord = self._last_pitches(state) or (0, 0)
        return value + (chord if kind == Type.PitchIntervalChord else onset)

    def _moved(self, state: State, id: int) -> Pitches:
        """Return `pitches` behind a pitch, as MidiTok's decoders keep them."""
        program = state.program if self.options.programs else 0
        onset, _ = self._last_pitches(state) or (0, 0)
        chord = self._pitch(state, id)
        if self._types[id] != Type.PitchIntervalChord:
            onset = chord
        others = [known for known in state.pitches if known[0] != program]
        return tuple(sorted([*others, (program, onset, chord)]))

    @cached_property
    def classes(self) -> np.ndarray:
        alike: dict[tuple[Type, int], int] = {}
        exact = {*PITCHES, *OFFS} if self._intervals or self._has_ends else set()
        keys = [
            (kind, i if kind in exact else self._seen[i] if kind == Type.Program else 0)
            for i, kind in enumerate(self._types)
        ]
        return np.array([alike.setdefault(key, len(alike)) for key in keys])

    @cached_property
    def _closings(self) -> "Closings":
        from midigen_miditok.event_closing import Closings

        return Closings(self)

    def closing(self, state: State) -> list[int]:
        """Return the shortest ids to an accepting state, by way of the most ordinary values.

        Notes of MIDILike that have just begun get a beat before all end.
        """
        return self._closings.closing(state)

    def distance(self, state: State) -> int:
        """Return the length of `closing`."""
        return self._closings.distance(state)

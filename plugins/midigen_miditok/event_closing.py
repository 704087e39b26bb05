"""The shortest way to an end of TSD, MIDILike and Structured."""

from functools import cached_property, lru_cache

import numpy as np
from midigen_remi.meaning import DEFAULT_BPM
from midigen_remi.values import DRUMS

from midigen_miditok.event_grammar import EventGrammar, State
from midigen_miditok.event_order import ACCEPTING, PITCHES, Phase, Type

_KEPT = 1 << 12
"""Ways remembered."""


class Closings:
    """The ways of one grammar: what completes an event, then the ends of all notes that sound."""

    def __init__(self, grammar: EventGrammar) -> None:
        self._grammar = grammar
        self._meaning = grammar.meaning
        self._options = grammar.options
        self._follow = grammar.meaning.order.follow
        self._way_of = lru_cache(_KEPT)(self._shortest)

    def closing(self, state: State) -> list[int]:
        """Return the ids to an accepting state."""
        way, state = self._way(state)
        if not self._grammar.owes(state):
            return list(way)
        beat = [self._beat] if state.fresh else []
        return [*way, *beat, *self._ends(state.program, state.sounding)]

    def distance(self, state: State) -> int:
        """Return how many ids that is."""
        way, state = self._way(state)
        if not self._grammar.owes(state):
            return len(way)
        named = 0
        if self._options.program_before_notes:
            named = len(state.sounding)
        elif self._options.program_in_notes:
            named = len({key >> 7 for key in state.sounding} - {state.program + 1})
        return len(way) + state.fresh + len(state.sounding) + named

    def _way(self, state: State) -> tuple[list[int], State]:
        """Return the ids that complete what has been begun, but for notes, and the state behind."""
        # An end is an event: where some note needs one, time has not moved on in vain.
        if state.phase == Phase.End or (state.phase == Phase.Time and self._grammar.owes(state)):
            return [], state
        way = self._way_of(*self._grammar.view(state))
        for id in way:
            state = self._grammar.step(state, id)
        return way, state

    def _shortest(
        self, phase: int, program: int, last: tuple[int, int] | None, ends: tuple[int, ...]
    ) -> list[int]:
        """Return the ids that complete what has been begun."""
        pitches = ((program if self._options.programs else 0, *last),) if last else ()
        paths: list[tuple[State, list[int]]] = [(State(phase, program, pitches, ends, False), [])]
        met = set()
        for here, ids in paths:
            if here.phase in ACCEPTING:
                return ids
            if here.phase in met:
                continue
            met.add(here.phase)
            mask = self._grammar.mask(here)
            # A note that begins would need an end; any other event is nearer to one.
            for kind in sorted(self._follow[Phase(here.phase)], key=lambda k: (k in PITCHES, k)):
                fitting = np.flatnonzero(mask & (self._meaning.types == kind))
                if len(fitting):
                    id = self._ordinary(kind, fitting)
                    paths.append((self._grammar.step(here, id), [*ids, id]))
        raise AssertionError(f"no way to an end from {Phase(phase).name}")

    def _ordinary(self, kind: Type, ids: np.ndarray) -> int:
        """Return what a closing takes: 4/4, a usual tempo, a middle value."""
        value = self._meaning.value[ids]
        if kind == Type.TimeSig:
            return int(ids[np.argmax(value == self._meaning.default_signature)])
        if kind == Type.Tempo:
            return int(ids[np.argmin(abs(60e6 / value - DEFAULT_BPM))])
        return int(ids[len(ids) // 2])

    def _ends(self, program: int, sounding: tuple[int, ...]) -> list[int]:
        """Return the ids that end all notes, those of `program`, which has been named, first."""
        options, named, ids = self._options, program, list[int]()
        for key in sorted(sounding, key=lambda key: key >> 7 != program + 1):
            owner = (key >> 7) - 1 if options.programs else program
            if options.program_before_notes or (options.program_in_notes and owner != named):
                ids.append(self._program_ids[owner])
                named = owner
            ids.append(self._off_ids[options.drums and owner == DRUMS][key & 127])
        return ids

    def _of(self, kind: Type) -> dict[int, int]:
        """Return the ids of a type by their values."""
        ids = np.flatnonzero(self._meaning.types == kind)
        return dict(zip(self._meaning.value[ids].tolist(), ids.tolist(), strict=True))

    @cached_property
    def _beat(self) -> int:
        """The TimeShift of one beat, which every grid has."""
        ids = np.flatnonzero(self._meaning.types == Type.TimeShift).tolist()
        return next(i for i in ids if self._meaning.vocab.values[i].startswith("1.0."))

    @cached_property
    def _program_ids(self) -> dict[int, int]:
        return self._of(Type.Program)

    @cached_property
    def _off_ids(self) -> tuple[dict[int, int], dict[int, int]]:
        """The ids that end each pitch, of melodic programs and of drums."""
        return self._of(Type.NoteOff), self._of(Type.DrumOff)

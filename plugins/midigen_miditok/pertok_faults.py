"""What is out of order in a PerTok sequence: the repairs of its decoder, counted by kind."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
from midigen_remi.order import UNKNOWN
from midigen_remi.timeline import last_index

from midigen_miditok.pertok_order import (
    ACCEPTING,
    MOVES,
    PITCHES,
    PLAYED,
    PerTokOrder,
    Phase,
    Type,
)

_VALUES = (Type.MicroTiming, Type.Velocity, Type.Duration)
_PROGRAMS = range(UNKNOWN, 128)


def kind_of(phase: Phase, kind: Type | None) -> str:
    """Name the repair for a token of type `kind` (None: the end) that `phase` does not take."""
    if phase in (Phase.Timed, Phase.Length) or (phase == Phase.Pitch and kind not in _VALUES):
        return "incomplete note"
    if phase in (Phase.Pitch, Phase.Event):
        return "missing microtiming"
    if phase in (Phase.Program, Phase.Named, Phase.NamedMoved):
        return "program without event"
    if kind == Type.Special:
        return "special token"
    if kind in _VALUES:
        return "stray value"
    if phase == Phase.Moved and kind not in PITCHES + PLAYED:
        return "shift without event"
    return "program change" if kind == Type.Program else "event without program"


class PerTokFaults:
    """The table of a configuration: what stands behind each type, and what may."""

    def __init__(self, order: PerTokOrder, value: np.ndarray) -> None:
        self.order = order
        self.value = value
        self._length = np.array([order.after(Type.Velocity, Phase.Timed, p) for p in _PROGRAMS])
        self._plays = np.array(
            [[k not in PITCHES or order.plays(p, k) for p in _PROGRAMS] for k in Type]
        )
        self._follows = np.array([[k in order.follow[p] for k in Type] for p in Phase])
        # The phase behind a type, where what stands before it does not matter.
        self._after = np.array([[order.after(k, Phase.Open, p) for p in _PROGRAMS] for k in Type])

    def length_phase(self, program: np.ndarray) -> np.ndarray:
        """Return what stands behind all of a note but its duration."""
        found: np.ndarray = self._length[program - UNKNOWN]
        return found

    def count(self, ids: np.ndarray, kinds: np.ndarray, known: np.ndarray) -> Counter[str]:
        """Count the repairs of N tokens; `known`: (N,) what is known of the program."""
        if not len(ids):
            return Counter()
        before = self._phases(kinds, known)
        wrong = ~self._follows[before[:-1], kinds]
        counts: Counter[str] = Counter(
            kind_of(Phase(before[i]), Type(kinds[i])) for i in np.flatnonzero(wrong).tolist()
        )
        if before[-1] not in ACCEPTING:
            counts[kind_of(Phase(before[-1]), None)] += 1
        for name, faults in self._in_context(ids, kinds, known):
            counts[name] += int(np.count_nonzero(faults))
        return +counts

    def _phases(self, kinds: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Return (N + 1,) the phase before every token, and behind the last."""
        phases = np.empty(len(kinds) + 1, dtype=np.int64)
        phases[0] = Phase.Start
        phases[1:] = self._after[kinds, known - UNKNOWN]
        if kinds[0] == Type.Program and self.order.has_head:
            phases[1] = Phase.Open
        # What hangs on the token before: microtimings, then what follows those.
        micro = np.flatnonzero(kinds == Type.MicroTiming)
        for i in micro.tolist():
            program = int(known[i])
            phases[i + 1] = self.order.after(Type.MicroTiming, Phase(phases[i]), program)
        moves = np.flatnonzero(np.isin(kinds, MOVES))
        phases[moves[phases[moves] == Phase.Named] + 1] = Phase.NamedMoved
        # A velocity that no pitch stands before leaves nothing open.
        velocities = np.flatnonzero(kinds == Type.Velocity)
        stray = ~np.isin(phases[velocities], (Phase.Timed, Phase.Pitch))
        phases[velocities[stray] + 1] = Phase.Open
        return phases

    def _in_context(
        self, ids: np.ndarray, kinds: np.ndarray, known: np.ndarray
    ) -> Iterator[tuple[str, np.ndarray]]:
        """Yield the kinds of repair that two neighbouring types do not show, and (N,) where."""
        value = self.value[ids]
        places = kinds == Type.Position
        reset = places | (kinds == Type.Bar)
        last = np.concatenate(([-1], last_index(reset)[:-1]))
        reached = np.where((last >= 0) & places[last], value[last], 0)
        yield "time backwards", places & (value < reached)
        yield "wrong kind of pitch", ~self._plays[kinds, known - UNKNOWN]
        programs = kinds == Type.Program
        if self.order.options.changes and self.order.options.one_stream:
            played = np.isin(kinds, (*PITCHES, *PLAYED))
            yield "event without program", played & (known == UNKNOWN)
        elif programs.any() and not self.order.options.one_stream:
            yield "program change", programs & (value != value[np.argmax(programs)])

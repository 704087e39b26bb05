"""What is out of order in a `remi` sequence: the repairs of the array decoder, counted by kind."""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from midigen_remi.meaning import Meaning
from midigen_remi.order import ACCEPTING, PITCHES, UNKNOWN, Order, Phase, Type
from midigen_remi.timeline import Timeline, last_index

if TYPE_CHECKING:
    from midigen_remi.config import RemiConfig

KINDS = (
    "special token",
    "incomplete note",
    "stray value",
    "program without note",
    "note without program",
    "wrong kind of pitch",
    "program change",
    "note without position",
    "position without event",
    "rest without event",
    "time backwards",
    "position outside the bar",
    "before the first bar",
    "missing time signature",
    "misplaced time signature",
    "misplaced tempo",
)
_NONE = -1


def kind_of(order: Order, phase: Phase, kind: Type | None) -> str:
    """Name the repair for a token of type `kind` (None: the end) that `phase` does not take."""
    if phase in (Phase.Pitch, Phase.Length):
        return "incomplete note"
    if kind == Type.Special:
        return "special token"
    if phase == Phase.Bar:
        return "missing time signature"
    if phase == Phase.Program:
        return "program without note"
    if kind in (Type.Velocity, Type.Duration):
        return "stray value"
    if phase in (Phase.Start, Phase.Head):
        return "before the first bar"
    if kind == Type.TimeSig:
        return "misplaced time signature"
    if phase == Phase.Position:
        # A pitch can only be refused here for want of its Program.
        return "note without program" if kind in PITCHES else "position without event"
    if phase == Phase.Rest and kind is None:
        return "rest without event"
    if phase in (Phase.Open, Phase.Rest):
        return "note without position"
    if kind == Type.Tempo:
        return "misplaced tempo"
    return "program change" if kind == Type.Program else "note without program"


class Faults:
    """The table of a configuration: (phase, type) -> place in KINDS, or -1 where all is well."""

    def __init__(self, config: "RemiConfig", meaning: Meaning) -> None:
        order = meaning.order
        self.config = config
        self.meaning = meaning
        self._pairs = np.full((len(Phase), len(Type)), _NONE)
        self._ends = np.full(len(Phase), _NONE)
        for phase in Phase:
            for kind in order.present - order.follow[phase]:
                self._pairs[phase, kind] = KINDS.index(kind_of(order, phase, kind))
            if phase not in ACCEPTING and phase != Phase.Lost:
                self._ends[phase] = KINDS.index(kind_of(order, phase, None))
        # Special tokens themselves: after one, anything may follow.
        self._pairs[Phase.Lost, Type.Special] = KINDS.index("special token")
        programs = range(UNKNOWN, 128)
        self._after = np.array([[order.after(k, Phase.End, p) for p in programs] for k in Type])
        self._plays = np.array([[order.plays(p, k) for p in programs] for k in Type])

    def count(
        self, ids: np.ndarray, kinds: np.ndarray, known: np.ndarray, times: Timeline
    ) -> Counter[str]:
        """Count the repairs of a sequence; `known`: (N,) what is known of the program."""
        if not len(ids):
            return Counter()
        phases = self._after[kinds, known - UNKNOWN]
        if kinds[0] == Type.Program and self.config.changes and not self.config.one_stream:
            phases[0] = Phase.Head
        # A velocity that no pitch stands before leaves nothing open.
        phases[1:][(kinds[1:] == Type.Velocity) & (phases[:-1] != Phase.Pitch)] = Phase.End
        before = np.concatenate(([Phase.Start], phases[:-1]))
        found = self._pairs[before, kinds]
        counts: Counter[str] = Counter()
        for place in (*found[found != _NONE].tolist(), int(self._ends[phases[-1]])):
            if place != _NONE:
                counts[KINDS[place]] += 1
        for name, faults in self._in_context(ids, kinds, before, known, times):
            counts[name] += int(np.count_nonzero(faults))
        return +counts

    def _in_context(
        self,
        ids: np.ndarray,
        kinds: np.ndarray,
        before: np.ndarray,
        known: np.ndarray,
        times: Timeline,
    ) -> Iterator[tuple[str, np.ndarray]]:
        """Yield the kinds of repair that two neighbouring types do not show, and (N,) where."""
        positions = kinds == Type.Position
        limit = self.meaning.positions[times.signature]
        yield "position outside the bar", positions & (self.meaning.value[ids] >= limit)

        timed = np.isin(kinds, (Type.Bar, Type.Position, Type.Rest))
        last = np.concatenate(([-1], last_index(timed)[:-1]))
        reached = np.where(last >= 0, times.offset[last], 0)
        yield "time backwards", positions & (times.offset < reached)
        late = (kinds == Type.TimeSig) & (before == Phase.Rest) & (reached > 0)
        yield "misplaced time signature", late

        pitches = (kinds == Type.Pitch) | (kinds == Type.PitchDrum)
        yield "wrong kind of pitch", pitches & ~self._plays[kinds, known - UNKNOWN]
        programs = kinds == Type.Program
        if self.config.changes and self.config.one_stream:
            yield "note without program", pitches & (known == UNKNOWN)
        elif programs.any() and not self.config.one_stream:
            value = self.meaning.value[ids]
            yield "program change", programs & (value != value[np.argmax(programs)])

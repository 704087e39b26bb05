"""What is out of order in a sequence: the repairs of the array decoder, counted by kind."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
from midigen_remi.order import UNKNOWN

from midigen_miditok.event_meaning import Meaning
from midigen_miditok.event_order import ACCEPTING, OFFS, PITCHES, Order, Phase, Type
from midigen_miditok.event_read import Reading

KINDS = (
    "special token",
    "incomplete note",
    "stray value",
    "program without note",
    "note without program",
    "program change",
    "time without event",
    "note without time",
    "missing time signature",
    "end without note",
)
_NONE = -1


def kind_of(order: Order, phase: Phase, kind: Type | None) -> str:
    """Name the repair for a token of type `kind` (None: the end) that `phase` does not take."""
    if phase in (Phase.Pitch, Phase.Length):
        return "incomplete note"
    if kind == Type.Special:
        return "special token"
    if phase == Phase.Program:
        return "program without note"
    if kind in (Type.Velocity, Type.Duration):
        return "stray value"
    if order.kind == "Structured":
        return "time without event" if phase == Phase.Time else "note without time"
    if kind is None:
        return "program without note" if phase == Phase.Head else "time without event"
    if phase in (Phase.Start, Phase.Head) and order.options.ts:
        return "missing time signature"
    if kind in OFFS and not order.options.durations:
        return "end without note"
    if kind == Type.Program and phase != Phase.Start:
        return "program change"
    return "note without program"


class Faults:
    """The table of a vocabulary: (phase, type) -> place in KINDS, or -1 where all is well."""

    def __init__(self, meaning: Meaning) -> None:
        order = meaning.order
        self.meaning = meaning
        self._options = order.options
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

    def count(self, found: Reading) -> Counter[str]:
        """Count the repairs of a sequence, but for beginnings and ends without a partner."""
        kinds, known = found.kinds, found.program - UNKNOWN
        if not len(kinds):
            return Counter()
        phases = self._after[kinds, known]
        if kinds[0] == Type.Program and self._options.changes and not self._options.one_stream:
            phases[0] = Phase.Head
        # A velocity that no pitch stands before leaves nothing open.
        phases[1:][(kinds[1:] == Type.Velocity) & (phases[:-1] != Phase.Pitch)] = Phase.End
        before = np.concatenate(([Phase.Start], phases[:-1]))
        places = np.append(self._pairs[before, kinds], self._ends[phases[-1]])
        counts = Counter(KINDS[place] for place in places[places != _NONE].tolist())
        for name, faults in self._in_context(found):
            counts[name] += int(np.count_nonzero(faults))
        return +counts

    def _in_context(self, found: Reading) -> Iterator[tuple[str, np.ndarray]]:
        """Yield the kinds of repair that two neighbouring types do not show, and (N,) where."""
        kinds = found.kinds
        pitched = np.isin(kinds, (*PITCHES, *OFFS))
        yield "wrong kind of pitch", pitched & ~self._plays[kinds, found.program - UNKNOWN]
        programs = kinds == Type.Program
        if self._options.changes and self._options.one_stream:
            yield "note without program", pitched & (found.program == UNKNOWN)
        elif programs.any() and not self._options.one_stream:
            value = self.meaning.value[found.ids]
            yield "program change", programs & (value != value[np.argmax(programs)])

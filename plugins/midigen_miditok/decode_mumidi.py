"""MuMIDI ids back to a score: array code, for any ids.

What sounds is what MidiTok's ``MuMIDI.decode`` makes of the same ids, except that drum notes
outside the range of the other pitches are kept, and that a tempo that stays is not written again.
Chords are names for notes that are there anyway. An event that is no note has PAD in its last
slots, which MidiTok leaves out. Repairs, and what happens:

    incomplete event             dropped: ids that are not one of each slot, in their order
    special token                dropped: an event that has one elsewhere
    incomplete note              dropped: a note without its velocity or duration
    stray value                  ignored: a velocity or duration of an event that is no note
    before the first bar         plays, counted from 0
    note without position        plays at the beginning of its bar
    note without program         plays on the last program, on 0 if there was none
    wrong kind of pitch          plays: a drum pitch on a melodic program or the other way round
    position without event       only moves time
    program without note         ignored
    chord without note           ignored
    time backwards               goes back: a position before the one before it in the same bar
    wrong bar number             the bars are counted, whatever the event says
    wrong position number        the position before the event holds
    misplaced tempo              holds from here: it is not that of the position
"""

from collections import Counter

import numpy as np
from midigen_remi.decode import DEFAULT_VELOCITY, Notes
from midigen_remi.order import UNKNOWN
from midigen_remi.timeline import last_index
from midigen_remi.values import DRUMS

from midigen_miditok.config import MidiTokConfig
from midigen_miditok.decode_compound import Changes, CompoundDecoder, Sequenced
from midigen_miditok.flatten import Flat

START, BAR, POSITION, PROGRAM, CHORD, NOTE = range(6)
"""What an event is, and what stands before the next one."""
KINDS = {
    "Bar": BAR,
    "Position": POSITION,
    "Program": PROGRAM,
    "Chord": CHORD,
    "Pitch": NOTE,
    "PitchDrum": NOTE,
}
FOLLOW: dict[int, frozenset[int]] = {
    START: frozenset({BAR}),
    BAR: frozenset({BAR, POSITION}),
    POSITION: frozenset({PROGRAM}),
    PROGRAM: frozenset({NOTE, CHORD}),
    CHORD: frozenset({NOTE}),
    NOTE: frozenset({NOTE, PROGRAM, POSITION, BAR}),
}
"""What each takes, in the order that MidiTok writes."""
ACCEPTING = frozenset({BAR, NOTE})
_WANTING = {
    POSITION: "position without event",
    PROGRAM: "program without note",
    CHORD: "chord without note",
}


def kind_of(before: int, kind: int | None) -> str:
    """Name the repair for an event `kind` (None: the end) that `before` does not take."""
    if before == START:
        return "before the first bar"
    if before == BAR:
        return "note without position"
    if before == POSITION and kind in (NOTE, CHORD):
        return "note without program"
    return _WANTING.get(before, "note without program")


class MuMidiDecoder(CompoundDecoder):
    """Decodes with arrays. kind: (V,) what an event with this id in its first slot is, 0: none."""

    def __init__(self, config: MidiTokConfig, flat: Flat) -> None:
        super().__init__(config, flat)
        self.kind = np.array([KINDS.get(kind, START) for kind in flat.types])
        numbers = [v if t.endswith("PosEnc") and v != "None" else "-1" for t, v in self._tokens()]
        self.number = np.array([int(number) for number in numbers])
        # The slots that notes alone have.
        self.own = [k for k, name in enumerate(self.names) if name in ("Velocity", "Duration")]

    def read(self, ids: np.ndarray, repairs: Counter[str]) -> Sequenced:
        """Read one sequence of T ids and count its repairs."""
        events = self._clean(self.flat.events(ids, repairs), repairs)
        column = {name: events[:, k] for k, name in enumerate(self.names)}
        kind, value = self.kind[events[:, 0]], self.meaning.value[events[:, 0]]
        bar = np.cumsum(kind == BAR) - 1
        timed = last_index((kind == BAR) | (kind == POSITION))
        position = np.where((timed >= 0) & (kind[timed] == POSITION), value[timed], 0)
        tick = np.maximum(bar, 0) * int(self.meaning.bar[0]) + position * int(self.meaning.step[0])
        named = last_index(kind == PROGRAM)
        program = np.where(named >= 0, value[named], UNKNOWN)

        self._count(kind, program, events[:, 0], repairs)
        back = (kind[1:] == POSITION) & (bar[1:] == bar[:-1]) & (position[1:] < position[:-1])
        repairs["time backwards"] += int(back.sum())
        repairs["wrong bar number"] += int((self.number[events[:, 1]] != bar).sum())
        said = np.where(kind == BAR, -1, position)
        repairs["wrong position number"] += int((self.number[events[:, 2]] != said).sum())
        return Sequenced(
            self._notes(kind == NOTE, column, tick, np.where(program == UNKNOWN, 0, program)),
            self._tempos(kind, tick, column.get("Tempo"), repairs),
            [(0, self.meaning.default_signature)],
        )

    def _clean(self, events: np.ndarray, repairs: Counter[str]) -> np.ndarray:
        """Return the events that say something, and count the others."""
        shared = [k for k in range(self.flat.width) if k not in self.own]
        special = self.flat.special[events]
        odd = special[:, shared].any(axis=1) | (special & ~self.flat.padding[events]).any(axis=1)
        repairs["special token"] += int(odd.sum())
        is_note = self.kind[events[:, 0]] == NOTE
        empty = self.flat.padding[events[:, self.own]]
        lacking = ~odd & is_note & empty.any(axis=1)
        repairs["incomplete note"] += int(lacking.sum())
        repairs["stray value"] += int((~odd & ~is_note & ~empty.all(axis=1)).sum())
        kept: np.ndarray = events[~odd & ~lacking]
        return kept

    def _count(
        self, kind: np.ndarray, program: np.ndarray, first: np.ndarray, repairs: Counter[str]
    ) -> None:
        """Count events that do not stand where they may, and pitches of the wrong kind."""
        before = [START, *kind.tolist()]
        for last, here in zip(before, kind.tolist(), strict=False):
            if here not in FOLLOW[last]:
                repairs[kind_of(last, here)] += 1
        if len(kind) and before[-1] not in ACCEPTING:
            repairs[kind_of(before[-1], None)] += 1
        wrong = (kind == NOTE) & (program != UNKNOWN)
        wrong &= self.is_drum[first] != (program == DRUMS)
        repairs["wrong kind of pitch"] += int(wrong.sum())

    def _notes(
        self,
        here: np.ndarray,
        column: dict[str, np.ndarray],
        tick: np.ndarray,
        program: np.ndarray,
    ) -> Notes:
        meaning = self.meaning
        length = np.full(len(here), int(meaning.default_length[0]))
        if "Duration" in column:
            length = meaning.length[0, column["Duration"]]
        velocity = np.full(len(here), DEFAULT_VELOCITY)
        if "Velocity" in column:
            velocity = meaning.value[column["Velocity"]]
        first = next(iter(column.values()))
        columns = (program, tick, length, meaning.value[first], velocity)
        return Notes(*(values[here] for values in columns))

    def _tempos(
        self, kind: np.ndarray, tick: np.ndarray, ids: np.ndarray | None, repairs: Counter[str]
    ) -> Changes:
        """Return the tempos: the first event's from 0 on, then each that is not the one before."""
        if ids is None or not len(ids):
            return []
        new = np.flatnonzero(ids[1:] != ids[:-1]) + 1
        repairs["misplaced tempo"] += int((~np.isin(kind[new], (BAR, POSITION))).sum())
        mspq = self.meaning.value[ids[np.concatenate(([0], new))]].tolist()
        return list(zip([0, *tick[new].tolist()], mspq, strict=True))

"""TSD, MIDILike and Structured ids back to a score: array code, for any ids.

What sounds is what MidiTok's `decode` makes of what MidiTok has encoded, except where that loses
notes: drum notes outside the range of the other pitches.

What is not in the order that the encoder writes is a repair. Repairs are counted by kind, and this
is what happens with each:

    special token            ignored
    incomplete note          dropped: a pitch without its velocity or duration
    stray value              ignored: a velocity or duration that belongs to no pitch
    program without note     ignored, but remembered where programs change
    note without program     plays on the last program, on 0 if there was none
    wrong kind of pitch      plays: a drum pitch on a melodic program or the other way round
    program change           ignored: a track has one program, that of its first note
    time without event       only moves time: at the end; in Structured also before another shift
    note without time        plays at once (Structured, where every note has its shift)
    missing time signature   4/4 until there is one
    end without note         ignored (MIDILike)
    note without end         dropped (MIDILike)
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import symusic
from midigen_remi.decode import DEFAULT_VELOCITY, Notes, by_program, played, track
from midigen_remi.values import PROGRAMS

from midigen.protocols import Decoded
from midigen_miditok.event_faults import Faults
from midigen_miditok.event_meaning import Meaning
from midigen_miditok.event_order import FAST, OFFS, Order, Type
from midigen_miditok.event_pairs import pair
from midigen_miditok.event_read import Reader, Reading

Parts = Sequence["np.ndarray | Sequence[int]"]


def is_covered(order: Order) -> bool:
    """Return whether the array decoder reads a vocabulary; else MidiTok itself must."""
    return order.present <= FAST and order.options.durations in (PROGRAMS, ())


class Sequenced(NamedTuple):
    """One sequence, read: its notes and what it says about the whole piece.

    tempos: times and microseconds a quarter. signatures: times and places in the signatures.
    """

    notes: Notes
    tempos: tuple[np.ndarray, np.ndarray]
    signatures: tuple[np.ndarray, np.ndarray]


class Decoder:
    """Decodes with arrays."""

    def __init__(self, meaning: Meaning, reader: Reader) -> None:
        self.meaning = meaning
        self.options = meaning.order.options
        self._reader = reader
        self._faults = Faults(meaning)
        self._pairs = meaning.order.kind == "MIDILike" and bool(self.options.durations)

    def decode(self, parts: Parts, programs: Sequence[int] | None = None) -> Decoded:
        """Return the `symusic.Score` of one sequence, or of one a track, and the repairs.

        parts: ids in 0..V-1. programs: of each part, -1 drums, where the vocabulary has no Program
        tokens; a part without one is drums if its pitches are, else program 0.
        """
        repairs: Counter[str] = Counter()
        read = [self._read(np.asarray(part, dtype=np.int64), repairs) for part in parts]
        score: Any = symusic.Score(self.meaning.quarter)
        score.tempos = self._tempos(read)
        score.time_signatures = self._signatures(read)
        score.tracks = [track(program, notes) for program, notes in self._tracks(read, programs)]
        return Decoded(score, dict(+repairs))

    def _read(self, ids: np.ndarray, repairs: Counter[str]) -> Sequenced:
        """Read one sequence of N ids and count its repairs."""
        found = self._reader.read(ids)
        repairs.update(self._faults.count(found))
        tempos = np.flatnonzero(found.kinds == Type.Tempo)
        marks = np.flatnonzero(found.kinds == Type.TimeSig)
        value = self.meaning.value
        return Sequenced(
            self._paired(found, repairs) if self._pairs else self._notes(found, found.length),
            (found.tick[tempos], value[ids[tempos]]),
            (found.tick[marks], value[ids[marks]]),
        )

    def _notes(self, found: Reading, length: np.ndarray) -> Notes:
        ids, places, value = found.ids, found.notes, self.meaning.value
        velocity = np.full(len(places), DEFAULT_VELOCITY)
        if self._reader.has_velocity:
            velocity = value[ids[places + 1]]
        return Notes(
            found.program[places], found.tick[places], length, value[ids[places]], velocity
        )

    def _paired(self, found: Reading, repairs: Counter[str]) -> Notes:
        """Return the notes that have an end, in the order of their ends, as in MidiTok."""
        offs = np.flatnonzero(np.isin(found.kinds, OFFS))
        pitch = self.meaning.value[found.ids]
        key = played(found.program) * 128 + pitch
        pairs = pair(found.notes, key[found.notes], offs, key[offs])
        repairs["end without note"] += pairs.stray
        repairs["note without end"] += pairs.open
        notes = found.notes[pairs.on]
        length = found.tick[offs[pairs.off]] - found.tick[notes]
        return self._notes(found._replace(notes=notes), length)

    def _tempos(self, read: list[Sequenced]) -> list[Any]:
        """Return the tempos of the first sequence, and before them the default one."""
        times, lengths = read[0].tempos if read else (np.empty(0), np.empty(0))
        tempos: list[Any] = [
            symusic.Tempo(time, mspq=mspq)
            for time, mspq in zip(times.tolist(), lengths.tolist(), strict=True)
        ]
        if not tempos or tempos[0].time:
            tempos.insert(0, symusic.Tempo(0, self.meaning.default_tempo))
        return tempos

    def _signatures(self, read: list[Sequenced]) -> list[Any]:
        """Return the time signatures of the first sequence, and before them 4/4."""
        times, places = read[0].signatures if read else (np.empty(0), np.empty(0))
        found = list(zip(times.tolist(), places.tolist(), strict=True))
        if not found or found[0][0]:
            found.insert(0, (0, self.meaning.default_signature))
        return [
            symusic.TimeSignature(time, *self.meaning.signatures[place]) for time, place in found
        ]

    def _tracks(
        self, read: list[Sequenced], programs: Sequence[int] | None
    ) -> Iterable[tuple[int, Notes]]:
        """Yield a program and its notes for each track that has any."""
        if self.options.one_stream:
            for part in read:
                yield from by_program(part.notes)
            return
        given = None if self.options.programs else programs
        for k, part in enumerate(read):
            if len(part.notes.time):
                said = int(played(part.notes.program)[0])
                yield said if given is None else given[k], part.notes

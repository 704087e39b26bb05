"""`remi` ids back to a score: array code, for any ids.

What sounds is what MidiTok's ``REMI.decode`` makes of the same ids, except where that loses notes
that MidiTok itself has encoded: drum notes outside the range of the other pitches, and, where some
programs have no durations and the tokens do not name programs, notes without one.

What is not in the order that the encoder writes is a repair. Repairs are counted by kind, and this
is what happens with each:

    special token              ignored
    incomplete note            dropped: a pitch without its velocity or duration
    stray value                ignored: a velocity or duration that belongs to no pitch
    program without note       ignored, but remembered where programs change
    note without program       plays on the last program, on 0 if there was none
    wrong kind of pitch        plays: a drum pitch on a melodic program or the other way round
    program change             ignored: a track has one program, that of its first note
    note without position      plays at the beginning of its bar, or where the last rest ends
    position without event     only moves time, as does a `rest without event` at the end
    time backwards             goes back: a position before the one before it in the same bar
    position outside the bar   counts on into the bars behind; the next bar begins where it would
    before the first bar       plays, counted from 0
    missing time signature     the signature stays as it was
    misplaced time signature   holds from here; the bar that it stands in gets its length
    misplaced tempo            holds from here: it stands behind a note

An equal position is none: MidiTok writes the same one twice where a file's own grid is finer than
the vocabulary's.

Types that the arrays do not read (chords, pedals, pitch bends, controls, keys, intervals) go
through MidiTok, once the grammar has been satisfied: a bar, a signature or a position that is
missing is put in, an event that is not whole is dropped as an `incomplete event`, and any other id
that does not fit as `misplaced` with its type.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import symusic

from midigen.protocols import Decoded
from midigen.vocab import Vocab
from midigen_remi.faults import Faults
from midigen_remi.meaning import Meaning
from midigen_remi.order import FAST, MELODIC, UNKNOWN, Phase, Type
from midigen_remi.timeline import Timeline, last_index, signatures, timeline
from midigen_remi.values import DRUMS

if TYPE_CHECKING:
    from midigen_remi.config import RemiConfig
    from midigen_remi.decode_miditok import MidiTokDecoder

Parts = Sequence["np.ndarray | Sequence[int]"]
DEFAULT_VELOCITY = 100


def decode(
    config: "RemiConfig", vocab: Vocab, parts: Parts, programs: Sequence[int] | None = None
) -> Decoded:
    """Return the `symusic.Score` of one sequence, or of one a track, and the repairs.

    parts: ids in 0..V-1. programs: of each part, -1 drums, where the vocabulary has no Program
    tokens; a part without one is drums if its pitches are, else program 0.
    """
    return _decoder(config, vocab).decode([np.asarray(p, dtype=np.int64) for p in parts], programs)


@lru_cache(maxsize=8)
def _decoder(config: "RemiConfig", vocab: Vocab) -> "Decoder | MidiTokDecoder":
    meaning = Meaning(config, vocab)
    if meaning.order.present <= FAST:
        return Decoder(config, meaning)
    from midigen_remi.decode_miditok import MidiTokDecoder

    return MidiTokDecoder(config, vocab)


class Notes(NamedTuple):
    """The notes of a sequence, in its order: M of each."""

    program: np.ndarray
    time: np.ndarray
    duration: np.ndarray
    pitch: np.ndarray
    velocity: np.ndarray


class Sequenced(NamedTuple):
    """One sequence, read: its notes and what it says about the whole piece.

    tempos: times and microseconds a quarter. signatures: times and places in the signatures.
    """

    notes: Notes
    tempos: tuple[np.ndarray, np.ndarray]
    signatures: tuple[np.ndarray, np.ndarray]


class Decoder:
    """Decodes with arrays."""

    def __init__(self, config: "RemiConfig", meaning: Meaning) -> None:
        self.config = config
        self.meaning = meaning
        self.faults = Faults(config, meaning)
        self._has_velocity = Type.Velocity in meaning.order.present
        # What stands behind a pitch (or its velocity): (programs from UNKNOWN on,) of `Phase`.
        self._length_phase = np.array([meaning.order.length(p) for p in range(UNKNOWN, 128)])

    def decode(self, parts: list[np.ndarray], programs: Sequence[int] | None) -> Decoded:
        repairs: Counter[str] = Counter()
        read = [self._read(ids, repairs) for ids in parts]
        score: Any = symusic.Score(self.meaning.quarter)
        score.tempos = self._tempos(read)
        score.time_signatures = self._signatures(read)
        score.tracks = [track(program, notes) for program, notes in self._tracks(read, programs)]
        return Decoded(score, dict(repairs))

    def _read(self, ids: np.ndarray, repairs: Counter[str]) -> Sequenced:
        """Read one sequence of N ids and count its repairs."""
        meaning = self.meaning
        kinds = meaning.types[ids]
        signature = signatures(meaning, ids, kinds)
        known = self._programs(ids, kinds)
        places, lengths = self._whole_notes(ids, kinds, signature, known)
        sounds = np.full(len(ids), -1, dtype=np.int64)
        sounds[places] = lengths
        times = timeline(meaning, ids, kinds, signature, sounds)
        repairs.update(self.faults.count(ids, kinds, known, times))

        velocity = np.full(len(places), DEFAULT_VELOCITY)
        if self._has_velocity:
            velocity = meaning.value[ids[places + 1]]
        notes = Notes(
            known[places], times.tick[places], lengths, meaning.value[ids[places]], velocity
        )
        tempos = np.flatnonzero(kinds == Type.Tempo)
        return Sequenced(
            notes,
            (times.tick[tempos], meaning.value[ids[tempos]]),
            self._changes(ids, kinds, times),
        )

    def _programs(self, ids: np.ndarray, kinds: np.ndarray) -> np.ndarray:
        """Return (N,) what is known of the program at every token: a program, MELODIC, UNKNOWN."""
        if Type.Program in self.meaning.order.present:
            last = last_index(kinds == Type.Program)
            return np.where(last >= 0, self.meaning.value[ids[last]], UNKNOWN)
        known = np.full(len(ids), UNKNOWN)
        drums = kinds == Type.PitchDrum
        pitches = np.flatnonzero(drums | (kinds == Type.Pitch))
        if len(pitches) and self.config.drums:
            known[pitches[0] :] = DRUMS if drums[pitches[0]] else MELODIC
        return known

    def _whole_notes(
        self, ids: np.ndarray, kinds: np.ndarray, signature: np.ndarray, known: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return (M,) the places of pitches that have all that a note needs, and their lengths."""
        # Two silent tokens behind the end, so that what should follow a pitch can be looked at.
        beyond = np.append(kinds, [Type.Special, Type.Special])
        places = np.flatnonzero((kinds == Type.Pitch) | (kinds == Type.PitchDrum))
        behind = places + 1
        if self._has_velocity:
            whole = beyond[behind] == Type.Velocity
            places, behind = places[whole], behind[whole] + 1
        phase = self._length_phase[known[places] - UNKNOWN]
        given = (beyond[behind] == Type.Duration) & (phase != Phase.End)
        whole = given | (phase != Phase.Length)
        places, behind, given = places[whole], behind[whole], given[whole]
        lengths = self.meaning.default_length[signature[places]]
        lengths[given] = self.meaning.length[signature[places[given]], ids[behind[given]]]
        return places, lengths

    def _changes(
        self, ids: np.ndarray, kinds: np.ndarray, times: Timeline
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return times and signatures: the first at 0, then each that is not the one before."""
        if not len(ids):
            return np.array([0]), np.array([self.meaning.default_signature])
        marks = np.flatnonzero(kinds == Type.TimeSig)
        found = np.concatenate(([times.signature[0]], self.meaning.value[ids[marks]]))
        new = np.flatnonzero(np.diff(found)) + 1
        return (
            np.concatenate(([0], times.tick[marks[new - 1]])),
            found[np.concatenate(([0], new))],
        )

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
        """Return the time signatures of the first sequence."""
        times, places = read[0].signatures if read else ([0], [self.meaning.default_signature])
        return [
            symusic.TimeSignature(int(time), *self.meaning.signatures[place])
            for time, place in zip(times, places, strict=True)
        ]

    def _tracks(
        self, read: list[Sequenced], programs: Sequence[int] | None
    ) -> Iterable[tuple[int, Notes]]:
        """Yield a program and its notes for each track that has any."""
        if self.config.one_stream:
            for part in read:
                yield from by_program(part.notes)
            return
        for k, part in enumerate(read):
            if len(part.notes.time):
                said = int(played(part.notes.program)[0])
                given = None if self.config.programs else programs
                yield said if given is None else given[k], part.notes


def played(program: np.ndarray) -> np.ndarray:
    """Return the programs that notes play on: 0 where the tokens do not say which."""
    return np.where(program <= MELODIC, 0, program)


def by_program(notes: Notes) -> Iterable[tuple[int, Notes]]:
    """Yield each program of a stream and its notes, in the order in which they first sound."""
    programs = played(notes.program)
    found, first = np.unique(programs, return_index=True)
    for program in found[np.argsort(first)].tolist():
        yield program, Notes(*(column[programs == program] for column in notes))


def track(program: int, notes: Notes) -> Any:
    """Return a `symusic.Track` of the notes; program -1 is the drums."""
    made: Any = symusic.Track(program=max(program, 0), is_drum=program == DRUMS)
    columns = {name: np.ascontiguousarray(c, np.int32) for name, c in notes._asdict().items()}
    del columns["program"]
    for name in ("pitch", "velocity"):
        columns[name] = columns[name].astype(np.int8)
    made.notes = symusic.Note.from_numpy(**columns, ttype="tick")
    return made

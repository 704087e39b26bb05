"""`barnote` ids back to a score: array code, for any ids. The package says what is a repair."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import symusic

from midigen.protocols import Decoded
from midigen_barnote.layout import (
    FIRST_DURATION,
    FIRST_OFFSET,
    FIRST_PITCH,
    LONGEST,
    LOWEST,
    UNITS_PER_QUARTER,
)
from midigen_barnote.meter import WHOLE, signatures

BPM = 120
VELOCITY = 100
"""Of every note, as in MidiTok where tokens do not say it."""
_FIRSTS = (FIRST_OFFSET, FIRST_PITCH, FIRST_DURATION)
_BAR, _OFFSET, _PITCH, _DURATION, _NOTHING = range(5)


class Sequenced(NamedTuple):
    """A sequence, read. In units: `time` and `duration` of M notes, `lines` of bars behind 0."""

    time: np.ndarray
    duration: np.ndarray
    pitch: np.ndarray
    lines: np.ndarray


def decode(parts: "Sequence[np.ndarray | Sequence[int]]") -> Decoded:
    """Return the score of ids in 0..152, with a track for each part that has notes, and repairs.

    The bars are those of the first part.
    """
    repairs: dict[str, int] = {}
    read = [read_ids(np.asarray(ids, dtype=np.int64), repairs) for ids in parts]
    score: Any = symusic.Score(UNITS_PER_QUARTER)
    score.tracks = [_track(part) for part in read if len(part.time)]
    score.tempos = [symusic.Tempo(0, BPM)]
    lines = read[0].lines.tolist() if read else []
    score.time_signatures = [symusic.TimeSignature(*s) for s in signatures(lines, score.end())]
    return Decoded(score, {kind: count for kind, count in repairs.items() if count})


def read_ids(ids: np.ndarray, repairs: dict[str, int]) -> Sequenced:
    """Read one sequence of N ids and add its repairs, also those of which there are none."""
    kind = np.searchsorted(_FIRSTS, ids, side="right")
    before = np.append(_NOTHING, kind)[: len(ids)]
    behind = np.append(kind, _NOTHING)[1:]
    bars, offsets = kind == _BAR, kind == _OFFSET
    notes = (kind == _PITCH) & (behind == _DURATION)

    place = np.arange(len(ids))
    last_bar = np.maximum.accumulate(np.where(bars, place, -1))
    last_offset = np.maximum.accumulate(np.where(offsets, place, -1))
    # The last offset in the bar of every id; a bar's own is the one that leads to it.
    units = np.where(last_offset > last_bar, ids[last_offset] - FIRST_OFFSET, 0)
    units_before = np.append(0, units)[: len(ids)]
    lengths = np.zeros(len(ids), np.int64)
    lengths[bars] = _bar_lengths(units_before[bars], before[bars] == _OFFSET)
    start = np.cumsum(lengths)

    faults = {
        "incomplete note": (kind == _PITCH) & ~notes,
        "stray duration": (kind == _DURATION) & (before != _PITCH),
        "note without offset": notes & (before != _OFFSET),
        "bar without offset": bars & (before != _OFFSET),
        "empty bar": bars & (lengths == 0),
        "offset without event": offsets & (behind != _BAR) & (behind != _PITCH),
        "time backwards": offsets & (units < units_before),
    }
    for fault, found in faults.items():
        repairs[fault] = repairs.get(fault, 0) + int(np.count_nonzero(found))
    return Sequenced(
        (start + units)[notes],
        ids[1:][notes[:-1]] - FIRST_DURATION + 1,
        ids[notes] - FIRST_PITCH + LOWEST,
        start[lengths > 0],
    )


def _bar_lengths(units: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return how long the bars are that B Bar tokens end.

    units: the offset before each, which says it where `known`; elsewhere the last known length that
    is not 0 holds.
    """
    given = np.maximum.accumulate(np.where(known & (units > 0), np.arange(len(units)), -1))
    before = np.where(given < 0, WHOLE, units[given])
    return np.where(known, units, before)


def join(read: Sequenced) -> Sequenced:
    """Join notes of 32 units with one of the same pitch that begins where they end.

    The encoder splits longer notes like this. A note that is struck again after 32 units looks the
    same: 3,093 files had 818 of these, and 1,488 longer notes.
    """
    duration = read.duration.copy()
    key = (read.time << 7) + read.pitch
    ends = key + (LONGEST << 7)
    long = np.flatnonzero(np.isin(ends, key) & (duration == LONGEST))
    if not len(long):
        return read
    begin: dict[int, list[int]] = {}
    for note in np.flatnonzero(np.isin(key, ends[long])).tolist():
        begin.setdefault(int(key[note]), []).append(note)
    kept = np.ones(len(key), dtype=bool)
    # From the last to the first, so that what is joined is already as long as it gets.
    for note in long[np.argsort(-key[long], kind="stable")].tolist():
        found = begin[int(ends[note])]
        if found:
            last = found.pop()
            duration[note] += duration[last]
            kept[last] = False
    return Sequenced(read.time[kept], duration[kept], read.pitch[kept], read.lines)


def _track(read: Sequenced) -> Any:
    """Return a `symusic.Track` of the notes, on a piano."""
    read = join(read)
    track: Any = symusic.Track(program=0)
    track.notes = symusic.Note.from_numpy(
        time=read.time.astype(np.int32),
        duration=read.duration.astype(np.int32),
        pitch=read.pitch.astype(np.int8),
        velocity=np.full(len(read.time), VELOCITY, np.int8),
        ttype="tick",
    )
    return track

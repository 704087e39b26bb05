"""From bars and notes on the grid to ids."""

from collections.abc import Iterator, Sequence

import numpy as np

from midigen_barnote.layout import (
    FIRST_DURATION,
    FIRST_OFFSET,
    FIRST_PITCH,
    LOWEST,
    REACH,
)
from midigen_barnote.read import Notes, Piece, read_lines

# Events sort by one number: piece, time, pitch above 20 (0: a marker), duration. A piece may last
# for 800,000 units.
_DURATION_BITS, _PITCH_BITS, _TIME_BITS = 6, 7, 20
_TIME_SHIFT = _DURATION_BITS + _PITCH_BITS
_OWNER_SHIFT = _TIME_SHIFT + _TIME_BITS


def write_ids(pieces: Sequence[Piece], notes: Notes) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the number and the ids, uint8, of every piece that has notes."""
    if not len(notes.owner):
        return
    begins = np.flatnonzero(np.diff(notes.owner, prepend=-1))
    owners = notes.owner[begins]
    onsets = np.zeros(len(pieces), np.int64)
    onsets[owners] = np.maximum.reduceat(notes.time, begins)
    markers = place_markers(*read_lines(pieces), onsets)
    ids, starts = _rows(_sorted(notes, markers, len(pieces)))
    for owner in owners.tolist():
        yield owner, ids[starts[owner] : starts[owner + 1]]


def place_markers(
    owner: np.ndarray, line: np.ndarray, onsets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return owner and time of every marker, in order: bar lines, and what fills wide gaps.

    owner, line: (L,) the bar lines. onsets: (P,) the last onset of each piece: the way from the
    last line to it is filled too, so that no offset is above 31.
    """
    ends = np.cumsum(np.bincount(owner, minlength=len(onsets)))
    line = np.insert(line, ends, onsets)
    owner = np.insert(owner, ends, np.arange(len(onsets)))
    lasts = ends + np.arange(len(onsets))
    before = np.append(0, line[:-1])
    before[np.append(0, lasts[:-1] + 1)] = 0
    gap = line - before
    is_new = gap > 0
    is_new[lasts] = False
    fill = np.maximum(gap - 1, 0) // REACH
    count = fill + is_new
    row = np.repeat(np.arange(len(line)), count)
    k = np.arange(1, len(row) + 1) - np.repeat(np.cumsum(count) - count, count)
    return owner[row], np.where(k <= fill[row], before[row] + REACH * k, line[row])


def _sorted(notes: Notes, markers: tuple[np.ndarray, np.ndarray], pieces: int) -> np.ndarray:
    """Return the sort keys of all events, in order; each piece begins with a marker at 0."""
    owner, time = markers
    key = (notes.owner << _OWNER_SHIFT) + (notes.time << _TIME_SHIFT)
    key += ((notes.pitch - LOWEST + 1) << _DURATION_BITS) + notes.duration
    heads = np.arange(pieces) << _OWNER_SHIFT
    key = np.concatenate((heads, (owner << _OWNER_SHIFT) + (time << _TIME_SHIFT), key))
    key.sort()
    return key


def _rows(key: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Return the ids of all events end to end, and where those of each piece start, and the end."""
    time = _field(key, _TIME_SHIFT, _TIME_BITS)
    pitch = _field(key, _DURATION_BITS, _PITCH_BITS)
    is_head = _field(key, 0, _OWNER_SHIFT) == 0
    is_note = pitch > 0
    last = np.maximum.accumulate(np.where(is_note, 0, np.arange(len(key))))
    offset = time - time[np.append(0, last[:-1])]

    rows = np.empty((len(key), 3), np.uint8)
    rows[:, 0] = offset + FIRST_OFFSET
    rows[:, 1] = (pitch + (FIRST_PITCH - 1)) * is_note
    rows[:, 2] = _field(key, 0, _DURATION_BITS) + (FIRST_DURATION - 1)
    written = np.empty((len(key), 3), dtype=bool)
    written[:, :2] = ~is_head[:, None]
    written[:, 2] = is_note
    ends = np.cumsum(written.sum(axis=1))
    return rows[written], [*ends[is_head].tolist(), int(ends[-1])]


def _field(key: np.ndarray, shift: int, bits: int) -> np.ndarray:
    return (key >> shift) & ((1 << bits) - 1)

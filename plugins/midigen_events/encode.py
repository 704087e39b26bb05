"""MIDI files to ids, with array code over many files at a time: NumPy's price is by the call."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from midigen.errors import Reject
from midigen.protocols import Encoded
from midigen.smf import Events, read_many
from midigen_events import vocabulary as v
from midigen_events.changes import Changes, joined, made, read_changes
from midigen_events.channels import DRUMS, default_patches, number, renumbered
from midigen_events.keys import is_settled, with_keys
from midigen_events.notes import Notes, cut, read_notes
from midigen_events.order import gathered
from midigen_events.write import write

_BATCH = 1 << 18
"""Bytes of files that are read in one go: so their arrays stay in the processor's cache."""
_TRACKS = v.BLOCKS["track"].size
_PITCH_CLASS = np.arange(128) % 12


def encode_many(files: Sequence[bytes], optimise: bool) -> list[Encoded | Reject]:
    """Return the ids of Standard MIDI Files, in order; a Reject in the place of one without."""
    results: list[Encoded | Reject] = []
    for batch in _batches(files):
        results += _encode(batch, optimise)
    return results


def _batches(files: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    start, size = 0, 0
    for i, data in enumerate(files):
        size += len(data)
        if size >= _BATCH or i + 1 == len(files):
            yield files[start : i + 1]
            start, size = i + 1, 0


def _encode(files: Sequence[bytes], optimise: bool) -> list[Encoded | Reject]:
    """Encode F files in one go."""
    events = read_many(files)
    read = events.track < _TRACKS
    lost = [("tracks", events.file[~read])]
    if not read.all():
        events = events.where(read)
    tpq = events.tpq[events.file]
    notes = read_notes(events, tpq)
    changes, unfit = read_changes(events, tpq)
    lost.append(("time_signature", events.file[unfit]))
    file, count = events.file, len(files)
    settled, classes = is_settled(changes, file, count), _pitch_classes(notes, file, count)
    notes = cut(notes)
    numbered = _renumbered if optimise else _numbered
    notes, changes, seats, drums = numbered(notes, changes, events, count)
    changes = with_keys(changes, settled, classes, file, seats, drums)
    changes = gathered(changes, file, _first(notes, file, count))
    rows, stops, left_out = write(notes, changes, file, count)
    return _results(events.rejects, rows, stops, [*lost, *left_out])


def _numbered(
    notes: Notes, changes: Changes, events: Events, count: int
) -> tuple[Notes, Changes, Changes, np.ndarray]:
    """Return notes and changes as they are, and `with_keys`' seats and drums."""
    chunk = np.flatnonzero(events.track < _TRACKS)
    sounds = np.zeros((len(events.track), 2), dtype=bool)
    sounds[notes.chunk, (notes.channel == DRUMS).astype(np.int64)] = True
    drums = sounds[chunk, 1] & ~sounds[chunk, 0]
    return notes, changes, made(v.KEY_SIGNATURE, chunk, track=events.track[chunk]), drums


def _renumbered(
    notes: Notes, changes: Changes, events: Events, count: int
) -> tuple[Notes, Changes, Changes, np.ndarray]:
    """Return the same with channels and tracks renumbered, and a patch for every channel."""
    file = events.file
    numbers = number(notes, changes, file, count)
    patches = default_patches(changes, numbers, file)
    changes = joined(renumbered(changes, numbers, file), patches)
    track = numbers.track[notes.chunk, notes.channel]
    channel = numbers.channel[file[notes.chunk], notes.channel]
    chunk, old = np.nonzero(numbers.track >= 0)
    seats = made(v.KEY_SIGNATURE, chunk, track=numbers.track[chunk, old])
    return replace(notes, track=track, channel=channel), changes, seats, old == DRUMS


def _pitch_classes(notes: Notes, file: np.ndarray, count: int) -> np.ndarray:
    """Return (F, 12) how often each pitch class sounds, on all channels but the drums'."""
    number = file[notes.chunk] * 12 + _PITCH_CLASS[notes.pitch]
    number = number[notes.channel != DRUMS]
    return np.bincount(number, minlength=12 * count).reshape(-1, 12)


def _first(notes: Notes, file: np.ndarray, count: int) -> np.ndarray:
    """Return (F,) when the first note begins."""
    first = np.zeros(count, dtype=np.int64)
    of_file = file[notes.chunk]
    starts = np.flatnonzero(np.diff(of_file, prepend=-1))
    first[of_file[starts]] = np.minimum.reduceat(notes.onset, starts)
    return first


def _results(
    rejects: dict[int, Reject],
    rows: np.ndarray,
    stops: np.ndarray,
    lost: Iterable[tuple[str, np.ndarray]],
) -> list[Encoded | Reject]:
    """Return what became of each file.

    rows: (M, 8) ids, file by file. stops: (F,) where the rows of each end. lost: words for what is
    not in the rows, with the files that it was in.
    """
    words: list[set[str]] = [set() for _ in stops]
    for word, files in lost:
        for file in np.unique(files).tolist():
            words[file].add(word)
    results: list[Encoded | Reject] = []
    start = 0
    for file, stop in enumerate(stops.tolist()):
        ids = rows[start:stop].reshape(-1)
        start = stop
        if file in rejects:
            results.append(rejects[file])
        elif (ids[:: v.UNIT] == v.NOTE).any():
            results.append(Encoded([ids], tuple(sorted(words[file]))))
        else:
            results.append(Reject("no_notes", "no notes that the vocabulary can hold"))
    return results

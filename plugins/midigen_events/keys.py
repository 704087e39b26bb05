"""The key of a piece, from how often each pitch class sounds."""

from collections.abc import Sequence

import numpy as np

from midigen_events import vocabulary as v
from midigen_events.changes import Changes, joined

_SCALE = 7
_SHARE = 0.7
"""The notes of a scale must hold at least that share of all."""
_C = 7
"""The parameter `sf` of a key without sharps."""
_MAJOR = (0, 2, 4, 5, 7, 9, 11)


def find_sharps(counts: Sequence[int]) -> int | None:
    """Return the sharps (-5 to 6; flats below 0) of the major scale that a piece is in.

    counts: how many notes each of the twelve pitch classes has. The seven commonest, the lower one
    where two are equal, must hold 70 % of the notes and be a major scale; else, and without notes,
    the key is not known: None.
    """
    common = sorted(range(12), key=lambda pitch: -counts[pitch])[:_SCALE]
    if sum(counts) == 0 or sum(counts[pitch] for pitch in common) < _SHARE * sum(counts):
        return None
    for tonic in range(12):
        if {(tonic + step) % 12 for step in _MAJOR} == set(common):
            sharps = tonic * 7 % 12
            return sharps if sharps <= 6 else sharps - 12
    return None


def is_settled(changes: Changes, file: np.ndarray, files: int) -> np.ndarray:
    """Return (F,) whether a file names a key that is not C major. file: (C,) of each track."""
    keys = changes.at(changes.kind == v.KEY_SIGNATURE)
    settled = np.zeros(files, dtype=bool)
    settled[file[keys.chunk[(keys.a != _C) | (keys.b != 0)]]] = True
    return settled


def with_keys(
    changes: Changes,
    settled: np.ndarray,
    counts: np.ndarray,
    file: np.ndarray,
    seats: Changes,
    drums: np.ndarray,
) -> Changes:
    """Return the changes with the keys that the notes of files that are not settled tell.

    counts: (F, 12), as `find_sharps` has them. file: (C,) of each track. seats: C major at time 0
    for every track that may have a key. drums: which of these are of tracks with drums alone, which
    stay in C. Where the notes tell no key the file has none.
    """
    found = [
        None if known else find_sharps(row)
        for known, row in zip(settled, counts.tolist(), strict=True)
    ]
    is_found = np.array([sharps is not None for sharps in found], dtype=bool)
    sf = np.array([_C + (sharps or 0) for sharps in found], dtype=np.int64)
    is_key = changes.kind == v.KEY_SIGNATURE
    of_file = file[changes.chunk]
    has_key = np.zeros(len(settled), dtype=bool)
    has_key[of_file[is_key]] = True
    tuned = is_key & is_found[of_file]
    tuned &= ~np.isin(_number(changes), _number(seats.at(drums)))
    changes = changes.but(a=np.where(tuned, sf[of_file], changes.a))
    changes = changes.at(~is_key | settled[of_file] | is_found[of_file])
    seats = seats.but(a=np.where(drums, _C, sf[file[seats.chunk]]))
    return joined(changes, seats.at((is_found & ~has_key)[file[seats.chunk]]))


def _number(changes: Changes) -> np.ndarray:
    """Return (K,) one number for a change's track in its file and the number that it gets."""
    return changes.chunk << 16 | changes.track

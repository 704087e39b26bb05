"""What sounds together in a score: the chords of its onsets, in the order of time."""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from midigen_pitch.chords import HIGHEST, LOWEST, Chord

TOGETHER = 12
"""Notes that begin less than this part of a quarter behind a chord's first one belong to it: 42 ms
at 120 quarters a minute. Hands are not exact, and a 64th is longer at most tempos."""


class Onsets(NamedTuple):
    """chords: of every onset. tops: the highest pitch of each. outside: notes out of range."""

    chords: list[Chord]
    tops: list[int]
    outside: int


def read_onsets(score: Any, kind: str) -> Onsets:
    """Return the onsets of a `symusic.Score` in ticks, without drums.

    kind: ``classes`` gives pitch classes, ``sets`` pitches, ``top`` the highest pitch alone.
    """
    tracks = [track.notes.numpy() for track in score.tracks if not track.is_drum]
    if not tracks:
        return Onsets([], [], 0)
    time = np.concatenate([notes["time"] for notes in tracks]).astype(np.int64)
    pitch = np.concatenate([notes["pitch"] for notes in tracks]).astype(np.int64)
    inside = (pitch >= LOWEST) & (pitch <= HIGHEST)
    time, pitch = time[inside], pitch[inside]
    order = np.argsort(time, kind="stable")
    time, pitch = time[order], pitch[order]
    starts = _starts(time, -(-score.ticks_per_quarter // TOGETHER))
    outside = int(np.count_nonzero(~inside))
    if not starts:
        return Onsets([], [], outside)
    tops = np.maximum.reduceat(pitch, starts).tolist()
    if kind == "top":
        return Onsets([(top,) for top in tops], tops, outside)
    onset = np.repeat(np.arange(len(starts)), np.diff([*starts, len(time)]))
    value = pitch % 12 if kind == "classes" else pitch
    distinct = np.unique((onset << 7) + value)
    ends = np.searchsorted(distinct >> 7, np.arange(len(starts) + 1)).tolist()
    values = (distinct & 127).tolist()
    return Onsets([tuple(values[a:b]) for a, b in pairwise(ends)], tops, outside)


def _starts(time: np.ndarray, ticks: int) -> list[int]:
    """Return where onsets begin in ascending times: each takes what begins within `ticks`."""
    behind = np.searchsorted(time, time + max(ticks, 1)).tolist()
    starts = []
    place = 0
    while place < len(behind):
        starts.append(place)
        place = behind[place]
    return starts

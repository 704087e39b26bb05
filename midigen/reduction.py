"""Tracks of a score made into fewer."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

MERGES = ("program", "all")
"""Tracks of one program become one; or all tracks do, but for the drums, which stay apart."""


def reduced(score: Any, way: str) -> Any:
    """Return a copy of a score with its tracks merged in one of the ways of `MERGES`.

    A merged track stands in the place of its first, with the name and program of that.
    """
    groups: dict[Hashable, list[Any]] = {}
    for track in score.tracks:
        program = track.program if way == "program" or track.is_drum else None
        groups.setdefault((track.is_drum, program), []).append(track)
    fewer = score.copy()
    fewer.tracks = [_one(tracks) for tracks in groups.values()]
    return fewer


def _one(tracks: Sequence[Any]) -> Any:
    """Return one track with everything that `tracks` hold, in the order of time."""
    if len(tracks) == 1:
        return tracks[0]
    one = type(tracks[0])(tracks[0].name, tracks[0].program, tracks[0].is_drum)
    one.notes = _notes([track.notes for track in tracks])
    for name in ("controls", "pitch_bends", "pedals", "lyrics"):
        events = [event for track in tracks for event in getattr(track, name)]
        setattr(one, name, sorted(events, key=lambda event: event.time))
    return one


def _notes(lists: Sequence[Any]) -> Any:
    """Return the notes of several lists by onset and pitch.

    Of those that begin together at one pitch the longest stays: one instrument plays one of them.
    """
    parts = [notes.numpy() for notes in lists]
    time, duration, pitch, velocity = (
        np.concatenate([part[name] for part in parts])
        for name in ("time", "duration", "pitch", "velocity")
    )
    order = np.lexsort((-duration, pitch, time))
    time, duration, pitch, velocity = (x[order] for x in (time, duration, pitch, velocity))
    first = np.ones(len(time), dtype=bool)
    first[1:] = (time[1:] != time[:-1]) | (pitch[1:] != pitch[:-1])
    kept = (x[first] for x in (time, duration, pitch, velocity))
    return type(lists[0]).from_numpy(*kept)

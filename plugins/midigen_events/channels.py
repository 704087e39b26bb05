"""Channels and tracks renumbered, so that equal music has equal numbers.

Channels count from 0 without gaps, in the order in which they are first named; 9, the drums, stays
9. Channels without notes go, with all that is set on them. Tracks count from 1, by channel: a track
of a file that plays on several channels becomes several. Track 0 holds tempos and time signatures.
"""

from dataclasses import dataclass

import numpy as np

from midigen_events import vocabulary as v
from midigen_events.changes import Changes, joined, made
from midigen_events.notes import Notes

DRUMS = 9
_NEVER = np.iinfo(np.int64).max


@dataclass(slots=True)
class Numbers:
    """New numbers in C tracks of F files, -1 where there are no notes.

    channel: (F, 16). track: (C, 16), by track and channel. first: (F, 16), a channel's first track.
    """

    channel: np.ndarray
    track: np.ndarray
    first: np.ndarray


def number(notes: Notes, changes: Changes, file: np.ndarray, files: int) -> Numbers:
    """Number the channels and tracks that have notes. file: (C,) of each track."""
    starts = np.flatnonzero(np.diff(notes.chunk << 4 | notes.channel, prepend=-1))
    chunk, old = notes.chunk[starts], notes.channel[starts]
    sounds = np.zeros((files, 16), dtype=bool)
    sounds[file[chunk], old] = True
    named = np.full((files, 16), _NEVER)
    np.minimum.at(named, (file[chunk], old), np.minimum.reduceat(notes.begin, starts))
    sets = changes.at(np.isin(changes.kind, (v.PATCH_CHANGE, v.CONTROL_CHANGE)))
    np.minimum.at(named, (file[sets.chunk], sets.a), sets.rank)
    named[~sounds] = _NEVER
    named[:, DRUMS] = _NEVER
    order = np.argsort(named, axis=1, kind="stable")
    in_order = np.arange(16) + (np.arange(16) >= DRUMS)
    channel = np.empty((files, 16), dtype=np.int64)
    np.put_along_axis(channel, order, np.tile(in_order, (files, 1)), axis=1)
    channel[:, DRUMS] = DRUMS
    channel[~sounds] = -1
    order = np.lexsort((chunk, channel[file[chunk], old], file[chunk]))
    chunk, old = chunk[order], old[order]
    begins = np.searchsorted(file[chunk], file[chunk])
    track = np.full((len(file), 16), -1)
    track[chunk, old] = np.arange(1, len(chunk) + 1) - begins
    first = np.full((files, 16), -1)
    # The other way round, so that the first track is the last to be written.
    first[file[chunk[::-1]], old[::-1]] = track[chunk[::-1], old[::-1]]
    return Numbers(channel, track, first)


def renumbered(changes: Changes, numbers: Numbers, file: np.ndarray) -> Changes:
    """Return the changes in the new tracks and channels.

    A key goes with its track, into each that the track becomes. If it is of a track without notes,
    as all keys of a file may be, it goes, unless no other track has one.
    """
    is_global = np.isin(changes.kind, (v.SET_TEMPO, v.TIME_SIGNATURE))
    is_key = changes.kind == v.KEY_SIGNATURE
    sets = changes.at(~is_global & ~is_key)
    sets = sets.at(numbers.channel[file[sets.chunk], sets.a] >= 0)
    track = numbers.track[sets.chunk, sets.a]
    track = np.where(track >= 0, track, numbers.first[file[sets.chunk], sets.a])
    sets = sets.but(track=track, a=numbers.channel[file[sets.chunk], sets.a])
    keys = changes.at(is_key)
    tracks = numbers.track[keys.chunk]
    rows, channels = np.nonzero(tracks >= 0)
    placed = keys.at(rows).but(track=tracks[rows, channels])
    alone = keys.at(~np.isin(file[keys.chunk], file[placed.chunk]))
    both = joined(changes.at(is_global), alone)
    return joined(both.but(track=np.zeros_like(both.track)), placed, sets)


def default_patches(changes: Changes, numbers: Numbers, file: np.ndarray) -> Changes:
    """Return patch 0 at time 0 for the channels, numbered anew, that have notes but no patch."""
    patches = changes.at(changes.kind == v.PATCH_CHANGE)
    lacks = numbers.channel >= 0
    lacks[file[patches.chunk], patches.a] = False
    of_file, old = np.nonzero(lacks)
    chunk = np.searchsorted(file, of_file)
    return made(
        v.PATCH_CHANGE,
        chunk,
        track=numbers.first[of_file, old],
        a=numbers.channel[of_file, old],
    )

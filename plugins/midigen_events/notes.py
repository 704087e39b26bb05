"""The notes of files in steps of time: which note-off ends which note-on, and where to cut."""

from dataclasses import dataclass, fields, replace

import numpy as np

from midigen.smf import NOTE_ON, Events
from midigen_events.vocabulary import STEPS

_AFTERTOUCH = 0xA0
_CHANNEL_BITS, _PITCH_BITS = 4, 7


@dataclass(slots=True)
class Notes:
    """M notes, sorted by track, channel, pitch and onset. All arrays are (M,) int64.

    chunk: the track in `midigen.smf.Events`. track: the number that it gets. onset, duration: in
    steps. begin, rank: the places of its note-on and its note-off among the events; a note stands
    where it ends.
    """

    chunk: np.ndarray
    track: np.ndarray
    channel: np.ndarray
    pitch: np.ndarray
    velocity: np.ndarray
    onset: np.ndarray
    duration: np.ndarray
    begin: np.ndarray
    rank: np.ndarray

    def at(self, places: np.ndarray) -> "Notes":
        """Return the notes at these places, or where a bool array (M,) is true."""
        return Notes(*(getattr(self, field.name)[places] for field in fields(self)))


def steps(ticks: np.ndarray, tpq: np.ndarray) -> np.ndarray:
    """Return ticks in steps of time, rounded, half to even."""
    return np.rint(STEPS * ticks / tpq).astype(np.int64)


def read_notes(events: Events, tpq: np.ndarray) -> Notes:
    """Return the notes of all tracks.

    tpq: (C,) of each track. The note-on of a pitch that has sounded longest ends first; one that
    nothing ends does so with its track.
    """
    places = np.flatnonzero(events.status < _AFTERTOUCH)
    status, velocity = events.status[places], events.data2[places]
    begins = (status >= NOTE_ON) & (velocity > 0)
    key = events.chunk[places] << _CHANNEL_BITS | status & 0xF
    key = key << _PITCH_BITS | events.data1[places]
    # Sorted as numbers that end in their place: eight times as fast as a stable argsort.
    bits = len(places).bit_length()
    numbers = np.sort(key << bits | np.arange(len(places)))
    key, order = numbers >> bits, numbers & ((1 << bits) - 1)
    begins = begins[order]
    ons, offs = _paired(key, begins)
    on, key = places[order[ons]], key[ons]
    chunk = key >> (_CHANNEL_BITS + _PITCH_BITS)
    stops = offs >= 0
    off = places[order[offs]]
    end = events.tick[off]
    if not stops.all():
        last = np.searchsorted(events.chunk, np.arange(len(events.file)), side="right") - 1
        end = np.where(stops, end, events.tick[last[chunk]])
        off = np.where(stops, off, len(events.chunk) + on)
    tick = events.tick[on]
    return Notes(
        chunk=chunk,
        track=events.track[chunk],
        channel=key >> _PITCH_BITS & 0xF,
        pitch=key & 0x7F,
        velocity=events.data2[on].astype(np.int64),
        onset=steps(tick, tpq[chunk]),
        duration=np.maximum(steps(end - tick, tpq[chunk]), 1),
        begin=on,
        rank=off,
    )


def _paired(key: np.ndarray, begins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where notes begin and where each of them ends, -1 where nothing ends it.

    key: ascending; events of one key are in their order. begins: which of them are note-ons.
    """
    ons, offs = np.flatnonzero(begins), np.flatnonzero(~begins)
    if np.array_equal(key[ons], key[offs]) and (ons < offs).all():
        return ons, offs
    is_off = ~begins
    is_off[_unheard(key, begins)] = False
    offs = np.flatnonzero(is_off)
    starts = key[ons]
    place = np.arange(len(ons)) - np.searchsorted(starts, starts)
    partner = np.searchsorted(key[offs], starts) + place
    offs = np.append(offs, -1)
    keys = np.append(key, -1)[offs]
    partner = np.minimum(partner, len(offs) - 1)
    return ons, np.where(keys[partner] == starts, offs[partner], -1)


def _unheard(key: np.ndarray, begins: np.ndarray) -> np.ndarray:
    """Return the places of the note-offs at which no note of their key sounds.

    Those are where the count of note-ons less note-offs of the key falls lower than ever, below 0.
    """
    count = np.cumsum(np.where(begins, 1, -1))
    first = np.searchsorted(key, key)
    count -= np.concatenate(([0], count))[first]
    # Keys one behind the other on falling levels, so that the lowest count starts anew with each.
    level = np.cumsum(first == np.arange(len(key))) * (2 * len(key) + 2)
    lowest = np.minimum.accumulate(np.minimum(count, 0) - level)
    return np.flatnonzero((count < 0) & (np.diff(lowest, prepend=0) != 0))


def cut(notes: Notes) -> Notes:
    """Return the notes, none longer than to the next of its track, channel and pitch."""
    same = (notes.chunk[1:] == notes.chunk[:-1]) & (notes.pitch[1:] == notes.pitch[:-1])
    same &= notes.channel[1:] == notes.channel[:-1]
    gap = np.where(same, np.diff(notes.onset), notes.duration[:-1])
    duration = notes.duration.copy()
    np.minimum(duration[:-1], gap, out=duration[:-1])
    return replace(notes, duration=duration).at(duration > 0)

"""Standard MIDI Files to arrays of events (MMA, Standard MIDI Files 1.0, 1996), many at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from midigen.errors import Reject
from midigen.smfsteps import END_OF_TRACK, LONG, META, PADDING, SHORT, SYSTEM, Steps, quantities

TEMPO, TIME_SIGNATURE, KEY_SIGNATURE = 0x51, 0x58, 0x59
NOTE_OFF, NOTE_ON, CONTROL, PROGRAM = 0x80, 0x90, 0xB0, 0xC0

_HEADER = 14
_CHUNK = 8
_PRESSURE = (0xA0, 0xD0)
_UNDEFINED = np.isin(np.arange(256), (0xF4, 0xF5, 0xF9, 0xFD))


@dataclass(slots=True)
class Events:
    """E events of C tracks of F files, in the order of the files, their tracks and the events.

    data: the files' bytes, end to end. tpq: (F,) ticks a quarter, 0 of files in `rejects`, which
    says by file why it could not be read. file, track: (C,) the file of each track and its number
    there. chunk: (E,) an event's track, 0..C-1. tick: (E,) from the beginning of the track. status:
    (E,) uint8, running status resolved; 0xFF is a meta event. data1, data2: (E,) uint8, unspecified
    where a message has none; of a meta event data1 is its kind. at: (E,) where data1 is in `data`.
    """

    data: np.ndarray
    tpq: np.ndarray
    rejects: dict[int, Reject]
    file: np.ndarray
    track: np.ndarray
    chunk: np.ndarray
    tick: np.ndarray
    status: np.ndarray
    data1: np.ndarray
    data2: np.ndarray
    at: np.ndarray

    def meta(self, kind: int, least: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the places (M,) of the meta events of a kind that hold at least `least` bytes.

        Also the first `least` of these bytes, (M, least) int64.
        """
        places = np.flatnonzero((self.status == META) & (self.data1 == kind))
        size, start = quantities(self.data, self.at[places] + 1)
        enough = size >= least
        held = self.data[start[enough, None] + np.arange(least)]
        return places[enough], held.astype(np.int64)

    def where(self, kept: np.ndarray) -> "Events":
        """Return the events of the tracks that `kept`, (C,) bool, names; all tracks keep places."""
        places = kept[self.chunk]
        columns = ("chunk", "tick", "status", "data1", "data2", "at")
        return replace(self, **{name: getattr(self, name)[places] for name in columns})


class _Chunk(NamedTuple):
    """A track chunk: its file, its number there, and its place in the joined bytes."""

    file: int
    track: int
    start: int
    end: int


def read_many(files: Sequence[bytes]) -> Events:
    """Read the events of files, in order.

    A file that cannot be read has no events but a Reject: ``empty``, ``not_midi`` or ``broken``. As
    for `midigen.ingest`, a header that counts more tracks than there are, a track without an end,
    bytes behind either, and large data bytes of pressure messages do no harm.
    """
    rejects: dict[int, Reject] = {}
    chunks: list[_Chunk] = []
    joined: list[bytes] = []
    tpq = np.zeros(len(files), dtype=np.int64)
    offset = 0
    for number, data in enumerate(files):
        try:
            division = _division(data)
            chunks += _chunks(data, number, offset)
        except Reject as reject:
            rejects[number] = reject
            continue
        tpq[number] = division
        joined.append(data)
        offset += len(data)
    return _read(b"".join([*joined, PADDING]), chunks, tpq, rejects)


def _division(data: bytes) -> int:
    """Return a file's ticks a quarter. Raises Reject."""
    if not data:
        raise Reject("empty", "no bytes")
    if not data.startswith(b"MThd"):
        raise Reject("not_midi", f"begins with {data[:4]!r}, not MThd")
    if len(data) < _HEADER:
        raise Reject("broken", f"{len(data)} bytes: it ends in its header")
    division = int.from_bytes(data[12:14])
    if division == 0 or division > 0x7FFF:
        raise Reject("broken", f"time division {data[12:14].hex()}: not ticks a quarter")
    return division


def _chunks(data: bytes, file: int, offset: int) -> list[_Chunk]:
    """Return the tracks of a file that begins at `offset` of the joined bytes. Raises Reject."""
    found: list[_Chunk] = []
    place = _CHUNK + int.from_bytes(data[4:8])
    count = int.from_bytes(data[10:12])
    while len(found) < count and place + _CHUNK <= len(data):
        kind, start = data[place : place + 4], place + _CHUNK
        place = start + int.from_bytes(data[place + 4 : start])
        if place > len(data):
            raise Reject("broken", f"{place - len(data)} bytes of chunk {kind!r} are missing")
        if kind == b"MTrk":
            found.append(_Chunk(file, len(found), offset + start, offset + place))
    return found


def _read(
    joined: bytes, chunks: Sequence[_Chunk], tpq: np.ndarray, rejects: dict[int, Reject]
) -> Events:
    """Return the events of tracks; a file that turns out to be broken joins `rejects`."""
    file, track, start, end = np.array(chunks, dtype=np.int64).reshape(-1, 4).T.copy()
    steps = Steps(joined, start, end)
    place, chunk = steps.walk()
    status = _status(steps, place, chunk)
    runs_on = steps.data[place + steps.delta[place]] < 0x80
    odd = runs_on & (status >= SHORT) & (status < LONG)
    if odd.any():
        place, chunk = steps.walk_again(place, chunk, np.unique(chunk[odd]))
        status = _status(steps, place, chunk)
    at = place + steps.delta[place]
    at += steps.data[at] >= 0x80
    events = Events(
        data=steps.data,
        tpq=tpq,
        rejects=rejects,
        file=file,
        track=track,
        chunk=chunk,
        tick=_ticks(steps, place, chunk),
        status=status,
        data1=steps.data[at],
        data2=steps.data[at + 1],
        at=at,
    )
    return _checked(events, steps, place)


def _status(steps: Steps, place: np.ndarray, chunk: np.ndarray) -> np.ndarray:
    """Return (E,) the status of the events at `place`; 0 where none runs on."""
    status = steps.data[place + steps.delta[place]]
    named = status >= 0x80
    if named.all():
        return status
    # Meta events and system messages do not end a running status; many files rely on it. Where a
    # track begins none runs.
    marks = named & (status < SYSTEM)
    begins = np.searchsorted(chunk, np.arange(len(steps.start)))
    marks[begins[begins < len(marks)]] = True
    places = np.flatnonzero(marks)
    held = np.where(named[places] & (status[places] < SYSTEM), status[places], 0)
    runs = np.repeat(held, np.diff(places, append=len(marks)))
    return np.where(named, status, runs)


def _ticks(steps: Steps, place: np.ndarray, chunk: np.ndarray) -> np.ndarray:
    """Return (E,) the times of the events at `place` since the beginning of their tracks."""
    size = steps.delta[place]
    delta = (steps.data[place] & 0x7F).astype(np.int64)
    more = np.flatnonzero(size > 1)
    for k in range(1, 4):
        delta[more] = delta[more] << 7 | steps.data[place[more] + k] & 0x7F
        more = more[size[more] > k + 1]
    ticks = np.cumsum(delta)
    begins = np.searchsorted(chunk, np.arange(len(steps.start)))
    before = np.concatenate(([0], ticks))[begins]
    ticks -= before[chunk]
    return ticks


def _checked(events: Events, steps: Steps, place: np.ndarray) -> Events:
    """Return the events of files without a fault; the others join the rejects."""
    status, data1, data2, chunk = events.status, events.data1, events.data2, events.chunk
    is_short = (status >= SHORT) & (status < LONG)
    high = np.flatnonzero(((data1 >= 0x80) | ((data2 >= 0x80) & ~is_short)) & (status < SYSTEM))
    high = high[~np.isin(status[high] & 0xF0, _PRESSURE)]
    system = np.flatnonzero(status >= SYSTEM)
    slow = np.flatnonzero(steps.delta[place] == 4)
    stop = np.searchsorted(chunk, np.arange(len(steps.start)), side="right")
    last = (stop - 1)[np.diff(stop, prepend=0) > 0]
    ended = (status[last] == META) & (data1[last] == END_OF_TRACK)
    faults = {
        "an event that goes on beyond the end": last[
            ~ended & (steps.after(place[last]) != steps.end[chunk[last]])
        ],
        "a data byte where a status must be": np.flatnonzero(status < NOTE_OFF),
        "an undefined status": system[_UNDEFINED[status[system]]],
        "a data byte above 127": high,
        "a delta time of more than 4 bytes": slow[steps.data[place[slow] + 3] >= 0x80],
    }
    for fault, found in faults.items():
        for c in np.unique(chunk[found]).tolist():
            reject = Reject("broken", f"track {events.track[c]}: {fault}")
            events.rejects.setdefault(int(events.file[c]), reject)
    sound = ~np.isin(events.file, list(events.rejects))
    return events if sound.all() else events.where(sound)

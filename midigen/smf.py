"""Standard MIDI Files to arrays of events (MMA, Standard MIDI Files 1.0, 1996), many at a time.

For every byte it is worked out, with array code, where the event behind one that would begin there
begins. What is left to do event by event is to follow these steps, and with tables of two, four,
eight and sixteen steps at once only every sixteenth event is visited.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

import numpy as np

from midigen.errors import Reject

META = 0xFF
TEMPO, TIME_SIGNATURE, KEY_SIGNATURE, _END_OF_TRACK = 0x51, 0x58, 0x59, 0x2F
NOTE_OFF, NOTE_ON, CONTROL, PROGRAM = 0x80, 0x90, 0xB0, 0xC0

_HEADER = 14
_CHUNK = 8
_PADDING = bytes(16)
"""Behind the last file: an event is looked at as far as 11 bytes ahead."""
_VARIABLE = 0
# Bytes of an event behind its delta time, by the first of them. 0x00 to 0x7F is a data byte: the
# status of the event before it runs on, and nearly all of these messages have two data bytes.
_LENGTHS = bytes(
    [2] * 0x80
    + [3] * 0x40  # note off, note on, key pressure, control change
    + [2] * 0x20  # program change, channel pressure
    + [3] * 0x10  # pitch wheel
    + [_VARIABLE, 2, 3, 2, 1, 1, 1, _VARIABLE]  # F0 to F7: system messages
    + [1, 1, 1, 1, 1, 1, 1, _VARIABLE]  # F8 to FF; FF is a meta event in a file
)
_UNDEFINED = np.isin(np.arange(256), (0xF4, 0xF5, 0xF9, 0xFD))
_SHORT, _LONG, _SYSTEM = 0xC0, 0xE0, 0xF0
"""Channel messages from the first to below the second have one data byte, the others two."""


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
        size, start = _quantities(self.data, self.at[places] + 1)
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

    A file that cannot be read has no events but a Reject: ``empty``, ``not_midi``,
    ``time_division`` or ``broken``, as `midigen.ingest` has them. A header that counts more tracks
    than there are, a track without an end, and bytes behind either do no harm.
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
    return _Tracks(b"".join([*joined, _PADDING]), chunks).events(tpq, rejects)


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
        raise Reject("time_division", f"{data[12:14].hex()}: not ticks a quarter")
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


def _quantities(data: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the variable-length quantities (M,) that begin at `at`, and where they end."""
    value, end = np.zeros_like(at), at.copy()
    going = np.ones(len(at), dtype=bool)
    for _ in range(4):
        byte = data[end]
        value = np.where(going, value << 7 | byte & 0x7F, value)
        end += going
        going &= byte >= 0x80
    return value, end


def _pick(mask: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return `a` where `mask` is 255 and `b` where it is 0: forty times as fast as `np.where`."""
    picked: np.ndarray = b ^ ((a ^ b) & mask)
    return picked


class _Tracks:
    """The events of C tracks in N joined bytes, which end in padding.

    delta: (N,) uint8, the size of a delta time that would begin there. following: (N + 2,) where
    the event behind it begins; N + 1 if that ends the track or leads beyond all bytes.
    """

    def __init__(self, joined: bytes, chunks: Sequence[_Chunk]) -> None:
        self.data = np.frombuffer(joined, np.uint8)
        self.file, self.track, self.start, self.end = (
            np.array(chunks, dtype=np.int64).reshape(-1, 4).T.copy()
        )
        n = len(joined) - len(_PADDING)
        high = (self.data >= 0x80).view(np.uint8)
        two = high[:n] & high[1 : n + 1]
        three = two & high[2 : n + 2]
        self.delta = 1 + high[:n] + two + three
        length = np.frombuffer(joined.translate(_LENGTHS), np.uint8)
        rest = _pick(-high[:n], length[2 : n + 2], length[1 : n + 1])
        rest = _pick(-two, length[3 : n + 3], rest)
        rest = _pick(-three, length[4 : n + 4], rest)
        self.following = np.arange(n + 2)
        self.following[:n] += self.delta + rest
        self._step_over(np.flatnonzero(length[:n] == _VARIABLE))
        np.minimum(self.following, n + 1, out=self.following)

    def _step_over(self, status: np.ndarray) -> None:
        """Enter where the meta events and system exclusive messages that begin at `status` end."""
        is_meta = self.data[status] == META
        size, start = _quantities(self.data, status + 1 + is_meta)
        after = start + size
        after[is_meta & (self.data[status + 1] == _END_OF_TRACK)] = len(self.following)
        for size_of_delta in range(1, 5):
            place = np.maximum(status - size_of_delta, 0)
            leads = self.delta[place] == size_of_delta
            self.following[place[leads]] = after[leads]

    def events(self, tpq: np.ndarray, rejects: dict[int, Reject]) -> Events:
        """Return the events; a file that turns out to be broken joins `rejects`."""
        place, chunk = self._walk()
        events = self._resolved(place, chunk, tpq, rejects)
        runs_on = self.data[place + self.delta[place]] < 0x80
        odd = runs_on & (events.status >= _SHORT) & (events.status < _LONG)
        if odd.any():
            place, chunk = self._walk_again(place, chunk, np.unique(chunk[odd]))
            events = self._resolved(place, chunk, tpq, rejects)
        return self._checked(place, events)

    def _walk(self) -> tuple[np.ndarray, np.ndarray]:
        """Return where the events (E,) begin and their tracks, as if no short message ran on."""
        tables = [self.following]
        for _ in range(4):
            tables.append(tables[-1].take(tables[-1], mode="clip"))
        jump = memoryview(cast(Any, tables[-1]))
        visited, counts = list[int](), list[int]()
        for place, end in zip(self.start.tolist(), self.end.tolist(), strict=True):
            before = len(visited)
            while place < end:
                visited.append(place)
                place = jump[place]
            counts.append(len(visited) - before)
        rows = np.empty((len(visited), 16), dtype=np.int64)
        rows[:, 0] = visited
        for k, table in enumerate(tables[:-1]):
            done = 1 << k
            rows[:, done : 2 * done] = table.take(rows[:, :done], mode="clip")
        chunk = np.repeat(np.arange(len(counts)), counts)
        inside = rows < self.end[chunk, None]
        return rows[inside], np.repeat(chunk, inside.sum(axis=1))

    def _walk_again(
        self, place: np.ndarray, chunk: np.ndarray, odd: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the same with the tracks `odd` read one event after the other."""
        count = len(self.start)
        found = np.split(place, np.searchsorted(chunk, np.arange(1, count)))
        for c in odd.tolist():
            status, now, end = 0, int(self.start[c]), int(self.end[c])
            own = []
            while now < end:
                own.append(now)
                first = now + int(self.delta[now])
                byte = int(self.data[first])
                if byte < 0x80 and _SHORT <= status < _LONG:
                    now = first + 1
                else:
                    status = byte if 0x80 <= byte < _SYSTEM else status
                    now = int(self.following[now])
            found[c] = np.array(own, dtype=np.int64)
        return np.concatenate(found), np.repeat(np.arange(count), [len(own) for own in found])

    def _resolved(
        self, place: np.ndarray, chunk: np.ndarray, tpq: np.ndarray, rejects: dict[int, Reject]
    ) -> Events:
        """Return the events that begin at `place`."""
        delta = self.delta[place]
        first = place + delta
        status = self.data[first]
        named = status >= 0x80
        if not named.all():
            # Meta events and system messages do not end a running status; many files rely on it.
            is_channel = named & (status < _SYSTEM)
            last = np.maximum.accumulate(np.where(is_channel, np.arange(len(place)), 0))
            runs = is_channel[last] & (chunk[last] == chunk)
            status = np.where(named, status, np.where(runs, status[last], 0))
        at = first + named
        ticks = np.cumsum(self._delta_times(place, delta))
        begins = np.searchsorted(chunk, np.arange(len(self.start)))
        before = np.concatenate(([0], ticks))[begins]
        return Events(
            data=self.data,
            tpq=tpq,
            rejects=rejects,
            file=self.file,
            track=self.track,
            chunk=chunk,
            tick=ticks - before[chunk],
            status=status,
            data1=self.data[at],
            data2=self.data[at + 1],
            at=at,
        )

    def _delta_times(self, place: np.ndarray, delta: np.ndarray) -> np.ndarray:
        """Return the delta times (E,) that are written in `delta` bytes at `place`."""
        value = (self.data[place] & 0x7F).astype(np.int64)
        more = np.flatnonzero(delta > 1)
        for k in range(1, 4):
            value[more] = value[more] << 7 | self.data[place[more] + k] & 0x7F
            more = more[delta[more] > k + 1]
        return value

    def _checked(self, place: np.ndarray, events: Events) -> Events:
        """Return the events of files without a fault; the others join the rejects."""
        status, data1, data2, chunk = events.status, events.data1, events.data2, events.chunk
        stop = np.searchsorted(chunk, np.arange(len(self.start)), side="right")
        last = (stop - 1)[np.diff(stop, prepend=0) > 0]
        is_end = (status[last] == META) & (data1[last] == _END_OF_TRACK)
        is_cut = np.zeros(len(place), dtype=bool)
        is_cut[last] = ~is_end & (self.following[place[last]] != self.end[chunk[last]])
        is_short = (status >= _SHORT) & (status < _LONG)
        high = (data1 >= 0x80) | ((data2 >= 0x80) & ~is_short)
        delta = self.delta[place]
        faults = {
            "an event that goes on beyond the end": is_cut,
            "a data byte where a status must be": status < NOTE_OFF,
            "an undefined status": _UNDEFINED[status],
            "a data byte above 127": high & (status < _SYSTEM),
            "a delta time of more than 4 bytes": (delta == 4) & (self.data[place + 3] >= 0x80),
        }
        for fault, found in faults.items():
            for c in np.unique(chunk[found]).tolist():
                reject = Reject("broken", f"track {self.track[c]}: {fault}")
                events.rejects.setdefault(int(self.file[c]), reject)
        sound = ~np.isin(self.file, list(events.rejects))
        return events if sound.all() else events.where(sound)

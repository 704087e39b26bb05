"""Standard MIDI Files read as far as they make sense (MMA, Standard MIDI Files 1.0, 1996).

A parser of the format stops at the first contradiction. This one keeps what stands before it, finds
the next track, and says what was wrong. On files that obey the format it reads what others read.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from midigen.errors import Reject
from midigen.ingest import MAX_TICK
from midigen.midi import END_OF_TRACK, NOTE_ON

META = 0xFF
MAX_EVENTS = 2_000_000
"""More events than music has; each costs about 130 bytes of memory."""

_ONE_BYTE = (0xC0, 0xD0)
"""Program changes and channel pressure; the other channel messages have two data bytes."""
_SYSEX = (0xF0, 0xF7)
_SYSTEM = {0xF1: 1, 0xF2: 2, 0xF3: 1, 0xF6: 0, 0xF8: 0, 0xFA: 0, 0xFB: 0, 0xFC: 0, 0xFE: 0}
"""Data bytes of system messages: they have no place in a file, but some hold them."""
_END = bytes((META, END_OF_TRACK))
_MAX_QUANTITY = 0x0FFFFFFF
_HEADER = re.compile(rb"MThd|(?:.Thd|M.hd|MT.d|MTh.)\x00\x00\x00\x06", re.DOTALL)
"""The tag of a header; one with a damaged letter, too, if its length is that of a header."""
_TRACK = re.compile(rb"MTrk|.Trk|M.rk|MT.k|MTr.", re.DOTALL)
_CHUNK = re.compile(rb"(?!MThd)[ -~]{4}")


class Header(NamedTuple):
    """An MThd chunk. tracks: offset of what follows. whole: it begins the file, as it should be."""

    format: int
    division: int
    tracks: int
    whole: bool


class Event(NamedTuple):
    """A channel message or meta event: tick from the start of the track, bytes with status."""

    tick: int
    message: bytes


@dataclass(slots=True)
class Track:
    """The events of one track up to the first that makes no sense.

    fault: what made none, or what else was wrong with the chunk; empty if nothing was. ended: there
    was an end of track. stop: offset of what follows.
    """

    events: list[Event] = field(default_factory=list)
    fault: str = ""
    ended: bool = False
    stop: int = 0


class _NonsenseError(Exception):
    """Bytes that are no event."""


def find_headers(data: bytes) -> Iterator[Header]:
    """Yield the headers in `data` that tracks follow, in order, wherever they stand."""
    for found in _HEADER.finditer(data):
        start = found.start()
        length = int.from_bytes(data[start + 4 : start + 8])
        tracks = start + 8 + length
        whole = start == 0 and data.startswith(b"MThd") and length == 6
        first = start + 12
        if not _starts_chunk(data, tracks) and not _TRACK.match(data, tracks):
            track = _TRACK.search(data, start + 10)
            if track is None:
                return
            tracks, whole = track.start(), False
            # Of a header that lost bytes the division is what stands in front of the first track.
            first = min(first, tracks - 2)
        division = int.from_bytes(data[first : first + 2])
        yield Header(int.from_bytes(data[start + 8 : start + 10]), division, tracks, whole)


def read_tracks(data: bytes, start: int) -> Iterator[Track]:
    """Yield the tracks from offset `start` on, up to the end or the next header.

    Raises Reject (``too_big``) for more than `MAX_EVENTS` in all.
    """
    at, lost, count = start, "", 0
    while at < len(data):
        if _TRACK.match(data, at):
            track = _read_track(data, at)
            track.fault = track.fault or lost
            count += len(track.events)
            if count > MAX_EVENTS:
                raise too_big()
            yield track
            at, lost = track.stop, ""
        elif _starts_chunk(data, at):
            at += 8 + int.from_bytes(data[at + 4 : at + 8])
        else:
            following = data.find(b"MTrk", at)
            if following < 0 or data.find(b"MThd", at, following) >= 0:
                return
            at, lost = following, "bytes between tracks"


def too_big() -> Reject:
    """Return what becomes of a file with more than `MAX_EVENTS`."""
    return Reject("too_big", f"more than {MAX_EVENTS:,} events")


def count_onsets(data: bytes) -> int:
    """Return how many notes begin in the first file in `data`."""
    header = next(find_headers(data), None)
    tracks = read_tracks(data, header.tracks) if header is not None else ()
    return sum(strikes(event.message) for track in tracks for event in track.events)


def strikes(message: bytes) -> bool:
    """Return whether a message begins a note."""
    return message[0] & 0xF0 == NOTE_ON and message[2] > 0


def _starts_chunk(data: bytes, at: int) -> bool:
    """Return whether a chunk of any name but MThd stands at `at` and ends within `data`."""
    if not _CHUNK.match(data, at):
        return False
    return at + 8 + int.from_bytes(data[at + 4 : at + 8]) <= len(data)


def _read_track(data: bytes, at: int) -> Track:
    """Read the track chunk at `at`.

    Its length is trusted where another chunk or the end of the file follows. Else the track goes on
    as far as it makes sense, but not into the next one.
    """
    start = at + 8
    stop = start + int.from_bytes(data[at + 4 : start])
    fault = "" if data.startswith(b"MTrk", at) else "chunk name"
    if stop == len(data) or _TRACK.match(data, stop) or _starts_chunk(data, stop):
        track = read_events(data[start:stop], exact=True)
    else:
        following = data.find(b"MTrk", start)
        limit = following if following >= 0 else len(data)
        track = read_events(data[start : min(stop, limit)], exact=stop <= limit)
        is_wrong = bool(track.fault) or stop > limit
        if is_wrong or not track.ended:
            longer = read_events(data[start:limit], exact=False)
            if is_wrong or longer.ended:
                track, stop, fault = longer, start + longer.stop, "chunk length"
    track.stop = stop
    track.fault = track.fault or fault
    return track


def read_events(body: bytes, *, exact: bool) -> Track:
    """Read events until the end of the track, of the bytes, or of all sense.

    exact: `body` is what the chunk's length states. If so, and the track ends where it does, data
    bytes above 127 are clipped; else they are where nonsense begins. `stop` is relative to `body`.
    System messages, which speak to one device, are left out. Raises Reject (``too_big``) for more
    than `MAX_EVENTS`.
    """
    track = Track()
    events = track.events
    tick = status = at = 0
    sound = None  # how many events stand before the first data byte above 127
    try:
        while at < len(body) and not track.ended:
            delta, at = _quantity(body, at)
            # More than four bytes are no time at all: such files begin anew with the next event.
            tick += delta if delta <= _MAX_QUANTITY else 0
            if tick > MAX_TICK:
                raise _NonsenseError("more than 2**31 ticks")
            message, at = _message(body, at, status)
            if message.startswith(_END):
                track.ended = True
            elif message:
                if message[0] != META:
                    status = message[0]
                    if max(message[1:]) > 127:
                        sound = len(events) if sound is None else sound
                        message = bytes((status, *(min(value, 127) for value in message[1:])))
                events.append(Event(tick, message))
                if len(events) > MAX_EVENTS:
                    raise too_big()
    except _NonsenseError as error:
        track.fault = str(error)
    if sound is not None and not (exact and track.ended and at == len(body)):
        del events[sound:]
        track.fault = track.fault or "data bytes above 127"
    track.stop = min(at, len(body))
    return track


def _message(body: bytes, at: int, status: int) -> tuple[bytes, int]:
    """Return the message at `at`, and what follows; nothing of a system message.

    status: that of the last channel message, which a message without one shares.
    """
    kind = _byte(body, at)
    if kind == META:
        length, begin = _quantity(body, at + 2)
        return _take(body, at, begin + length)
    if kind in _SYSEX:
        length, begin = _quantity(body, at + 1)
        return b"", _take(body, at, begin + length)[1]
    if kind >= 0xF0:
        if kind not in _SYSTEM:
            raise _NonsenseError(f"status 0x{kind:02x}")
        return b"", at + 1 + _SYSTEM[kind]
    if kind >= 0x80:
        status, at = kind, at + 1
    elif not status:
        raise _NonsenseError("data without a status")
    values, at = _take(body, at, at + (1 if status & 0xF0 in _ONE_BYTE else 2))
    return bytes((status,)) + values, at


def _quantity(body: bytes, at: int) -> tuple[int, int]:
    """Return the variable-length quantity at `at`, and what follows."""
    value = 0
    while True:
        byte = _byte(body, at)
        at += 1
        # It may have any length; what is too large only has to stay so.
        value = min(value << 7 | byte & 0x7F, _MAX_QUANTITY + 1 << 7)
        if byte < 0x80:
            return value, at


def _byte(body: bytes, at: int) -> int:
    if at >= len(body):
        raise _NonsenseError("cut off")
    return body[at]


def _take(body: bytes, start: int, stop: int) -> tuple[bytes, int]:
    """Return the bytes from `start` to `stop`, and `stop`."""
    if stop > len(body):
        raise _NonsenseError("cut off")
    return body[start:stop], stop

"""What can be saved of a damaged or unusual MIDI file, as a Standard MIDI File without faults."""

from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from midigen.errors import Reject
from midigen.lenient import META, Event, Track, find_headers, read_tracks, strikes
from midigen.midi import (
    KEY_SIGNATURE,
    MAX_TPQ,
    NOTE_OFF,
    NOTE_ON,
    TEMPO,
    TIME_SIGNATURE,
    TPQ,
    join_chunks,
    track_chunk,
)

_MAX_HEADERS = 4
"""So many headers within one file are tried: each costs another reading."""
_MAX_CHUNKS = 0xFFFE
"""Tracks that a header can count, less one for a tempo."""
_HALF_SECOND, _SECOND = 500_000, 1_000_000
_FRAMES = (24, 25, 29, 30)
_DROP_FRAME = 29
"""Frames a second as SMPTE drop-frame time states them: 30 of them last 1.001 s."""


class Saved(NamedTuple):
    """A Standard MIDI File without faults.

    whole: all events are the file's own, in their places, and there are no others. Then only values
    were out of range: data bytes, or fields of the header.
    """

    midi: bytes
    whole: bool


def salvage(data: bytes) -> Saved:
    """Return what can be saved of `data`.

    A header is found behind whatever stands in front of it, and tracks wherever their chunks begin;
    a track goes on until it makes no sense. Notes that nothing ends last a quarter, or until their
    key is struck again. Ticks stay as they are: a division of seconds becomes one of quarters, with
    the tempo that gives the same time, and a division of nothing becomes `TPQ`.

    A file that is whole once the CR is taken from every CR LF was sent as text; then it is read so.

    Raises Reject: ``not_midi``, ``broken`` (no track can be read), ``no_notes``, ``too_big``,
    ``too_many_tracks``.
    """
    found = _save(data)
    is_whole = isinstance(found, Saved) and found.whole
    if not is_whole and data.count(b"\n") == data.count(b"\r\n") > 0:
        sent = _save(data.replace(b"\r\n", b"\n"))
        if isinstance(sent, Saved) and sent.whole:
            return Saved(sent.midi, whole=False)
    if isinstance(found, Reject):
        raise found
    return found


def _save(data: bytes) -> Saved | Reject:
    """Return what can be saved of `data` as it is, by the first header whose tracks have notes."""
    headers = list(islice(find_headers(data), _MAX_HEADERS))
    for header in headers:
        tracks = list(read_tracks(data, header.tracks))
        if any(map(_has_notes, tracks)):
            if len(tracks) > _MAX_CHUNKS:
                return Reject("too_many_tracks", f"{len(tracks):,}; at most {_MAX_CHUNKS:,}")
            midi, ends = _write(tracks, *_quarter(header.division))
            whole = header.whole and not ends and not any(track.fault for track in tracks)
            return Saved(midi, whole)
    if headers:
        return Reject("no_notes", "no notes")
    if b"MThd" in data or b"MTrk" in data:
        return Reject("broken", "a header without tracks" if b"MThd" in data else "no header")
    return Reject("not_midi", f"no MThd in it; begins with {data[:4]!r}")


def _has_notes(track: Track) -> bool:
    return any(strikes(event.message) for event in track.events)


def _quarter(division: int) -> tuple[int, int]:
    """Return the ticks of a quarter and, where ticks are parts of a second, its microseconds.

    Then it is a quarter at 120 a minute, or at 60 where half a second has no whole number of ticks.
    Frame rates that SMPTE time does not have say nothing.
    """
    if division <= MAX_TPQ:
        return division or TPQ, 0
    frames, parts = 256 - (division >> 8), division & 0xFF
    if not parts or frames not in _FRAMES:
        return TPQ, 0
    if frames == _DROP_FRAME:
        return 15 * parts, 500_500
    ticks = frames * parts
    return (ticks, _SECOND) if ticks % 2 else (ticks // 2, _HALF_SECOND)


def _write(tracks: Iterable[Track], tpq: int, mspq: int) -> tuple[bytes, int]:
    """Return the tracks as a MIDI file, and how many of their notes had no end.

    mspq: the only tempo, where tempos of the tracks do not count; else 0.
    """
    chunks = []
    if mspq:
        chunks.append(track_chunk([(0, 0, bytes((META, TEMPO, 3)) + mspq.to_bytes(3))]))
    count = 0
    for track in tracks:
        kept = [event for event in track.events if _is_sound(event.message, timed=not mspq)]
        ends = list(_ends(kept, tpq))
        count += len(ends)
        chunks.append(track_chunk([(tick, 0, message) for tick, message in kept + ends]))
    return join_chunks(chunks, tpq), count


def _is_sound(message: bytes, *, timed: bool) -> bool:
    """Return whether a message is one that a parser can take as it is; timed: tempos count."""
    if message[0] != META:
        return True
    kind, size, data = message[1], message[2], message[3:]
    if kind == TEMPO:
        return timed and size == len(data) == 3 and any(data)
    if kind == TIME_SIGNATURE:
        return size == len(data) == 4 and data[0] > 0 and data[1] <= 6
    if kind == KEY_SIGNATURE:
        return size == len(data) == 2 and (data[0] + 7) % 256 <= 14 and data[1] <= 1
    return kind < 0x80


def _ends(events: Sequence[Event], tpq: int) -> Iterator[Event]:
    """Yield ends of the notes that have none."""
    onsets: dict[tuple[int, int], list[int]] = defaultdict(list)
    sounding: dict[tuple[int, int], deque[int]] = defaultdict(deque)
    for tick, message in events:
        kind = message[0] & 0xF0
        if kind not in (NOTE_ON, NOTE_OFF):
            continue
        key = message[0] & 0x0F, message[1]
        if strikes(message):
            onsets[key].append(tick)
            sounding[key].append(tick)
        elif sounding[key]:
            sounding[key].popleft()
    for (channel, pitch), ticks in sounding.items():
        struck = onsets[channel, pitch]
        for tick in ticks:
            following = bisect_right(struck, tick)
            end = tick + tpq
            if following < len(struck):
                end = min(end, struck[following])
            yield Event(end, bytes((NOTE_OFF | channel, pitch, 64)))

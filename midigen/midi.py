"""Scores as Standard MIDI Files, format 1 (MMA, Standard MIDI Files 1.0, 1996)."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from midigen.channels import MELODIC_CHANNELS, Channels, Part, assign
from midigen.programs import DRUMS, NAMES

TPQ = 480
MAX_TPQ = 0x7FFF
_MAX_DELTA = 0x0FFFFFFF
_MAX_TEMPO = 0xFFFFFF
_CENTRE = 8192
"""A pitch wheel at rest; symusic counts bends from it."""

NOTE_OFF, NOTE_ON, CONTROL, PROGRAM, BEND = 0x80, 0x90, 0xB0, 0xC0, 0xE0
_META_STATUS = 0xFF
TEXT, TRACK_NAME, END_OF_TRACK = 0x01, 0x03, 0x2F
TEMPO, TIME_SIGNATURE, KEY_SIGNATURE = 0x51, 0x58, 0x59
# Within one tick: notes end, then what shapes the sound changes, then notes begin.
_ENDS, _META, _PROGRAMS, _CONTROLS, _BEGINS = range(5)

Event = tuple[int, int, bytes]
"""Tick, order within the tick, message."""


def midi_bytes(score: Any, tpq: int = TPQ, title: str = "", text: str = "") -> bytes:
    """Return a `symusic.Score` in ticks as a MIDI file with `tpq` ticks a quarter (1..32767).

    The first track holds the title, a text, tempos, time and key signatures. Each track of the
    score follows, named, or else with its program's name; drums are on channel 10.
    """

    def scaled(tick: int) -> int:
        return (tick * tpq + score.ticks_per_quarter // 2) // score.ticks_per_quarter

    tracks = [_Track(track, scaled) for track in score.tracks]
    channels = assign([track.part for track in tracks])
    chunks = [track_chunk(_conductor(score, scaled, title, text))]
    chunks += [track_chunk(t.events(sent)) for t, sent in zip(tracks, channels, strict=True)]
    return join_chunks(chunks, tpq)


def channel_events(score: Any, channels: Callable[[Part], Channels]) -> list[Event]:
    """Return what a synthesizer gets of a `symusic.Score` in ticks: channel messages, in order."""
    tracks = [_Track(track, lambda tick: tick) for track in score.tracks]
    found = [event for track in tracks for event in track.events(channels(track.part))]
    return sorted((e for e in found if e[2][0] != _META_STATUS), key=lambda event: event[:2])


def join_chunks(chunks: Sequence[bytes], tpq: int) -> bytes:
    """Return the MIDI file of these track chunks."""
    header = (1).to_bytes(2) + len(chunks).to_bytes(2) + tpq.to_bytes(2)
    return b"MThd" + len(header).to_bytes(4) + header + b"".join(chunks)


def _conductor(score: Any, scaled: Callable[[int], int], title: str, text: str) -> list[Event]:
    events = [(0, _META, _meta(TRACK_NAME, title.encode()))] if title else []
    if text:
        events.append((0, _META, _meta(TEXT, text.encode())))
    for sign in score.time_signatures:
        # 24 MIDI clocks a quarter: a metronome click a beat; 8 notated 32nds a quarter.
        clocks = max(96 // sign.denominator, 1)
        data = bytes((sign.numerator, sign.denominator.bit_length() - 1, clocks, 8))
        events.append((scaled(sign.time), _META, _meta(TIME_SIGNATURE, data)))
    for key in score.key_signatures:
        data = bytes((key.key % 256, key.tonality))
        events.append((scaled(key.time), _META, _meta(KEY_SIGNATURE, data)))
    for tempo in score.tempos:
        length = min(max(tempo.mspq, 1), _MAX_TEMPO)
        events.append((scaled(tempo.time), _META, _meta(TEMPO, length.to_bytes(3))))
    return events


class _Track:
    """A track of a score with its times scaled: notes (start, end, pitch, velocity), by start."""

    def __init__(self, track: Any, scaled: Callable[[int], int]) -> None:
        self.program = DRUMS if track.is_drum else track.program
        self.kit = track.program
        self.name = track.name or ("Drums" if track.is_drum else NAMES[track.program])
        columns = track.notes.numpy()
        times, durations = columns["time"].tolist(), columns["duration"].tolist()
        starts = list(map(scaled, times))
        ends = [
            max(scaled(time + duration), start + 1)
            for time, duration, start in zip(times, durations, starts, strict=True)
        ]
        sounds = columns["pitch"].tolist(), columns["velocity"].tolist()
        self.notes = sorted(zip(starts, ends, *sounds, strict=True))
        self.part = Part(self.program, [note[:2] for note in self.notes])
        self.bends = [(scaled(bend.time), bend.value) for bend in track.pitch_bends]
        self.controls = [(scaled(c.time), c.number, c.value) for c in track.controls]

    def events(self, sent: Channels) -> list[Event]:
        """Return the track's events, sent on its channels."""
        events = [(0, _META, _meta(TRACK_NAME, self.name.encode()))]
        for tick, channel in sent.turns:
            events.append((tick, _PROGRAMS, bytes((PROGRAM | channel, self.kit))))
        for (start, end, pitch, velocity), channel in zip(self.notes, sent.notes, strict=True):
            events.append((start, _BEGINS, bytes((NOTE_ON | channel, pitch, velocity))))
            events.append((end, _ENDS, bytes((NOTE_OFF | channel, pitch, 64))))
        return events + list(self._shaping(sent.turns))

    def _shaping(self, turns: list[tuple[int, int]]) -> Iterator[Event]:
        """Yield controls and bends on the channel that the track has, not before it has one."""
        if not turns:
            return
        for tick, number, value in self.controls:
            tick, channel = _turn_at(turns, tick)
            yield tick, _CONTROLS, bytes((CONTROL | channel, number, value))
        for tick, value in self.bends:
            tick, channel = _turn_at(turns, tick)
            raw = value + _CENTRE
            yield tick, _CONTROLS, bytes((BEND | channel, raw & 0x7F, raw >> 7))


def _turn_at(turns: list[tuple[int, int]], tick: int) -> tuple[int, int]:
    """Return the tick at which something meant for `tick` can be sent, and its channel."""
    turn = max(bisect_right(turns, (tick, MELODIC_CHANNELS[-1])) - 1, 0)
    return max(tick, turns[turn][0]), turns[turn][1]


def _meta(kind: int, data: bytes) -> bytes:
    return bytes((_META_STATUS, kind)) + _length(len(data)) + data


def _length(value: int) -> bytes:
    """Return a variable-length quantity: seven bits a byte, the most significant first."""
    digits = [value & 0x7F]
    while value := value >> 7:
        digits.append(value & 0x7F | 0x80)
    return bytes(reversed(digits))


def track_chunk(events: Iterable[Event]) -> bytes:
    """Return a track chunk of events in any order; those of one tick and kind keep theirs."""
    data = bytearray()
    now = 0
    for tick, _, message in sorted(events, key=lambda event: event[:2]):
        while tick - now > _MAX_DELTA:
            data += _length(_MAX_DELTA) + _meta(TEXT, b"")
            now += _MAX_DELTA
        data += _length(tick - now) + message
        now = tick
    data += _length(0) + _meta(END_OF_TRACK, b"")
    return b"MTrk" + len(data).to_bytes(4) + data

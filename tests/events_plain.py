"""`events` in plain Python over mido's messages, event by event: what the array code must equal.

Checked against the same vectors. Also random MIDI files, to compare on what the vectors lack.
"""

import io
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import mido
import numpy as np

SIZES = {
    "time1": 128,
    "time2": 16,
    "duration": 2048,
    "track": 128,
    "channel": 16,
    "pitch": 128,
    "velocity": 128,
    "patch": 128,
    "controller": 128,
    "value": 128,
    "bpm": 384,
    "nn": 16,
    "dd": 4,
    "sf": 15,
    "mi": 2,
}
PARAMETERS = {
    "note": ("channel", "pitch", "velocity", "duration"),
    "patch": ("channel", "patch"),
    "control": ("channel", "controller", "value"),
    "tempo": ("bpm",),
    "signature": ("nn", "dd"),
    "key": ("sf", "mi"),
}
ORDER = ("signature", "key", "tempo", "patch", "control", "note")
REPLACED = {"note": 2, "signature": 2, "key": 2, "patch": 1, "control": 1, "tempo": 1}
"""How many of the last parameters a later event of the same time and place changes."""
KEYS = {name: key for key, name in mido.midifiles.meta._key_signature_decode.items()}


@dataclass
class Event:
    """time: in sixteenths of a beat. begins: its message's place in the track."""

    kind: str
    time: int
    track: int
    own: list[int]
    begins: int = 0

    @property
    def subject(self) -> tuple[Any, ...]:
        return (self.kind, self.track, *self.own[: -REPLACED[self.kind]])

    @property
    def place(self) -> tuple[int, int, int]:
        return self.time, self.track, ORDER.index(self.kind)


def encode(data: bytes, optimise: bool) -> list[list[int]]:
    """Return rows of eight ids. Raises whatever mido does for a file that it cannot read."""
    file = mido.MidiFile(file=io.BytesIO(data), clip=True)
    counts: Counter[int] = Counter()
    events = []
    for number, track in enumerate(file.tracks[:128]):
        events += _read_track(number, track, file.ticks_per_beat, counts)
    settled = any(event.kind == "key" and event.own != [7, 0] for event in events)
    if optimise:
        events, tracks = _optimised(events)
    else:
        tracks = {number: set[int]() for number in range(len(file.tracks[:128]))}
        for event in events:
            if event.kind == "note":
                tracks[event.track].add(event.own[0])
    if not settled:
        drums = {number for number, channels in tracks.items() if channels == {9}}
        events = _with_key(events, counts, sorted(tracks), drums)
    return _written(_gathered(sorted(events, key=lambda event: event.place)))


def _read_track(number: int, track: Any, tpq: int, counts: Counter[int]) -> list[Event]:
    """Return a track's events; count the pitch classes of notes off the drums' channel."""
    found: dict[tuple[Any, ...], Event] = {}
    last_note: dict[tuple[int, int], Event] = {}
    last: dict[tuple[Any, ...], int] = {}
    for kind, tick, begins, own in _spelled(track):
        event = Event(kind, round(16 * tick / tpq), number, own, begins)
        if kind == "note":
            own[-1] = max(1, round(16 * own[-1] / tpq))
            counts[own[1] % 12] += own[0] != 9
            before = last_note.get((own[0], own[1]))
            if before is not None:
                before.own[-1] = min(before.own[-1], event.time - before.time)
                if before.own[-1] == 0:
                    del found[before.time, before.subject]
            last_note[own[0], own[1]] = event
        elif kind == "patch":
            if last.get(event.subject) == own[-1]:
                continue
            last[event.subject] = own[-1]
        elif kind in ("control", "tempo"):
            if abs(last.get(event.subject, 0) - own[-1]) < 4:
                continue
            last[event.subject] = own[-1]
        first = found.get((event.time, event.subject), event)
        found[event.time, event.subject] = replace(event, begins=first.begins)
        if kind == "note":
            found[event.time, event.subject] = event
    return list(found.values())


def _spelled(track: Any) -> list[tuple[str, int, int, list[int]]]:
    """Return (kind, tick, place of its message, parameters); notes stand where they end."""
    found: list[tuple[str, int, int, list[int]]] = []
    sounding: list[tuple[int, int, Any]] = []
    tick = 0

    def end(start: int, place: int, m: Any) -> None:
        found.append(("note", start, place, [m.channel, m.note, m.velocity, tick - start]))

    for place, m in enumerate(track):
        tick += m.time
        if m.type == "note_on" and m.velocity:
            sounding.append((tick, place, m))
        elif m.type in ("note_on", "note_off"):
            same = [s for s in sounding if (s[2].channel, s[2].note) == (m.channel, m.note)]
            if same:
                sounding.remove(same[0])
                end(*same[0])
        elif m.type == "program_change":
            found.append(("patch", tick, place, [m.channel, m.program]))
        elif m.type == "control_change":
            found.append(("control", tick, place, [m.channel, m.control, m.value]))
        elif m.type == "set_tempo" and m.tempo:
            found.append(("tempo", tick, place, [min(int(60_000_000 / m.tempo), 383)]))
        elif m.type == "time_signature":
            exponent = m.denominator.bit_length() - 1
            if 1 <= m.numerator <= 16 and 1 <= exponent <= 4:
                found.append(("signature", tick, place, [m.numerator - 1, exponent - 1]))
        elif m.type == "key_signature":
            sharps, minor = KEYS[m.key]
            found.append(("key", tick, place, [sharps + 7, minor]))
    for each in sounding:
        end(*each)
    return found


def _optimised(events: list[Event]) -> tuple[list[Event], dict[int, set[int]]]:
    """Return the events renumbered, and the channel of each new track."""
    sounding = {event.own[0] for event in events if event.kind == "note"}
    on_channel = [event for event in events if event.kind in ("note", "patch", "control")]
    named = sorted(on_channel, key=lambda event: (event.track, event.begins))
    order = list(dict.fromkeys(e.own[0] for e in named if e.own[0] in sounding - {9}))
    channels = dict(zip(order, (*range(9), *range(10, 16)), strict=False)) | {9: 9}
    pairs = {(channels[e.own[0]], e.track, e.own[0]) for e in events if e.kind == "note"}
    tracks = {(track, old): n for n, (_, track, old) in enumerate(sorted(pairs), 1)}
    made: list[Event] = []
    for event in events:
        if event.kind in ("tempo", "signature"):
            made.append(replace(event, track=0))
        elif event.kind != "key" and event.own[0] in sounding:
            old = event.own[0]
            first = min(n for (_, channel), n in tracks.items() if channel == old)
            track = tracks.get((event.track, old), first)
            made.append(replace(event, track=track, own=[channels[old], *event.own[1:]]))
    keys = [event for event in events if event.kind == "key"]
    placed = [
        replace(key, track=n)
        for key in keys
        for (track, _), n in tracks.items()
        if track == key.track
    ]
    made += placed or [replace(key, track=0) for key in keys]
    for old in sounding - {event.own[0] for event in events if event.kind == "patch"}:
        first = min(n for (_, channel), n in tracks.items() if channel == old)
        made.append(Event("patch", 0, first, [channels[old], 0]))
    return made, {n: {channels[old]} for (_, old), n in tracks.items()}


def _with_key(
    events: list[Event], counts: Counter[int], tracks: list[int], drums: set[int]
) -> list[Event]:
    """Return the events with the key that the notes tell, or with none."""
    common = sorted(range(12), key=lambda pitch: -counts[pitch])[:7]
    keys = [event for event in events if event.kind == "key"]
    scales = [sharps for sharps in range(-5, 7) if set(common) == _scale(sharps)]
    if sum(counts[pitch] for pitch in common) < 0.7 * counts.total() or not scales or not counts:
        return [event for event in events if event.kind != "key"]
    if not keys:
        keys = [Event("key", 0, track, [7, 0]) for track in tracks]
        events = events + keys
    for key in keys:
        key.own = [7 if key.track in drums else 7 + scales[0], 0]
    return events


def _scale(sharps: int) -> set[int]:
    """Return the pitch classes of a major scale: seven fifths, from one below its tonic."""
    return {(7 * (sharps + fifth)) % 12 for fifth in range(-1, 6)}


def _gathered(events: list[Event]) -> list[Event]:
    """Return the events with those up to the first note, which come first, moved to time 0."""
    first = min((event.time for event in events if event.kind == "note"), default=0)
    setup: dict[tuple[Any, ...], Event] = {}
    for event in events:
        if event.time <= first and event.kind != "note":
            moved = event.time if event.kind == "signature" else 0
            setup[event.subject] = replace(event, time=moved)
    rest = [event for event in events if event.time > first or event.kind == "note"]
    return sorted([*setup.values(), *rest], key=lambda event: event.place)


def _written(events: list[Event]) -> list[list[int]]:
    """Return rows of ids; what does not fit into its block is left out."""
    firsts, first = {}, 9
    for name, size in SIZES.items():
        firsts[name] = first
        first += size
    types = ("note", "patch", "control", "tempo", "signature", "key")
    rows, last = [], 0
    for event in events:
        beat = event.time // 16
        names = ("time1", "time2", "track", *PARAMETERS[event.kind])
        values = (beat - last, event.time % 16, event.track, *event.own)
        if all(0 <= value < SIZES[name] for name, value in zip(names, values, strict=True)):
            ids = [firsts[name] + value for name, value in zip(names, values, strict=True)]
            rows.append(([3 + types.index(event.kind), *ids] + [0] * 8)[:8])
            last = beat
    return rows


def random_midi(rng: np.random.Generator, events: int = 60) -> bytes:
    """Return a MIDI file with all that is rare: overlaps, notes without an end, running status."""
    tpq = int(rng.choice([1, 24, 96, 100, 480]))
    key = int(rng.integers(12))
    tracks = [_random_track(rng, tpq, events, key) for _ in range(rng.integers(1, 5))]
    header = b"MThd" + bytes((0, 0, 0, 6, 0, 1)) + len(tracks).to_bytes(2) + tpq.to_bytes(2)
    return header + b"".join(b"MTrk" + len(track).to_bytes(4) + track for track in tracks)


def _random_track(rng: np.random.Generator, tpq: int, events: int, key: int) -> bytes:
    channels = rng.choice([0, 1, 3, 9, 12], size=rng.integers(1, 4)).tolist()
    scale = [pitch for pitch in range(60, 72) if (pitch - key) % 12 in (0, 2, 4, 5, 7, 9, 11)]
    data, running = bytearray(), 0
    for _ in range(rng.integers(events)):
        data += _length(int(rng.choice([0, 0, 1, tpq // 4, tpq, 3 * tpq, 140 * tpq], p=_DELTAS)))
        status, body = _random_message(rng, int(rng.choice(channels)), scale)
        if status < 0xF0:
            if status != running or rng.random() < 0.2:
                data.append(status)
            running = status
        else:
            data.append(status)
            # Behind a system exclusive message mido would take its status to run on.
            running = running if status == 0xFF else 0
        data += body
    return bytes(data + _length(tpq) + bytes((0xFF, 0x2F, 0)))


_DELTAS = (0.3, 0.1, 0.1, 0.25, 0.2, 0.045, 0.005)


def _random_message(rng: np.random.Generator, channel: int, scale: list[int]) -> tuple[int, bytes]:
    """Return a status, and the bytes behind it."""
    a, b = (int(number) for number in rng.integers(128, size=2))
    pitch = int(rng.choice(scale)) if rng.random() < 0.95 else a
    kind = rng.choice(
        [
            "on",
            "off",
            "patch",
            "control",
            "pressure",
            "bend",
            "tempo",
            "ts",
            "key",
            "text",
            "sysex",
        ],
        p=[0.4, 0.32, 0.06, 0.1, 0.02, 0.02, 0.02, 0.015, 0.015, 0.015, 0.015],
    )
    match kind:
        case "on":
            return 0x90 | channel, bytes((pitch, b if rng.random() < 0.9 else 0))
        case "off":
            return 0x80 | channel, bytes((pitch, b))
        case "patch":
            return 0xC0 | channel, bytes((a % 3,))
        case "control":
            return 0xB0 | channel, bytes((a % 3, b % 16))
        case "pressure":
            return 0xD0 | channel, bytes((a,))
        case "bend":
            return 0xE0 | channel, bytes((a, b))
        case "tempo":
            return 0xFF, b"\x51\x03" + int(rng.choice([0, 400_000, 410_000, 16_000_000])).to_bytes(
                3
            )
        case "ts":
            return 0xFF, bytes((0x58, 4, a % 18, b % 6, 24, 8))
        case "key":
            sharps = int(rng.choice([0, 0, 0, 3, 256 - 2]))
            return 0xFF, bytes((0x59, 2, sharps, int(rng.random() < 0.1)))
        case "text":
            return 0xFF, bytes((0x01, 3)) + b"a\xf0\xff"
        case _:
            return 0xF0, bytes((3, 0x43, 0x01, 0xF7))


def _length(value: int) -> bytes:
    """Return a variable-length quantity."""
    digits = [value & 0x7F]
    while value := value >> 7:
        digits.append(value & 0x7F | 0x80)
    return bytes(reversed(digits))

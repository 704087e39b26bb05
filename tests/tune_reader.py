"""Reads tunes written in a part of ABC notation (abcnotation.com, standard 2.1) and makes MIDI.

Understood: the fields ``T C O M L Q K V``, ``[M:..]``, ``[L:..]`` and ``[Q:..]`` inside a line,
``%%MIDI program N`` and ``%%MIDI channel 10`` (drums), notes with accidentals, octaves and lengths,
chords, rests, ties, triplets, simple repeats and ``!p!`` dynamics. Each voice becomes a track.
"""

import io
import re
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import mido

TICKS_PER_QUARTER = 480
DRUM_CHANNEL = 9
NATURAL = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
ACCIDENTAL = {"^": 1, "_": -1, "=": 0}
DYNAMICS = {"pp": 38, "p": 52, "mp": 66, "mf": 80, "f": 96, "ff": 112}
# Keys by their number of sharps (flats are negative).
SHARPS = {"C": 0, "G": 1, "D": 2, "A": 3, "F": -1, "Bb": -2, "Eb": -3, "Am": 0, "Em": 1, "Ddor": 0}
ORDER_OF_SHARPS = "FCGDAEB"

NOTE = r"[\^_=]?[A-Ga-gz][,']*"
LENGTH = r"\d*(?:/\d*)?"
TOKEN = re.compile(
    rf"\[(?P<field>[MLQ]):(?P<value>[^\]]+)\]|(?P<length>L:\d+/\d+)|!(?P<dynamic>[a-z]+)!"
    rf"|(?P<bar>:\|:|\|\]|\|:|:\||\|)|(?P<triplet>\(3)|\[(?P<chord>(?:{NOTE})+)\](?P<long>{LENGTH})"
    rf"(?P<tied>-?)|(?P<note>{NOTE})(?P<note_long>{LENGTH})(?P<note_tied>-?)|\s+"
)


@dataclass
class Voice:
    """One track: timed messages, in fractions of a whole note from the start."""

    name: str
    program: int = 0
    is_drums: bool = False
    unit: Fraction = Fraction(1, 8)
    meter: Fraction = Fraction(1)
    body: list[tuple[str, re.Match[str]]] = field(default_factory=list)
    notes: list[tuple[Fraction, Fraction, int, int]] = field(default_factory=list)
    metas: list[tuple[Fraction, mido.MetaMessage]] = field(default_factory=list)


def read_tune(path: Path) -> bytes:
    """Return a tune as a standard MIDI file of format 1.

    Raises ValueError with file, line and bar where the text is not understood or a bar inside the
    tune does not fill its meter.
    """
    header: dict[str, str] = {}
    voices: list[Voice] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        where = f"{path.name}:{number}"
        if line.startswith("%%MIDI"):
            _, kind, value = line.split()
            if kind == "program":
                voices[-1].program = int(value)
            elif (kind, value) == ("channel", "10"):
                voices[-1].is_drums = True
            else:
                raise ValueError(f"{where}: {line!r} is not understood")
        elif line.startswith("%") or not line.strip():
            continue
        elif re.match(r"[A-Z]:", line) and not (voices and line[0] != "V"):
            if line[0] == "V":
                unit, meter = Fraction(header["L"]), Fraction(header["M"])
                voices.append(Voice(line[2:].strip(), unit=unit, meter=meter))
            else:
                header[line[0]] = line[2:].strip()
        else:
            voices[-1].body += [(where, token) for token in tokenize(line, where)]
    for voice in voices:
        play(voice, SHARPS[header["K"]])
    return to_midi(header, voices)


def tokenize(line: str, where: str) -> list[re.Match[str]]:
    """Split a line of music into its tokens."""
    tokens, place = [], 0
    while place < len(line):
        token = TOKEN.match(line, place)
        if token is None or token.end() == place:
            raise ValueError(f"{where}: {line[place : place + 12]!r} is not understood")
        tokens.append(token)
        place = token.end()
    return tokens


def unfold(body: list[tuple[str, re.Match[str]]]) -> list[tuple[str, re.Match[str]]]:
    """Write repeats out: what stands between ``|:`` (or the start) and ``:|`` comes twice."""
    played: list[tuple[str, re.Match[str]]] = []
    start = 0
    for item in body:
        bar = item[1]["bar"] or ""
        played.append(item)
        if bar.startswith(":"):
            played += played[start:]
        if ":" in bar:
            start = len(played)
    return played


def play(voice: Voice, sharps: int) -> None:
    """Fill the voice's notes and metas from its body."""
    body = unfold(voice.body)
    last_bar_line = max(i for i, (_, token) in enumerate(body) if token["bar"])
    player = Player(voice, sharps)
    for i, (where, token) in enumerate(body):
        if token["bar"]:
            player.bar_line(where, is_inside=i < last_bar_line)
        elif token["note"] or token["chord"]:
            player.sound(token)
        else:
            player.change(token)


class Player:
    """Where a voice is while it is played; times are fractions of a whole note."""

    def __init__(self, voice: Voice, sharps: int) -> None:
        self.voice = voice
        self.sharps = sharps
        self.now = self.bar_start = Fraction(0)
        self.bar_number = 0
        self.velocity = DYNAMICS["mf"]
        self.triplet_notes_left = 0
        self.altered: dict[str, int] = {}
        self.tied: dict[int, int] = {}  # pitch: place in voice.notes

    def bar_line(self, where: str, *, is_inside: bool) -> None:
        """End the bar. A pickup and the last bar may be short; the others fill their meter."""
        if self.now > self.bar_start:
            self.bar_number += 1
            is_full = self.now - self.bar_start == self.voice.meter
            if self.bar_number > 1 and is_inside and not is_full:
                raise ValueError(
                    f"{where}: bar {self.bar_number} of voice {self.voice.name} is not full"
                )
        self.bar_start, self.altered = self.now, {}

    def change(self, token: re.Match[str]) -> None:
        """Take a meter, tempo, unit, dynamic or the sign of a triplet."""
        if token["field"] == "M":
            self.voice.meter = Fraction(token["value"])
            self.voice.metas.append((self.now, signature(token["value"])))
        elif token["field"] == "Q":
            self.voice.metas.append((self.now, tempo(token["value"])))
        elif token["field"] == "L" or token["length"]:
            self.voice.unit = Fraction(token["value"] or token["length"][2:])
        elif token["dynamic"]:
            self.velocity = DYNAMICS[token["dynamic"]]
        elif token["triplet"]:
            self.triplet_notes_left = 3

    def sound(self, token: re.Match[str]) -> None:
        """Play a note, a chord or a rest."""
        length = self.voice.unit * factor(token["long"] or token["note_long"] or "")
        if self.triplet_notes_left:
            length *= Fraction(2, 3)
            self.triplet_notes_left -= 1
        ties: dict[int, int] = {}
        for name in re.findall(NOTE, token["chord"] or token["note"]):
            if name != "z":
                number = pitch(name, self.sharps, self.altered)
                ties[number] = self.add_note(number, length)
        self.tied = ties if token["tied"] or token["note_tied"] else {}
        self.now += length

    def add_note(self, number: int, length: Fraction) -> int:
        """Add a note, or lengthen the one that is tied to it; return its place."""
        notes = self.voice.notes
        if number not in self.tied:
            notes.append((self.now, length, number, self.velocity))
            return len(notes) - 1
        place = self.tied[number]
        onset, so_far, _, velocity = notes[place]
        notes[place] = (onset, so_far + length, number, velocity)
        return place


def factor(text: str) -> Fraction:
    """Return the number of units in a written length: nothing is 1, ``/`` is a half."""
    over, slash, under = text.partition("/")
    return Fraction(int(over or 1), int(under or 2) if slash else 1)


def pitch(name: str, sharps: int, altered: dict[str, int]) -> int:
    """Return the MIDI number of a note; an accidental holds until the bar line."""
    match = re.fullmatch(r"([\^_=]?)([A-Ga-g])([,']*)", name)
    assert match
    sign, letter, octaves = match.groups()
    step = letter.upper()
    place = letter + octaves
    if sign:
        altered[place] = ACCIDENTAL[sign]
    is_sharp = step in ORDER_OF_SHARPS[: max(sharps, 0)]
    is_flat = sharps < 0 and step in ORDER_OF_SHARPS[sharps:]
    octave = 5 + letter.islower() + octaves.count("'") - octaves.count(",")
    return 12 * octave + NATURAL[step] + altered.get(place, is_sharp - is_flat)


def signature(text: str) -> mido.MetaMessage:
    """Return the time signature of ``6/8``."""
    over, under = map(int, text.split("/"))
    return mido.MetaMessage("time_signature", numerator=over, denominator=under)


def tempo(text: str) -> mido.MetaMessage:
    """Return the tempo of ``1/4=120``, in microseconds a quarter."""
    beat, per_minute = text.split("=")
    quarters = Fraction(beat) * 4 * int(per_minute)
    return mido.MetaMessage("set_tempo", tempo=round(60_000_000 / quarters))


def to_midi(header: dict[str, str], voices: list[Voice]) -> bytes:
    """Return the bytes of the file: a track of metas, then one track a voice."""
    start = Fraction(0)
    # mido writes Latin-1; the title's UTF-8 bytes pass through it unchanged.
    title = header["T"].encode().decode("latin-1")
    metas = [
        (start, mido.MetaMessage("track_name", name=title)),
        (start, signature(header["M"])),
        (start, tempo(header["Q"])),
        *voices[0].metas,
    ]
    song = mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_QUARTER)
    song.tracks.append(track(metas))
    channels = iter(channel for channel in range(16) if channel != DRUM_CHANNEL)
    for voice in voices:
        channel = DRUM_CHANNEL if voice.is_drums else next(channels)
        events = [(start, mido.Message("program_change", channel=channel, program=voice.program))]
        for onset, length, number, velocity in voice.notes:
            on = mido.Message("note_on", channel=channel, note=number, velocity=velocity)
            events += [(onset, on), (onset + length, on.copy(velocity=0))]
        song.tracks.append(track(events))
    file = io.BytesIO()
    song.save(file=file)
    return file.getvalue()


def track(events: list[tuple[Fraction, mido.Message | mido.MetaMessage]]) -> mido.MidiTrack:
    """Return a track; where times are equal, notes end before others start."""

    def order(event: tuple[Fraction, mido.Message]) -> tuple[Fraction, bool]:
        return event[0], event[1].type == "note_on" and event[1].velocity > 0

    result, before = mido.MidiTrack(), 0
    for time, message in sorted(events, key=order):
        tick = time * 4 * TICKS_PER_QUARTER
        if tick.denominator != 1:
            raise ValueError(f"{time} of a whole note is no whole number of ticks")
        result.append(message.copy(time=int(tick) - before))
        before = int(tick)
    return result

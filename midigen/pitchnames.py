"""Pitches by name: ``C4`` is 60, middle C; chords are names or pitch classes, joined by dots."""

import re
from collections.abc import Iterable
from functools import cache

CLASSES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_NAME = re.compile(r"([A-G]#?)(-?\d)\Z")


def name_of(pitch: int) -> str:
    """Return the name of a pitch 0..127, spelt with sharps: 61 is ``C#4``."""
    return f"{CLASSES[pitch % 12]}{pitch // 12 - 1}"


def pitch_of(name: str) -> int | None:
    """Return the pitch of a name as `name_of` spells it; None for any other text."""
    match = _NAME.match(name)
    if match is None or match[1] not in CLASSES:
        return None
    pitch = CLASSES.index(match[1]) + 12 * (int(match[2]) + 1)
    return pitch if 0 <= pitch <= 127 else None


def name_chord(pitches: Iterable[int]) -> str:
    """Return ``C4.E4.G4`` for 60, 64, 67: lowest first."""
    return ".".join(map(name_of, sorted(pitches)))


def name_classes(classes: Iterable[int]) -> str:
    """Return ``0.4.7`` for the pitch classes of C major: C, 0, first."""
    return ".".join(map(str, sorted(classes)))


@cache
def read_classes(text: str) -> tuple[int, ...] | None:
    """Return the pitch classes, two or more, that `name_classes` has named; else None."""
    parts = text.split(".")
    if len(parts) < 2 or not all(part.isdecimal() for part in parts):
        return None
    classes = tuple(map(int, parts))
    return classes if name_classes({c % 12 for c in classes}) == text else None


@cache
def read_pitches(text: str) -> tuple[int, ...] | None:
    """Return the pitches that `name_of` or `name_chord` has named; None for any other text."""
    pitches = [pitch_of(name) for name in text.split(".")]
    known = tuple(pitch for pitch in pitches if pitch is not None)
    return known if len(known) == len(pitches) else None


def shift_named(text: str, semitones: int) -> str:
    """Return the name of a pitch or chord `semitones` higher; empty where it leaves 0..127.

    Raises ValueError for what is neither.
    """
    if (classes := read_classes(text)) is not None:
        return name_classes((c + semitones) % 12 for c in classes)
    pitches = read_pitches(text)
    if pitches is None:
        raise ValueError(f"{text!r} names no pitches")
    moved = [pitch + semitones for pitch in pitches]
    return name_chord(moved) if all(0 <= pitch <= 127 for pitch in moved) else ""

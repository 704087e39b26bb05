"""Pitches by name: ``C4`` is 60, middle C; chords are names or pitch classes, joined by dots."""

import re
from collections.abc import Iterable

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
    return CLASSES.index(match[1]) + 12 * (int(match[2]) + 1)


def name_chord(pitches: Iterable[int]) -> str:
    """Return ``C4.E4.G4`` for 60, 64, 67: lowest first."""
    return ".".join(map(name_of, sorted(pitches)))


def name_classes(classes: Iterable[int]) -> str:
    """Return ``0.4.7`` for the pitch classes of C major: C, 0, first."""
    return ".".join(map(str, sorted(classes)))


def read_classes(text: str) -> list[int] | None:
    """Return the pitch classes 0..11 that `name_classes` has named; None for any other text."""
    if not all(part.isdecimal() for part in text.split(".")):
        return None
    classes = [int(part) for part in text.split(".")]
    return classes if name_classes({c % 12 for c in classes}) == text else None


def read_pitches(text: str) -> list[int] | None:
    """Return the pitches that `name_of` or `name_chord` has named; None for any other text."""
    pitches = [pitch_of(name) for name in text.split(".")]
    known = [pitch for pitch in pitches if pitch is not None]
    return known if len(known) == len(pitches) else None


def shift(text: str, semitones: int) -> str | None:
    """Return the name of a pitch, chord or chord of pitch classes `semitones` higher.

    None for any other text, and for pitches that leave 0..127.
    """
    if (classes := read_classes(text)) is not None:
        return name_classes((c + semitones) % 12 for c in classes)
    pitches = read_pitches(text)
    if pitches is None or not all(0 <= p + semitones <= 127 for p in pitches):
        return None
    return name_chord(p + semitones for p in pitches)

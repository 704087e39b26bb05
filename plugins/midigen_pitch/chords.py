"""Chords of `pitch`: ascending tuples of pitch classes 0..11 (``classes``) or pitches (``sets``).

Names: ``0.4.7``, ``C4.E4.G4``.
"""

from itertools import combinations

from midigen import pitchnames

LOWEST, HIGHEST = 21, 108
"""The pitches of a piano."""

Chord = tuple[int, ...]


def name_of(chord: Chord, kind: str) -> str:
    return pitchnames.name_classes(chord) if kind == "classes" else pitchnames.name_chord(chord)


def chord_of(name: str, kind: str) -> Chord | None:
    """Return the chord, of two notes or more, that `name_of` names so; None for any other text."""
    read = pitchnames.read_classes if kind == "classes" else pitchnames.read_pitches
    chord = tuple(sorted(set(read(name) or ())))
    if len(chord) < 2 or name_of(chord, kind) != name:
        return None
    return chord if kind == "classes" or LOWEST <= chord[0] <= chord[-1] <= HIGHEST else None


def all_classes() -> list[Chord]:
    """Return the 4,083 sets of two pitch classes or more, small ones first."""
    return [chord for size in range(2, 13) for chord in combinations(range(12), size)]


def sounding(chord: Chord, kind: str) -> list[int]:
    """Return the pitches with which a chord is played.

    Pitch classes lie as close together as can be, the lowest from C4 to B4: 0.5.9 is F4 A4 C5.
    """
    if kind == "sets":
        return list(chord)
    below = [(c - before) % 12 for before, c in zip(chord[-1:] + chord[:-1], chord, strict=True)]
    first = below.index(max(below))
    return [60 + c for c in chord[first:]] + [72 + c for c in chord[:first]]


def shifted(chord: Chord, kind: str, semitones: int) -> Chord | None:
    """Return a chord `semitones` higher; None where it leaves the range."""
    if kind == "classes":
        return tuple(sorted((c + semitones) % 12 for c in chord))
    if not LOWEST <= chord[0] + semitones <= chord[-1] + semitones <= HIGHEST:
        return None
    return tuple(pitch + semitones for pitch in chord)


def shape_of(chord: Chord, kind: str) -> Chord:
    """Return what all transpositions of a chord have in common."""
    if kind == "classes":
        return min(tuple(sorted((c + semitones) % 12 for c in chord)) for semitones in range(12))
    return tuple(pitch - chord[0] for pitch in chord)

"""Musical keys under transposition: names (`meta.key`), fifths (key signatures), chord roots."""

import re
from typing import Any

_MAJOR = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_MINOR = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B")
_SHARPS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_ACCIDENTALS = {"": 0, "#": 1, "♯": 1, "b": -1, "♭": -1}
_KEY = re.compile(
    r"(?P<root>[A-Ga-g])(?P<sign>[#b♯♭]?)(?P<mode>[ :_-]*(?:(?P<minor>m|min|minor)|M|maj|major)?)\Z"
)


def shift_fifths(fifths: int, semitones: int) -> int:
    """Return the key signature (-7 flats .. 7 sharps) `semitones` higher, spelt most simply."""
    return (fifths + 7 * semitones + 5) % 12 - 5 if semitones % 12 else fifths


def shift_root(root: str, semitones: int) -> str:
    """Return the root of a chord (C, C# ... B) `semitones` higher, spelt with sharps."""
    return _SHARPS[(_SHARPS.index(root) + semitones) % 12] if root in _SHARPS else root


def shift_key(key: Any, semitones: int) -> Any:
    """Return a key as people write it (``Eb``, ``F#m``, ``a minor``, ``C:maj``, a pitch class
    0..11), `semitones` higher and written the same way. None for what is no key.
    """
    if isinstance(key, list):
        return [moved for item in key if (moved := shift_key(item, semitones)) is not None]
    if isinstance(key, int) and not isinstance(key, bool):
        return (key + semitones) % 12 if 0 <= key < 12 else None
    match = _KEY.match(key) if isinstance(key, str) else None
    if match is None:
        return None
    is_minor = bool(match["minor"]) or (match["root"].islower() and not match["mode"].strip())
    pitch_class = _LETTERS[match["root"].upper()] + _ACCIDENTALS[match["sign"]] + semitones
    root = (_MINOR if is_minor else _MAJOR)[pitch_class % 12]
    return (root[0].lower() + root[1:] if match["root"].islower() else root) + match["mode"]

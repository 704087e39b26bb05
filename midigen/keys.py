"""Musical keys under transposition: names (`meta.key`), fifths (key signatures), chord roots."""

import re
from typing import Any, NamedTuple

_MAJOR = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_MINOR = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B")
_SHARPS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_ACCIDENTALS = {"": 0, "#": 1, "♯": 1, "b": -1, "♭": -1}
_KEY = re.compile(
    r"(?P<root>[A-Ga-g])(?P<sign>[#b♯♭]?)(?P<mode>[ :_-]*(?:(?P<minor>m|min|minor)|M|maj|major)?)\Z"
)


class Key(NamedTuple):
    """A tonic, as a pitch class 0..11 (C is 0), and whether the key is minor."""

    tonic: int
    is_minor: bool

    def __str__(self) -> str:
        return _MINOR[self.tonic] + "m" if self.is_minor else _MAJOR[self.tonic]


def read_key(key: Any) -> Key | None:
    """Return the key that people write as ``Eb``, ``F#m``, ``a minor``, ``C:maj``, or as a pitch
    class 0..11 (taken for major); of a list the first that can be read. None for what is no key.
    """
    if isinstance(key, list):
        return next((found for item in key if (found := read_key(item)) is not None), None)
    if isinstance(key, int) and not isinstance(key, bool):
        return Key(key, False) if 0 <= key < 12 else None
    match = _KEY.match(key) if isinstance(key, str) else None
    if match is None:
        return None
    tonic = _LETTERS[match["root"].upper()] + _ACCIDENTALS[match["sign"]]
    return Key(tonic % 12, _is_minor(match))


def _is_minor(match: re.Match[str]) -> bool:
    return bool(match["minor"]) or (match["root"].islower() and not match["mode"].strip())


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
    pitch_class = _LETTERS[match["root"].upper()] + _ACCIDENTALS[match["sign"]] + semitones
    root = (_MINOR if _is_minor(match) else _MAJOR)[pitch_class % 12]
    return (root[0].lower() + root[1:] if match["root"].islower() else root) + match["mode"]

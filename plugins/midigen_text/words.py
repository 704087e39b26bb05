"""Where words begin in bytes: merges stay within them."""

import numpy as np

_SPACE, _APOSTROPHE = 0x20, 0x27
_WHITE, _LETTER, _DIGIT, _OTHER = range(4)
_PUNCTUATION = (0xE2, (0x80, 0x81))
"""The first bytes of U+2000 to U+207F, each with one more behind it."""
_RIGHT_QUOTE = (0xE2, 0x80, 0x99)
"""U+2019, which many books have for the apostrophe."""


def _classes() -> np.ndarray:
    """Return (256,) int8: the class of each byte by itself."""
    classes = np.full(256, _OTHER, dtype=np.int8)
    classes[[0x09, 0x0A, 0x0B, 0x0C, 0x0D, _SPACE]] = _WHITE
    classes[ord("0") : ord("9") + 1] = _DIGIT
    classes[ord("A") : ord("Z") + 1] = classes[ord("a") : ord("z") + 1] = _LETTER
    classes[0x80:] = _LETTER
    return classes


_CLASSES = _classes()


def word_starts(ids: np.ndarray) -> np.ndarray:
    """Return the indices of bytes (T,) at which a word begins, ascending, int64.

    Whether one begins at a place depends on a few bytes around it. From a place at which one
    begins, the rest by itself has the same words.
    """
    data = np.asarray(ids, dtype=np.uint8)
    if not len(data):
        return np.zeros(0, dtype=np.int64)
    kinds = _kinds(data)
    starts = np.empty(len(data), dtype=bool)
    starts[0] = True
    starts[1:] = kinds[1:] != kinds[:-1]
    # The last space of a gap goes with the word behind it.
    leads = np.flatnonzero((data[:-1] == _SPACE) & (kinds[1:] != _WHITE))
    starts[leads] = True
    starts[leads + 1] = False
    return np.flatnonzero(starts)


def _kinds(data: np.ndarray) -> np.ndarray:
    """Return (T,) int8: the class of each byte where it stands."""
    kinds = _CLASSES[data]
    marks = np.flatnonzero(data[:-2] == _PUNCTUATION[0])
    marks = marks[np.isin(data[marks + 1], _PUNCTUATION[1])]
    kinds[marks[:, None] + np.arange(3)] = _OTHER
    quotes = marks[(data[marks + 1] == _RIGHT_QUOTE[1]) & (data[marks + 2] == _RIGHT_QUOTE[2])]
    _join(kinds, quotes, 3)
    _join(kinds, np.flatnonzero(data == _APOSTROPHE), 1)
    return kinds


def _join(kinds: np.ndarray, marks: np.ndarray, size: int) -> None:
    """Make apostrophes of `size` bytes at `marks` letters where they stand between letters."""
    marks = marks[(marks > 0) & (marks < len(kinds) - size)]
    marks = marks[(kinds[marks - 1] == _LETTER) & (kinds[marks + size] == _LETTER)]
    kinds[marks[:, None] + np.arange(size)] = _LETTER

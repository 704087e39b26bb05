"""Scores moved into another key."""

from functools import cache
from typing import Any

import numpy as np

from midigen.errors import Reject
from midigen.keys import Key, shift_fifths
from midigen.moves import pitches_of
from midigen.protocols import Tokenizer
from midigen.tonality import find_key
from midigen.vocab import Vocab


def found_key(score: Any) -> Key | None:
    """Return the key that `midigen.tonality` finds; None for a score of drums alone.

    Raises Reject (``key``) where there are notes and no key fits better than another.
    """
    key = find_key(score)
    if key is None and len(_pitches(score)):
        raise Reject("key", "no key fits it better than another; meta.key can name it")
    return key


def nearest_shift(score: Any, key: Key | None, target: Key, tokenizer: Tokenizer) -> int:
    """Return by how many semitones (-6..5) `score` moves from `key` to the major key `target`.

    A minor key moves to the relative minor. Where notes would leave the pitches of the vocabulary,
    it is an octave more or less; where that does not help, Reject (``pitch``) is raised.
    """
    pitches = _pitches(score)
    if key is None or not len(pitches):
        return 0
    steps = (target.tonic - key.tonic - 3 * key.is_minor + 6) % 12 - 6
    # Where pitches count from one another the vocabulary does not say which there are.
    relative = getattr(tokenizer, "relative", False)
    low, high = (0, 127) if relative else _range(tokenizer.vocab)
    for shift in sorted((steps, steps - 12, steps + 12), key=abs):
        if shift == 0 or (low <= pitches.min() + shift and pitches.max() + shift <= high):
            return shift
    raise Reject("pitch", f"moved by {steps:+} from {key} it leaves the pitches {low}..{high}")


def transposed(score: Any, shift: int) -> Any:
    """Return a copy of a score with its notes, but for drums, and its key signatures moved."""
    moved = score.copy()
    for track in moved.tracks:
        if not track.is_drum:
            notes = track.notes.numpy()
            notes["pitch"] = (notes["pitch"] + shift).astype(np.int8)
            track.notes = type(track.notes).from_numpy(
                *(notes[name] for name in ("time", "duration", "pitch", "velocity"))
            )
    for signature in moved.key_signatures:
        signature.key = shift_fifths(signature.key, shift)
    return moved


def _pitches(score: Any) -> np.ndarray:
    """Return the pitches of all notes but drums, as int64."""
    found = [track.notes.numpy()["pitch"] for track in score.tracks if not track.is_drum]
    return np.concatenate([np.zeros(0, np.int64), *found]).astype(np.int64)


@cache
def _range(vocab: Vocab) -> tuple[int, int]:
    """Return the lowest and highest pitch that a vocabulary names; 0..127 where it names none."""
    named = pitches_of(vocab)
    named = named[named >= 0]
    return (int(named.min()), int(named.max())) if len(named) else (0, 127)

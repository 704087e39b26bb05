"""The pitches behind pitch intervals, which the vocabulary does not say: they count from the note
before, as MidiTok's decoders count them.

A PitchIntervalTime counts from the last note of its program that began an onset, a
PitchIntervalChord from the last note of all; both from 0 where there is none.
"""

import numpy as np

from midigen.programs import DRUMS
from midigen.vocab import Vocab

_NONE = -2
"""No program: neither 0..127 nor drums."""
_KINDS = {"Pitch": 0, "PitchIntervalTime": 1, "PitchIntervalChord": 2}


class Intervals:
    """Reads sequences of a vocabulary of V ids that has pitch intervals, or has none."""

    def __init__(self, vocab: Vocab) -> None:
        pairs = list(zip(vocab.types, vocab.values, strict=True))
        self.present = any(kind == "PitchIntervalTime" for kind in vocab.types)
        self._kind = np.array([_KINDS.get(kind, -1) for kind, _ in pairs])
        self._value = np.array([int(v) if kind in _KINDS else 0 for kind, v in pairs])
        self._program = np.array([int(v) if kind == "Program" else _NONE for kind, v in pairs])

    def pitches(self, ids: np.ndarray) -> np.ndarray:
        """Return the pitches of the notes of `ids` (T,), drums left out, in no particular order."""
        programs = self._program.take(ids)
        last = np.maximum.accumulate(np.where(programs > _NONE, np.arange(len(ids)), 0))
        notes = np.flatnonzero(self._kind.take(ids) >= 0)
        notes = notes[programs[last[notes]] != DRUMS]
        program = programs[last[notes]]
        order = np.argsort(program, kind="stable")
        notes, program = ids[notes[order]], program[order]
        kind, value = self._kind[notes], self._value[notes]

        onset = kind != _KINDS["PitchIntervalChord"]
        value[onset] = _chain(value[onset], (kind == 0)[onset] | _changes(program[onset]))
        return _chain(value, onset | _changes(program))


def _changes(values: np.ndarray) -> np.ndarray:
    """Return where a value differs from the one before; the first does."""
    return np.concatenate((np.ones(min(len(values), 1), dtype=bool), values[1:] != values[:-1]))


def _chain(steps: np.ndarray, anew: np.ndarray) -> np.ndarray:
    """Return the running sum of `steps`, begun anew at each place where `anew` is true."""
    total = np.cumsum(steps)
    start = np.maximum.accumulate(np.where(anew, np.arange(len(steps)), 0))
    return total - (total - steps)[start]

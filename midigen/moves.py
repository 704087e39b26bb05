"""What a transposition or a change of loudness does to every id of a vocabulary: tables.

Works from the types of the tokens, so it serves every vocabulary with pitches. Pitch tokens move by
semitones, by number or by name, chords and key signatures with them; pitch intervals and drums
stay.
"""

from collections.abc import Callable
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np

from midigen.content import DRUM_CHANNEL, word
from midigen.errors import MidigenError
from midigen.intervals import Intervals
from midigen.keys import shift_fifths, shift_root
from midigen.pitchnames import read_classes, read_pitches, shift_named
from midigen.programs import DRUMS
from midigen.protocols import Tokenizer
from midigen.vocab import Vocab

_PITCHES = ("pitch", "noteon", "noteoff", "note")
_NAMED = ("note", "chord")
"""Types whose values may be names of pitches."""
_KEYS = ("keysig", "sf")

NOTHING, MELODIC, DRUM = 0, 1, 2
"""What a token says of the notes that follow it: nothing, a melodic program, drums."""


class Tables(NamedTuple):
    """S moves of a vocabulary of V ids.

    steps: (S,) how far, from most down to most up. ids: (S, V) intp, what each id becomes, itself
    where that is not in the vocabulary. leaves: (S, V) bool, where that is so. changes: (S, V)
    bool, where it becomes another.
    """

    steps: list[int]
    ids: np.ndarray
    leaves: np.ndarray
    changes: np.ndarray

    @classmethod
    def of(cls, move: Callable[[int, int], int], most: int, size: int) -> "Tables":
        """Tabulate ``move(id, step)``, -1 for what is not there."""
        steps = [step for step in range(-most, most + 1) if step]
        moved = np.array([[move(id, step) for id in range(size)] for step in steps], dtype=np.intp)
        ids = np.where(moved < 0, np.arange(size), moved)
        return cls(steps, ids, moved < 0, ids != np.arange(size))

    def to(self, step: int) -> np.ndarray:
        """Return (V,): what each id becomes by one of the moves."""
        ids: np.ndarray = self.ids[self.steps.index(step)]
        return ids


def pitches_of(vocab: Vocab) -> np.ndarray:
    """Return (V,) int64: the pitch of each token that a transposition moves, -1 for the others.

    Of a chord of pitches it is the highest, of one of pitch classes its first, from C4 on.
    """
    pairs = zip(map(word, vocab.types), vocab.values, strict=True)
    return np.array([_pitch(kind, value) for kind, value in pairs], dtype=np.int64)


def _pitch(kind: str, value: str) -> int:
    if kind in _PITCHES and value.isdecimal():
        return int(value)
    if kind in _NAMED:
        if (classes := read_classes(value)) is not None:
            return 60 + classes[0]
        if (pitches := read_pitches(value)) is not None:
            return max(pitches)
    return -1


class Moves:
    """Tables of one vocabulary of V ids.

    pitch: (V,) int64, the pitch of a token, -1 where it has none. context: (V,) uint8, see above.
    unit: ids an event; a program named within an event is that event's. A tokenizer whose pitches
    are told by their distance from one another, with the same ids, has a true `relative`.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.vocab, self.unit = tokenizer.vocab, tokenizer.unit
        self._spec = tokenizer.spec
        self._is_relative = getattr(tokenizer, "relative", False)
        self._words = tuple(map(word, self.vocab.types))
        self.intervals = Intervals(self.vocab)
        self.shifts = cache(self._shifts)
        self.velocities = cache(self._velocities)
        self.pitch = pitches_of(self.vocab)
        pairs = list(zip(self._words, self.vocab.values, strict=True))
        self.context = np.array([_context(kind, value) for kind, value in pairs], dtype=np.uint8)
        self._track = np.array(
            [int(v) if kind == "track" and v.isdecimal() else -1 for kind, v in pairs]
        )
        self._key = np.array([kind in _KEYS for kind in self._words])

    def _shifts(self, most: int) -> "Tables":
        """Return the transpositions by 1 to `most` semitones, down and up.

        Raises MidigenError for a vocabulary without pitches, or with those of BEAT.
        """
        if self._is_relative:
            raise MidigenError(
                f"{self._spec} tells pitches by their distance from one another, which --shift"
                " would change; transpose before tok2tok to it"
            )
        if (self.pitch < 0).all():
            raise MidigenError(f"{self._spec} has no pitches that --shift could move")
        return Tables.of(self._shifted, most, len(self.vocab))

    def _velocities(self, most: int) -> "Tables":
        """Return the changes of velocity by 1 to `most` tokens, down and up, clipped at the ends.

        Raises MidigenError for a vocabulary without velocities.
        """
        if not self._scale:
            raise MidigenError(f"{self._spec} has no velocities that --velocity could move")
        return Tables.of(self._louder, most, len(self.vocab))

    def _shifted(self, id: int, semitones: int) -> int:
        kind, value = self._words[id], self.vocab.values[id]
        if kind in _PITCHES and value.isdecimal():
            moved = str(int(value) + semitones)
        elif kind in _NAMED and self.pitch[id] >= 0:
            moved = shift_named(value, semitones)
        elif kind in _KEYS:
            fifths, colon, minor = value.partition(":")
            moved = f"{shift_fifths(int(fifths), semitones)}{colon}{minor}"
        elif kind == "chord":
            root, colon, quality = value.partition(":")
            # Without a root before the colon the token names the quality alone, which stays.
            moved = f"{shift_root(root, semitones)}:{quality}" if colon else value
        else:
            return id
        return self.vocab.index.get(f"{self.vocab.types[id]}_{moved}", -1)

    @cached_property
    def _scale(self) -> list[int]:
        """The ids of the velocities, softest first. Velocity 0 ends notes and takes no part."""
        values = self.vocab.values
        found = [i for i, kind in enumerate(self._words) if kind == "velocity"]
        numbers = [i for i in found if values[i].isdecimal() and int(values[i]) > 0]
        return sorted(numbers, key=lambda i: int(values[i]))

    @cached_property
    def _loudness(self) -> dict[int, int]:
        return {id: place for place, id in enumerate(self._scale)}

    def _louder(self, id: int, steps: int) -> int:
        if id not in self._loudness:
            return id
        place = self._loudness[id] + steps
        return self._scale[min(max(place, 0), len(self._scale) - 1)]

    def drum_places(self, ids: np.ndarray) -> np.ndarray:
        """Return the indices of `ids` (T,) that are pitches of drums by what stands before them.

        A Program or Channel token holds for its own event and for all that follow until the next.
        Where events name tracks, also the keys of tracks that play nothing but drums.
        """
        context = self.context.take(ids)
        if not (context == DRUM).any():
            return np.empty(0, dtype=np.int64)
        events = context if self.unit == 1 else context.reshape(-1, self.unit).max(axis=1)
        last = np.maximum.accumulate(np.where(events > NOTHING, np.arange(len(events)), 0))
        drums = events.take(last) == DRUM
        is_pitch = self.pitch.take(ids) >= 0
        if self.unit == 1:
            return np.flatnonzero(drums & is_pitch)
        track = self._track.take(ids).reshape(-1, self.unit).max(axis=1)
        is_note = is_pitch.reshape(-1, self.unit).any(axis=1)
        alone = np.setdiff1d(track[is_note & drums], track[is_note & ~drums])
        in_key = np.isin(track, alone[alone >= 0])
        fixed = np.repeat(drums, self.unit) & is_pitch
        return np.flatnonzero(fixed | (np.repeat(in_key, self.unit) & self._key.take(ids)))


def _context(kind: str, value: str) -> int:
    if kind == "program":
        return DRUM if value == str(DRUMS) else MELODIC
    if kind == "channel":
        return DRUM if value == str(DRUM_CHANNEL) else MELODIC
    return NOTHING

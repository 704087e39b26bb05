"""What a transposition or a change of loudness does to every id of a vocabulary: tables.

Works from the types of the tokens, so it serves every vocabulary with pitches. Pitch tokens move by
semitones, chord roots and key signatures with them; pitch intervals and drums stay.
"""

from collections.abc import Callable
from functools import cached_property

import numpy as np

from midigen.content import DRUM_CHANNEL, word
from midigen.errors import MidigenError
from midigen.keys import shift_fifths, shift_root
from midigen.programs import DRUMS
from midigen.protocols import Tokenizer

_PITCHES = ("pitch", "noteon", "noteoff", "note")
_INTERVALS = ("pitchintervaltime", "pitchintervalchord")
_KEYS = ("keysig", "sf")

NOTHING, MELODIC, DRUM = 0, 1, 2
"""What a token says of the notes that follow it: nothing, a melodic program, drums."""


class Moves:
    """Tables of one vocabulary of V ids.

    pitch: (V,) int64, the pitch of a token, -1 where it has none. context: (V,) uint8, see above.
    unit: ids an event; a program named within an event is that event's.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.vocab, self.unit = tokenizer.vocab, tokenizer.unit
        self._words = tuple(map(word, self.vocab.types))
        self._tables: dict[tuple[str, int], np.ndarray] = {}
        pairs = list(zip(self._words, self.vocab.values, strict=True))
        self.pitch = np.array(
            [int(v) if kind in _PITCHES and v.isdecimal() else -1 for kind, v in pairs],
            dtype=np.int64,
        )
        self.context = np.array([_context(kind, value) for kind, value in pairs], dtype=np.uint8)

    @cached_property
    def has_intervals(self) -> bool:
        return any(kind in _INTERVALS for kind in self._words)

    def shift(self, semitones: int) -> np.ndarray:
        """Return (V,) int64: the id of every token `semitones` higher; -1 where there is none.

        Raises MidigenError for a vocabulary without pitches.
        """
        if (self.pitch < 0).all():
            raise MidigenError("its vocabulary has no pitches that --shift could move")
        return self._table("shift", semitones, lambda i: self._shifted(i, semitones))

    def louder(self, steps: int) -> np.ndarray:
        """Return (V,) int64: the id of every velocity `steps` tokens up, clipped at the ends.

        Raises MidigenError for a vocabulary without velocities.
        """
        if not self._velocities:
            raise MidigenError("its vocabulary has no velocities that --velocity could move")
        return self._table("louder", steps, lambda i: self._louder(i, steps))

    def _table(self, name: str, by: int, move: Callable[[int], int]) -> np.ndarray:
        if (name, by) not in self._tables:
            ids = range(len(self.vocab))
            self._tables[name, by] = np.array([move(i) for i in ids], dtype=np.int64)
        return self._tables[name, by]

    def _shifted(self, id: int, semitones: int) -> int:
        kind, value = self._words[id], self.vocab.values[id]
        if self.pitch[id] >= 0:
            moved = str(self.pitch[id] + semitones)
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
    def _velocities(self) -> list[int]:
        """The ids of the velocities, softest first. Velocity 0 ends notes and takes no part."""
        values = self.vocab.values
        found = [i for i, kind in enumerate(self._words) if kind == "velocity"]
        numbers = [i for i in found if values[i].isdecimal() and int(values[i]) > 0]
        return sorted(numbers, key=lambda i: int(values[i]))

    @cached_property
    def _loudness(self) -> dict[int, int]:
        return {id: place for place, id in enumerate(self._velocities)}

    def _louder(self, id: int, steps: int) -> int:
        if id not in self._loudness:
            return id
        place = self._loudness[id] + steps
        return self._velocities[min(max(place, 0), len(self._velocities) - 1)]

    def drum_places(self, ids: np.ndarray) -> np.ndarray:
        """Return the indices of `ids` (T,) that are pitches of drums by what stands before them.

        A Program or Channel token holds for its own event and for all that follow until the next.
        """
        context = self.context.take(ids)
        if not (context == DRUM).any():
            return np.empty(0, dtype=np.int64)
        events = context.reshape(-1, self.unit).max(axis=1)
        last = np.maximum.accumulate(np.where(events > NOTHING, np.arange(len(events)), 0))
        drums = np.repeat(events[last] == DRUM, self.unit)
        return np.flatnonzero(drums & (self.pitch.take(ids) >= 0))


def _context(kind: str, value: str) -> int:
    if kind == "program":
        return DRUM if value == str(DRUMS) else MELODIC
    if kind == "channel":
        return DRUM if value == str(DRUM_CHANNEL) else MELODIC
    return NOTHING

"""The vocabulary of `pitch`: 88 notes, then chords, and the nearest token where there is none."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from midigen import pitchnames
from midigen.vocab import Vocab
from midigen_pitch.chords import HIGHEST, LOWEST, Chord, name_of, sounding

if TYPE_CHECKING:
    import numpy as np

NOTES = HIGHEST - LOWEST + 1


class Lexicon:
    """V tokens and what they mean.

    chords: the most frequent first. more: chords whose ids follow, which stand for themselves
    alone: transpositions, whose own transpositions may be missing.
    """

    def __init__(self, kind: str, chords: Sequence[Chord], more: Sequence[Chord] = ()) -> None:
        self.kind = kind
        self.chords = (*chords, *more)
        notes = (f"Note_{pitchnames.name_of(pitch)}" for pitch in range(LOWEST, HIGHEST + 1))
        self.vocab = Vocab((*notes, *(f"Chord_{name_of(chord, kind)}" for chord in self.chords)))
        self._ids = {chord: NOTES + place for place, chord in enumerate(self.chords)}
        self._nearest: dict[tuple[Chord, int], int] = {}
        self._by_lowest: dict[int, list[Chord]] = {}
        for chord in chords:
            self._by_lowest.setdefault(chord[0], []).append(chord)

    def find(self, chord: Chord, top: int) -> int | None:
        """Return the token of what sounds together; `top` is its highest pitch.

        A chord of one value is that note. None where there is no token.
        """
        return top - LOWEST if len(chord) == 1 else self._ids.get(chord)

    def nearest(self, chord: Chord, top: int) -> int:
        """Return the token of the largest part of a chord that has one.

        Of several it is one with the highest note, if there is any, and of these the most frequent.
        The highest note alone always has a token.
        """
        key = chord, top
        if key not in self._nearest:
            values = set(chord)
            highest = top % 12 if self.kind == "classes" else top
            known = (c for value in chord for c in self._by_lowest.get(value, ()))
            best = max(
                (c for c in known if values.issuperset(c)),
                key=lambda c: (len(c), highest in c, -self._ids[c]),
                default=(highest,),
            )
            self._nearest[key] = top - LOWEST if len(best) == 1 else self._ids[best]
        return self._nearest[key]

    def pitches(self, ids: "np.ndarray") -> "tuple[np.ndarray, np.ndarray]":
        """Return the pitches of ids (T,), end to end, and how many each has, (T,)."""
        import numpy as np

        sizes, starts, flat = self._sounds
        size = sizes[ids]
        within = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
        return flat[np.repeat(starts[ids], size) + within], size

    @cached_property
    def _sounds(self) -> "tuple[np.ndarray, np.ndarray, np.ndarray]":
        """How many pitches every id has, where they start, and all pitches end to end."""
        import numpy as np

        rows = [[pitch] for pitch in range(LOWEST, HIGHEST + 1)]
        rows += [sounding(chord, self.kind) for chord in self.chords]
        sizes = np.array([len(row) for row in rows])
        return sizes, np.cumsum(sizes) - sizes, np.array([pitch for row in rows for pitch in row])

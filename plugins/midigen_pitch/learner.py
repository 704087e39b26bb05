"""A vocabulary of `pitch` learned from scores: the chords that they have."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from midigen.errors import MidigenError
from midigen_pitch.chords import Chord, chord_of, name_of, shape_of, shifted
from midigen_pitch.config import Config
from midigen_pitch.onsets import read_onsets


class ChordLearner:
    """A `midigen.learning.Learner`: counts chords by name."""

    things = "chords"

    def __init__(self, config: Config) -> None:
        """Raises MidigenError where there is nothing to learn."""
        if config.chords == "top":
            raise MidigenError("pitch:chords=top has no chords: its vocabulary is fixed")
        self._config = config

    def count(self, x: Any) -> Counter[str]:
        """Return how often each chord begins in a `symusic.Score` in ticks."""
        kind = self._config.chords
        chords = Counter(chord for chord in read_onsets(x, kind).chords if len(chord) > 1)
        return Counter({name_of(chord, kind): times for chord, times in chords.items()})

    def transposed(self, counts: Mapping[str, int], most: int) -> Counter[str]:
        """Return the chords and all their transpositions by up to `most` semitones, both ways.

        Each has the count of all chords of its shape, so that a limit keeps a shape whole: what is
        kept of a piece can also be transposed, as far as it stays on the piano.
        """
        kind = self._config.chords
        chords = {chord: times for n, times in counts.items() if (chord := chord_of(n, kind))}
        shapes = Counter[Chord]()
        for chord, times in chords.items():
            shapes[shape_of(chord, kind)] += times
        steps = range(-most, most + 1)
        moved = {found for chord in chords for s in steps if (found := shifted(chord, kind, s))}
        return Counter({name_of(chord, kind): shapes[shape_of(chord, kind)] for chord in moved})

    def definition(self, own: list[str], transposed: list[str]) -> dict[str, Any]:
        """Return what `Pitch.from_definition` takes, of names of chords."""
        named = {"vocabulary": own, "transposed": transposed}
        return {"chords": self._config.chords, "step": self._config.step, **named}

"""A vocabulary of `pitch` learned from scores: the chords that they have."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from midigen.errors import MidigenError
from midigen_pitch.chords import chord_of, name_of, shifted
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
        """Return the counts, with all transpositions by up to `most` semitones, both ways, that
        stay on the piano."""
        kind, total = self._config.chords, Counter[str]()
        for name, times in counts.items():
            chord = chord_of(name, kind)
            for semitones in range(-most, most + 1):
                moved = shifted(chord, kind, semitones) if chord else None
                if moved is not None:
                    total[name_of(moved, kind)] += times
        return total

    def definition(self, names: list[str]) -> dict[str, Any]:
        """Return what `Pitch.from_definition` takes. names: of the chords, most frequent first."""
        return {"chords": self._config.chords, "step": self._config.step, "vocabulary": names}

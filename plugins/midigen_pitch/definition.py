"""What rebuilds a learned vocabulary of `pitch`: plain JSON.

``{"chords": "sets", "step": 8, "vocabulary": ["C4.E4", ...], "transposed": ["C#4.F4", ...]}``:
the chords that the files have, and those that are only transpositions of these; the most frequent
first.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from midigen.errors import MidigenError
from midigen_pitch.chords import Chord, chord_of, name_of
from midigen_pitch.config import Config, read_config


class Definition(NamedTuple):
    config: Config
    own: list[Chord]
    transposed: list[Chord]

    def to_json(self) -> dict[str, Any]:
        kind = self.config.chords
        return {
            "chords": kind,
            "step": self.config.step,
            "vocabulary": [name_of(chord, kind) for chord in self.own],
            "transposed": [name_of(chord, kind) for chord in self.transposed],
        }


def read_definition(data: Mapping[str, Any]) -> Definition:
    """Raises MidigenError for what is no definition; ``transposed`` may be missing."""
    kind, lists = data.get("chords"), [data.get("vocabulary"), data.get("transposed", [])]
    if kind not in ("classes", "sets") or not all(isinstance(names, list) for names in lists):
        raise MidigenError("a learned pitch vocabulary has chords, step and vocabulary")
    config = read_config({"chords": kind, "step": str(data.get("step"))})
    return Definition(config, *([_read_chord(name, kind) for name in names] for names in lists))


def _read_chord(name: Any, kind: str) -> Chord:
    chord = chord_of(name, kind) if isinstance(name, str) else None
    if chord is None:
        raise MidigenError(f"vocabulary: {name!r} is no chord of pitch:chords={kind}")
    return chord

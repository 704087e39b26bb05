"""What every `remi` id means, as arrays over the vocabulary: numbers instead of strings."""

from typing import TYPE_CHECKING

import numpy as np

from midigen.vocab import Vocab
from midigen_remi.order import Order, Type

if TYPE_CHECKING:
    from midigen_remi.config import RemiConfig

DEFAULT_SIGNATURE = (4, 4)
DEFAULT_BPM = 120.0


def ticks(text: str, beat: int) -> int:
    """Return the length ``beats.positions.resolution`` in ticks; `beat`: ticks a beat."""
    beats, positions, resolution = map(int, text.split("."))
    return (beats * resolution + positions) * beat // resolution


class Meaning:
    """The vocabulary in numbers. V ids, S time signatures (4/4 alone where there are none).

    types: (V,) of `Type`.
    value: (V,) pitch, velocity, program, position, place in `signatures`, microseconds a quarter
        of a tempo, or 0.
    length: (S, V) ticks of every Duration and Rest in every signature.
    bar, step, positions: (S,) ticks a bar, ticks a position, positions a bar.
    default_length: (S,) ticks of a note without a duration. default_signature: the place of 4/4.
    default_tempo: quarters a minute where a piece gives none.
    quarter: ticks a quarter, as in the scores of MidiTok's `decode`: a beat of the shortest kind
        has `resolution` ticks.
    """

    def __init__(self, config: "RemiConfig", vocab: Vocab) -> None:
        self.vocab = vocab
        self.signatures = config.signatures
        finest = max(denominator for _, denominator in self.signatures)
        beats = [config.resolution * finest // below for _, below in self.signatures]
        self.quarter = config.resolution * finest // 4
        self.bar = np.array([n * beat for (n, _), beat in zip(self.signatures, beats, strict=True)])
        self.step = np.array(beats) // config.resolution
        self.positions = self.bar // self.step
        self.default_length = np.array([int(config.notelen * beat) for beat in beats])
        self.default_signature = self.signatures.index(DEFAULT_SIGNATURE)

        names = {kind.name: kind for kind in Type}
        # Flattened vocabularies write the number of a slot and a dot before the type.
        kinds = [names.get(name.rpartition(".")[2], Type.Special) for name in vocab.types]
        self.types = np.array(kinds, dtype=np.int8)
        self.value = np.zeros(len(vocab), dtype=np.int64)
        self.length = np.zeros((len(self.signatures), len(vocab)), dtype=np.int64)
        for i, (kind, text) in enumerate(zip(kinds, vocab.values, strict=True)):
            if kind in (Type.Duration, Type.Rest):
                self.length[:, i] = [ticks(text, beat) for beat in beats]
            else:
                self.value[i] = self._number(kind, text)
        bpms = [float(vocab.values[i]) for i in np.flatnonzero(self.types == Type.Tempo)]
        self.default_tempo = min(bpms or [DEFAULT_BPM], key=lambda bpm: abs(bpm - DEFAULT_BPM))
        self.order = Order(config, kinds)

    def _number(self, kind: Type, text: str) -> int:
        if kind == Type.TimeSig:
            above, _, below = text.partition("/")
            return self.signatures.index((int(above), int(below)))
        if kind == Type.Tempo:
            return round(60_000_000 / float(text))
        if kind in (Type.Special, Type.Bar, Type.KeySig, Type.Chord, Type.ControlChange):
            return 0
        return int(text)

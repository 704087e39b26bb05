"""The classes that MidiTok encodes and that are decoded here: all but the streams of events."""

from collections.abc import Sequence
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

from midigen.errors import Reject
from midigen.protocols import Decoded, Encoded, Grammar
from midigen_miditok.config import MidiTokConfig
from midigen_miditok.slots import build_slots, flat_vocab

if TYPE_CHECKING:
    import numpy as np

_DECODERS = {
    "CPWord": ("decode_cpword", "CPWordDecoder"),
    "Octuple": ("decode_octuple", "OctupleDecoder"),
    "MMM": ("decode_mmm", "MmmDecoder"),
    "MuMIDI": ("decode_mumidi", "MuMidiDecoder"),
    "PerTok": ("decode_pertok", "PerTokDecoder"),
    "BEAT": ("decode_beat", "BeatDecoder"),
}
_GRAMMARS = {
    "CPWord": ("grammar_cpword", "CPWordGrammar"),
    "Octuple": ("grammar_octuple", "OctupleGrammar"),
    "MMM": ("grammar_mmm", "MmmGrammar"),
    "MuMIDI": ("grammar_mumidi", "MuMidiGrammar"),
    "PerTok": ("grammar_pertok", "PerTokGrammar"),
    "BEAT": ("grammar_beat", "BeatGrammar"),
}
"""Module and class: loaded when they are needed."""


class EngineTokenizer:
    """What `midigen_miditok.MidiTok` needs of one of these classes."""

    def __init__(self, config: MidiTokConfig, slots: Sequence[Sequence[str]] | None = None) -> None:
        """slots: of a tokenizer.json; without it those that the configuration gives."""
        slots = slots or build_slots(config)
        self.config = config
        self.unit = len(slots)
        self.vocab = flat_vocab(slots)

    @cached_property
    def _engine(self) -> Any:
        from midigen_miditok.engine import Engine

        return Engine(self.config, self.vocab)

    def encode_many(self, scores: Sequence[Any]) -> list[Encoded | Reject]:
        found: list[Encoded | Reject] = self._engine.encode_many(scores)
        return found

    def _make(self, table: dict[str, tuple[str, str]]) -> Any:
        module, name = table[self.config.kind]
        kind = getattr(import_module(f"midigen_miditok.{module}"), name)
        if self.unit == 1:
            return kind(self.config, self.vocab)
        from midigen_miditok.flatten import Flat

        return kind(self.config, Flat(self.vocab))

    @cached_property
    def _decoder(self) -> Any:
        return self._make(_DECODERS)

    def decode(
        self, parts: "Sequence[np.ndarray | Sequence[int]]", programs: Sequence[int] | None
    ) -> Decoded:
        decoded: Decoded = self._decoder.decode(parts, programs)
        return decoded

    def grammar(self) -> Grammar:
        grammar: Grammar = self._make(_GRAMMARS)
        return grammar

    def bar_starts(self, ids: "np.ndarray") -> "np.ndarray":
        """Return where bars begin: at a Bar, or at the event that has one.

        An Octuple event names its bar: one begins where the number is not that of the event before.
        """
        import numpy as np

        array = np.asarray(ids, dtype=np.int64)
        places = np.flatnonzero(self._bars[array] >= 0)
        if self.config.kind == "Octuple":
            numbers = array[places]
            places = places[np.concatenate(([True], numbers[1:] != numbers[:-1]))[: len(places)]]
        starts = places - self._bars[array[places]]
        return starts[starts >= 0]

    @cached_property
    def _bars(self) -> "np.ndarray":
        """(V,) the slot of an id that is a Bar, -1 for all others."""
        import numpy as np

        found = np.full(len(self.vocab), -1)
        for i, kind in enumerate(self.vocab.types):
            slot, dot, name = kind.rpartition(".")
            if name == "Bar":
                found[i] = int(slot) if dot else 0
        return found

"""The classes that MidiTok encodes and that we decode: CPWord, Octuple, MuMIDI, MMM, PerTok."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from midigen.errors import Reject
from midigen.protocols import Decoded, Encoded, Grammar
from midigen_miditok.config import MidiTokConfig
from midigen_miditok.flatten import Flat, flat_vocab
from midigen_miditok.slots import build_slots

if TYPE_CHECKING:
    import numpy as np


class EngineTokenizer:
    """What `midigen_miditok.MidiTok` needs of one of these classes."""

    def __init__(self, config: MidiTokConfig) -> None:
        slots = build_slots(config)
        self.config = config
        self.vocab = flat_vocab(slots)
        self.unit = len(slots)

    def encode_many(self, scores: Sequence[Any]) -> list[Encoded | Reject]:
        return self._engine.encode_many(scores)

    @cached_property
    def _engine(self) -> Any:
        from midigen_miditok.engine import Engine

        return Engine(self.config)

    def decode(self, parts: Sequence[Any], programs: Sequence[int] | None) -> Decoded:
        return self._decoder.decode(parts, programs)

    @cached_property
    def _decoder(self) -> Any:
        if self.config.kind=="CPWord":
            from midigen_miditok.decode_cpword import CPWordDecoder
            return CPWordDecoder(self.config, Flat(self.vocab))
        from midigen_miditok.decode_octuple import OctupleDecoder
        return OctupleDecoder(self.config, Flat(self.vocab))

    def grammar(self) -> Grammar:
        if self.config.kind=="CPWord":
            from midigen_miditok.grammar_cpword import CPWordGrammar
            return CPWordGrammar(self.config, Flat(self.vocab))
        from midigen_miditok.grammar_octuple import OctupleGrammar
        return OctupleGrammar(self.config, Flat(self.vocab))

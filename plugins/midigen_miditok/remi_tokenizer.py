"""REMI of a tokenizer.json: `remi` with whatever special tokens and configuration the file has."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from midigen.errors import MidigenError, Reject
from midigen.protocols import Decoded, Encoded
from midigen.vocab import Vocab
from midigen_miditok.config import MidiTokConfig

if TYPE_CHECKING:
    import numpy as np
    from midigen_remi.grammar import RemiGrammar


class RemiTokenizer:
    """What `midigen_miditok.MidiTok` needs. Array code where that covers the configuration."""

    unit = 1

    def __init__(self, config: MidiTokConfig, vocab: Vocab | None) -> None:
        """vocab: of the file. Raises MidigenError where that has slots, as no REMI has."""
        if vocab is None:
            raise MidigenError("REMI has one list of tokens")
        self.config = config
        self.vocab = vocab

    def encode_many(self, scores: Sequence[Any]) -> list[Encoded | Reject]:
        """Encode `symusic.Score`s in ticks; a Reject stands in the place of one that cannot be."""
        found: list[Encoded | Reject] = self._encoder.encode_many(scores)
        return found

    @cached_property
    def _encoder(self) -> Any:
        from midigen_remi.encode import Encoder, is_covered
        from midigen_remi.vocabulary import build_vocab

        from midigen_miditok.definition import is_exact

        options = self.config.options
        if is_covered(options) and is_exact(self.config) and self.vocab == build_vocab(options):
            return Encoder(options, self.vocab)
        from midigen_miditok.engine import Engine

        return Engine(self.config)

    def decode(
        self, parts: "Sequence[np.ndarray | Sequence[int]]", programs: Sequence[int] | None = None
    ) -> Decoded:
        """Decode any ids, one sequence a part, to a `symusic.Score`; count what was repaired."""
        from midigen_remi.decode import decode

        return decode(self.config.options, self.vocab, parts, programs)

    def grammar(self) -> "RemiGrammar":
        """Return the automaton of the sequences that decode without a repair."""
        from midigen_remi.grammar import RemiGrammar

        return RemiGrammar(self.config.options, self.vocab)

    def bar_starts(self, ids: "np.ndarray") -> "np.ndarray":
        """Return the indices of the Bar tokens, ascending."""
        import numpy as np

        return np.flatnonzero(np.isin(ids, self.vocab.ids_of("Bar")))

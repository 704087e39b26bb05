"""REMI of a tokenizer.json: `remi` with whatever special tokens and configuration the file has."""

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from midigen.errors import MidigenError, Reject
from midigen.protocols import Decoded, Encoded, Grammar
from midigen.vocab import Vocab
from midigen_miditok.bar_ends import BAR_END, BarEndGrammar, BarEnds, without_end
from midigen_miditok.config import MidiTokConfig


class RemiTokenizer:
    """What `midigen_miditok.MidiTok` needs. Array code where that covers the configuration."""

    unit = 1

    def __init__(self, config: MidiTokConfig, vocab: Vocab | None) -> None:
        """vocab: of the file. Raises MidigenError where that has slots, as no REMI has."""
        if vocab is None:
            raise MidigenError("REMI has one list of tokens")
        self.config = config
        self.vocab = vocab
        self._ends: BarEnds | None = None
        self._inner = vocab
        if BAR_END in vocab.index:
            self._inner = without_end(vocab)
            self._ends = BarEnds(vocab, self._inner)

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

        return Engine(self.config, self.vocab)

    def decode(
        self, parts: "Sequence[np.ndarray | Sequence[int]]", programs: Sequence[int] | None = None
    ) -> Decoded:
        """Decode any ids, one sequence a part, to a `symusic.Score`; count what was repaired."""
        from midigen_remi.decode import decode

        if self._ends is None:
            return decode(self.config.options, self.vocab, parts, programs)
        repairs: Counter[str] = Counter()
        plain = [self._ends.strip(np.asarray(part, dtype=np.int64), repairs) for part in parts]
        decoded = decode(self.config.options, self._inner, plain, programs)
        return Decoded(decoded.value, dict(+(repairs + Counter(decoded.repairs))))

    def grammar(self) -> Grammar:
        """Return the automaton of the sequences that decode without a repair."""
        from midigen_remi.grammar import RemiGrammar

        grammar = RemiGrammar(self.config.options, self._inner)
        return grammar if self._ends is None else BarEndGrammar(grammar, self._ends.end)

    def bar_starts(self, ids: "np.ndarray") -> "np.ndarray":
        """Return the indices of the Bar tokens, ascending."""
        return np.flatnonzero(np.isin(ids, self._inner.ids_of("Bar")))

"""MMM's sequences: tracks behind one another, each a sequence of the base between two tokens."""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from midigen_remi.decode import decode
from midigen_remi.grammar import RemiGrammar

from midigen.protocols import Decoded, Grammar
from midigen.vocab import Vocab
from midigen_miditok.config import MidiTokConfig

START, END = "Track_Start", "Track_End"


class MmmTracks:
    """The base of an MMM vocabulary of V ids.

    vocab: the base's, the same tokens without the two. ids: (V,) the base's id, -1 of the two.
    """

    def __init__(self, config: MidiTokConfig, vocab: Vocab) -> None:
        self.config = config
        self.start, self.end = vocab.index[START], vocab.index[END]
        self.vocab = Vocab(token for token in vocab.tokens if token not in (START, END))
        self._base: Any = None
        if config.base != "REMI":
            from midigen_miditok.event_tokenizer import EventTokenizer

            self._base = EventTokenizer(MidiTokConfig(config.base, config.options), self.vocab)
        self.ids = np.array([self.vocab.index.get(token, -1) for token in vocab.tokens])

    def decode(self, parts: Sequence[np.ndarray]) -> Decoded:
        """Decode sequences of the base, one a track."""
        if self._base is None:
            return decode(self.config.options, self.vocab, parts)
        decoded: Decoded = self._base.decode(parts, None)
        return decoded

    @cached_property
    def grammar(self) -> Grammar:
        """The base's grammar, of one track."""
        if self._base is None:
            return RemiGrammar(self.config.options, self.vocab)
        grammar: Grammar = self._base.grammar()
        return grammar

    def split(self, ids: np.ndarray, repairs: Counter[str]) -> Iterator[np.ndarray]:
        """Yield the base's ids of each track, and count what is wrong with the two tokens."""
        marks = np.flatnonzero((ids == self.start) | (ids == self.end))
        for begin, end in zip([0, *(marks + 1)], [*marks, len(ids)], strict=True):
            track = self.ids[ids[begin:end]]
            opened = begin > 0 and ids[begin - 1] == self.start
            closed = end < len(ids) and ids[end] == self.end
            repairs["missing track start"] += int(not opened and (closed or len(track) > 0))
            repairs["missing track end"] += int(opened and not closed)
            repairs["empty track"] += int(opened and not len(track))
            if len(track):
                yield track

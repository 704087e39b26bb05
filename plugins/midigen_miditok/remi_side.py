"""A class whose events say what REMI's tokens say: the same music in `remi`, and ids across."""

from dataclasses import replace
from functools import cached_property

import numpy as np
from midigen_remi.decode import Decoder
from midigen_remi.grammar import RemiGrammar
from midigen_remi.meaning import Meaning
from midigen_remi.vocabulary import build_vocab

from midigen_miditok.config import Options
from midigen_miditok.flatten import Flat


class RemiSide:
    """The `remi` beside a flattened vocabulary of V ids.

    ids: (V,) the `remi` id of the token of the same name, -1 where `remi` has none.
    """

    def __init__(self, options: Options, flat: Flat) -> None:
        self.options = replace(options, chords=False)
        self.vocab = build_vocab(self.options)
        tokens = (token.partition(".")[2] for token in flat.vocab.tokens)
        found = np.array([self.vocab.index.get(token, -1) for token in tokens])
        self.ids = np.where(flat.special, -1, found)

    @cached_property
    def decoder(self) -> Decoder:
        return Decoder(self.options, Meaning(self.options, self.vocab))

    @cached_property
    def grammar(self) -> RemiGrammar:
        return RemiGrammar(self.options, self.vocab)

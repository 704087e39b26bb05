"""What a record's tokens say about its music: programs, drums, time signatures. No decoding."""

from functools import cache, cached_property
from string import ascii_letters

from midigen.programs import DRUMS
from midigen.record import Record, meta_values
from midigen.tokenizers import tokenizer_of
from midigen.vocab import Vocab

DRUM_CHANNEL = 9
"""Channel 10 of General MIDI, counted from 0."""


def word(token_type: str) -> str:
    """Return a token type in lower case, without the prefix of a flattened sub-vocabulary."""
    return token_type[len(token_type.rstrip(ascii_letters)) :].lower()


class Content:
    """The ids of one vocabulary that name programs, drums and time signatures."""

    def __init__(self, vocab: Vocab) -> None:
        self._words = tuple(map(word, vocab.types))
        self._values = vocab.values

    @staticmethod
    @cache
    def of(tok: str) -> "Content":
        """Return the content of a record's `tok`. Raises MidigenError if that is not to be had."""
        return Content(tokenizer_of(tok).vocab)

    @cached_property
    def _programs(self) -> dict[int, int]:
        return {id: int(value) for id, value in self._of("program", "patch").items()}

    @cached_property
    def _drums(self) -> frozenset[int]:
        found = [*self._of("pitchdrum", "drumon")]
        found += [id for id, value in self._of("program").items() if value == str(DRUMS)]
        found += [id for id, value in self._of("channel").items() if value == str(DRUM_CHANNEL)]
        return frozenset(found)

    @cached_property
    def _signatures(self) -> dict[int, str]:
        return self._of("timesig")

    def _of(self, *words: str) -> dict[int, str]:
        """Return the values of the ids of these types."""
        return {i: self._values[i] for i, kind in enumerate(self._words) if kind in words}

    def programs(self, record: Record) -> frozenset[int] | None:
        """Return the programs (-1: drums) that a record uses; None if nothing says so."""
        own = record["meta"].get("program")
        if own is not None:
            return frozenset({own})
        if not self._programs:
            return None
        return frozenset(self._programs[id] for id in set(record["ids"]) if id in self._programs)

    def drums(self, record: Record) -> bool | None:
        """Return whether a record has drums; None if nothing says so."""
        own = record["meta"].get("program")
        if own is not None:
            return bool(own == DRUMS)
        return not self._drums.isdisjoint(record["ids"]) if self._drums else None

    def signatures(self, record: Record) -> frozenset[str]:
        """Return the time signatures of a record as ``3/4``; empty if nothing says so."""
        if not self._signatures:
            return frozenset(map(str, meta_values(record, "time_signature")))
        found = (self._signatures[id] for id in set(record["ids"]) if id in self._signatures)
        return frozenset(found)

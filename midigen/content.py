"""What a record's tokens say about its music: programs, drums, time signatures. No decoding."""

from collections.abc import Sequence
from functools import cache, cached_property
from itertools import pairwise
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
        return {id: int(value) for id, value in self._of("program").items()}

    @cached_property
    def _patches(self) -> dict[int, int]:
        return {id: int(value) for id, value in self._of("patch").items()}

    @cached_property
    def _drums(self) -> frozenset[int]:
        found = [*self._of("pitchdrum", "drumon")]
        found += [id for id, value in self._of("program").items() if value == str(DRUMS)]
        found += [id for id, value in self._of("channel").items() if value == str(DRUM_CHANNEL)]
        return frozenset(found)

    @cached_property
    def _signatures(self) -> dict[int, str]:
        return self._of("timesig")

    @cached_property
    def _channels(self) -> dict[int, str]:
        return self._of("channel")

    @cached_property
    def _pitches(self) -> frozenset[int]:
        return frozenset(self._of("pitch"))

    @cached_property
    def _fractions(self) -> tuple[dict[int, str], dict[int, str]]:
        """The numerators and denominators of signatures that take two ids."""
        return self._of("numerator"), self._of("denominator")

    def _of(self, *words: str) -> dict[int, str]:
        """Return the values of the ids of these types."""
        return {i: self._values[i] for i, kind in enumerate(self._words) if kind in words}

    def programs(self, record: Record) -> frozenset[int] | None:
        """Return the programs (-1: drums) that a record uses; None if nothing says so."""
        own = record["meta"].get("program")
        if own is not None:
            return frozenset({own})
        if self._patches:
            return self._played(record["ids"])
        if not self._programs:
            return None
        return frozenset(self._programs[id] for id in set(record["ids"]) if id in self._programs)

    def _played(self, ids: Sequence[int]) -> frozenset[int]:
        """Return the programs of channels with notes, where events name a channel, then a patch.

        A channel plays program 0 until it gets a patch.
        """
        patches: dict[str, set[int]] = {}
        sounding: set[str] = set()
        channel = ""
        for id in ids:
            if id in self._channels:
                channel = self._channels[id]
            elif id in self._patches:
                patches.setdefault(channel, set()).add(self._patches[id])
            elif id in self._pitches:
                sounding.add(channel)
        melodic = (patches.get(c, {0}) for c in sounding if c != str(DRUM_CHANNEL))
        drums = {DRUMS} if str(DRUM_CHANNEL) in sounding else set()
        return frozenset(drums).union(*melodic)

    def drums(self, record: Record) -> bool | None:
        """Return whether a record has drums; None if nothing says so."""
        own = record["meta"].get("program")
        if own is not None:
            return bool(own == DRUMS)
        return not self._drums.isdisjoint(record["ids"]) if self._drums else None

    def signatures(self, record: Record) -> frozenset[str]:
        """Return the time signatures of a record as ``3/4``; empty if nothing says so."""
        above, below = self._fractions
        if below:
            pairs = pairwise(record["ids"])
            return frozenset(
                f"{above[a]}/{below[b]}" for a, b in pairs if a in above and b in below
            )
        if not self._signatures:
            return frozenset(map(str, meta_values(record, "time_signature")))
        found = (self._signatures[id] for id in set(record["ids"]) if id in self._signatures)
        return frozenset(found)

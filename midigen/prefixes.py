"""Condition tokens: which values a model learns, and the prefix of each piece."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from midigen.errors import UsageError
from midigen.modelvocab import FIELDS, ModelVocab
from midigen.store import Store


def parse_fields(text: str) -> tuple[str, ...]:
    """Return condition fields in the order of their tokens; ``none`` is none of them."""
    asked = [] if text == "none" else text.split(",")
    for field in asked:
        if field not in FIELDS:
            raise UsageError(f"--condition {field!r} is not one of {', '.join(FIELDS)}, or none")
    return tuple(field for field in FIELDS if field in asked)


def parse_specials(text: str) -> bool:
    """Return whether a model has BOS, EOS and PAD: ``auto`` or ``none``."""
    if text not in ("auto", "none"):
        raise UsageError(f"--specials {text!r} is not auto or none")
    return text == "auto"


def count_values(
    store: Store, rows: np.ndarray, fields: Sequence[str], least: int
) -> dict[str, dict[str, int]]:
    """Return {field: {value: pieces}} of original training rows, most frequent first.

    A value of fewer than `least` pieces is unknown: a token that is seen a few times says nothing.
    """
    originals = rows[store.rows["copy"][rows] == 0]
    counts: dict[str, Counter[str]] = {field: Counter() for field in fields}
    for field, found in counts.items():
        numbers, times = np.unique(store.rows[field][originals], return_counts=True)
        for number, count in zip(numbers, times, strict=True):
            found.update(dict.fromkeys(store.labels[field][number], int(count)))
    kept = {
        field: dict(
            sorted(
                ((value, n) for value, n in found.items() if n >= least),
                key=lambda item: (-item[1], item[0]),
            )
        )
        for field, found in counts.items()
    }
    return {field: found for field, found in kept.items() if found}


class Prefixes:
    """The condition tokens of every row of a store.

    longest: no prefix has more tokens.
    """

    def __init__(self, store: Store, vocab: ModelVocab) -> None:
        self._rows = store.rows
        self._tokens = {
            field: [[ids[v] for v in values if v in ids] for values in store.labels[field]]
            for field, ids in vocab.conditions.items()
        }
        self.longest = sum(max(map(len, found)) for found in self._tokens.values())

    def whole(self, row: int) -> list[int]:
        """Return all condition tokens of a row: genre, artist, era."""
        return [id for ids in self._fields(row) for id in ids]

    def draw(self, row: int, number: int, dropout: float) -> list[int]:
        """Return the tokens with each field dropped with probability `dropout`.

        number: 64 random bits, of which each field takes 16.
        """
        kept: list[int] = []
        for place, ids in enumerate(self._fields(row)):
            if (number >> (16 * place) & 0xFFFF) >= dropout * 0x10000:
                kept += ids
        return kept

    def _fields(self, row: int) -> list[list[int]]:
        return [found[self._rows[field][row]] for field, found in self._tokens.items()]

"""Condition tokens: which values a model learns, and the prefix of each piece."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from midigen.asked import known_values
from midigen.errors import UsageError
from midigen.modelvocab import FIELDS, ModelVocab
from midigen.permutation import mix
from midigen.ranges import range_of, ranges_of
from midigen.store import LabelSets, Store

_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def parse_fields(text: str) -> tuple[str, ...]:
    """Return condition fields in the order of their tokens; ``none`` is none of them.

    Any key of `meta` can be one. Raises UsageError for what is no key, or is named twice.
    """
    fields = () if text == "none" else tuple(text.split(","))
    for field in fields:
        if not _FIELD.fullmatch(field):
            raise UsageError(f"--condition {field!r} is no key of meta; as {','.join(FIELDS)}")
    if len(set(fields)) < len(fields):
        raise UsageError(f"--condition {text!r} names a field twice")
    return fields


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
    Numbers are counted by ranges (`midigen.ranges`), lowest first.
    """
    originals = rows[store.rows["copy"][rows] == 0]
    kept = {field: _count(store.label_sets(field), originals, least) for field in fields}
    return {field: found for field, found in kept.items() if found}


def _count(labels: LabelSets, rows: np.ndarray, least: int) -> dict[str, int]:
    found: Counter[str] = Counter()
    numbers, times = np.unique(labels.place[rows], return_counts=True)
    for number, count in zip(numbers, times, strict=True):
        found.update(dict.fromkeys(labels.sets[number], int(count)))
    ranges = ranges_of(found)
    if ranges:
        counts = Counter[str]()
        for value, count in found.items():
            counts[range_of(ranges, value) or ""] += count
        return {name: counts[name] for name in ranges if counts[name] >= least}
    by_count = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return {value: n for value, n in by_count if n >= least}


class Prefixes:
    """The condition tokens of every row of a store.

    longest: no prefix has more tokens.
    """

    def __init__(self, store: Store, vocab: ModelVocab) -> None:
        self._place: dict[str, np.ndarray] = {}
        self._tokens: dict[str, list[list[int]]] = {}
        for field, ids in vocab.conditions.items():
            labels = store.label_sets(field)
            self._place[field] = labels.place
            self._tokens[field] = [
                [ids[value] for value in known_values(vocab, field, values)]
                for values in labels.sets
            ]
        self.longest = sum(max(map(len, found)) for found in self._tokens.values())

    def whole(self, row: int) -> list[int]:
        """Return all condition tokens of a row, field by field."""
        return [id for ids in self._fields(row) for id in ids]

    def draw(
        self, row: int, number: int, dropout: float, single: Mapping[str, float] | None = None
    ) -> list[int]:
        """Return the tokens with each field dropped with probability `dropout`.

        single: probabilities of fields that have their own.
        number: 64 random bits: each of the first four fields takes 16, others a hash of them.
        """
        kept: list[int] = []
        single = single or {}
        for place, (field, ids) in enumerate(zip(self._tokens, self._fields(row), strict=True)):
            if place and place % 4 == 0:
                number = int(mix(np.array([number], np.uint64), place, 0)[0])
            share = single.get(field, dropout)
            if (number >> (16 * (place % 4)) & 0xFFFF) >= share * 0x10000:
                kept += ids
        return kept

    def _fields(self, row: int) -> list[list[int]]:
        return [found[self._place[field][row]] for field, found in self._tokens.items()]

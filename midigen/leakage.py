"""Near-duplicates across the split: held-out pieces whose passages stand in the training data.

`group` keeps exact twins together. An arrangement, a cut or a retyped copy has another group; it
shows in passages, runs of `LENGTH` successive intervals between the notes as the tokenizer writes
them, which do not change with transposition. Drums, durations and times are left out.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from midigen.corpus import Corpus, Span, split_rows
from midigen.moves import Moves
from midigen.protocols import Tokenizer
from midigen.split import SPLITS, SplitRule

LENGTH = 15
"""Intervals of a passage: sixteen notes. Shorter ones (scales, broken chords) recur by chance."""
NEAR = 0.5
"""The share of its passages that a near-duplicate has in common with one training piece."""
_BASE = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Leak:
    """A held-out piece (row of the store) and the training piece that shares most with it.

    shared: of the held-out piece's distinct passages, the share that the other has too.
    """

    split: str
    row: int
    train_row: int
    shared: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"shared": round(self.shared, 4)}


def passages(pitches: np.ndarray, length: int = LENGTH) -> np.ndarray:
    """Return a 64-bit hash of every passage of pitches (N,): (max(0, N - length),) uint64.

    A passage that repeats one note or two in turns says nothing and is left out.
    """
    steps = np.diff(pitches).astype(np.int64).view(np.uint64)
    count = len(steps) - length + 1
    if count <= 0:
        return np.empty(0, np.uint64)
    found = np.zeros(count, np.uint64)
    for k in range(length):
        found = (found + steps[k : k + count] + np.uint64(1)) * _BASE
        found ^= found >> np.uint64(29)
    moving = np.lib.stride_tricks.sliding_window_view(np.diff(pitches), length)
    dull = (moving[:, 2:] == moving[:, :-2]).all(axis=1)
    return found[~dull]


class Passages:
    """The passages of base ids of one vocabulary, of `length` intervals."""

    def __init__(self, tokenizer: Tokenizer, length: int = LENGTH) -> None:
        self._length = length
        self._moves = Moves(tokenizer)
        words = [kind.lower() for kind in tokenizer.vocab.types]
        # Ends of notes have pitches too; only beginnings make a melody.
        self._ends = np.array([kind.endswith("noteoff") for kind in words])
        self.present = bool((self._moves.pitch >= 0).any())

    def of(self, ids: np.ndarray) -> np.ndarray:
        """Return the distinct passages of a sequence (T,), ascending."""
        return np.unique(self.all(ids))

    def all(self, ids: np.ndarray) -> np.ndarray:
        """Return the passages of a sequence (T,), in order."""
        pitches = np.where(self._ends.take(ids), -1, self._moves.pitch.take(ids))
        pitches[self._moves.drum_places(ids)] = -1
        return passages(pitches[pitches >= 0], self._length)


def find_leaks(corpus: Corpus, tokenizer: Tokenizer) -> list[Leak]:
    """Return the held-out pieces that share `NEAR` of their passages or more with a training piece.

    Most shared first. Memory grows with the held-out pieces, not with the training data. `corpus`
    holds base ids. Of a vocabulary without pitches nothing is known: an empty list.
    """
    reader = Passages(tokenizer)
    if not reader.present or not corpus.val.begins:
        return []
    spans = [("val", corpus.val)]
    if corpus.test is not corpus.val:
        spans.append(("test", corpus.test))
    held = [
        (name, int(span.row[i]), reader.of(ids)) for name, span in spans for i, ids in _of(span)
    ]
    grams = np.concatenate([found for _, _, found in held])
    owners = np.repeat(np.arange(len(held)), [len(found) for _, _, found in held])
    order = np.argsort(grams, kind="stable")
    grams, owners = grams[order], owners[order]
    best = np.zeros(len(held), np.int64)
    partner = np.full(len(held), -1, np.int64)
    for i, ids in _of(corpus.train):
        mine = reader.of(ids)
        low, high = (np.searchsorted(grams, mine, side=side) for side in ("left", "right"))
        hit = high > low
        if not hit.any():
            continue
        places = np.concatenate([np.arange(a, b) for a, b in zip(low[hit], high[hit], strict=True)])
        counts = np.bincount(owners[places], minlength=len(held))
        more = counts > best
        best[more], partner[more] = counts[more], int(corpus.train.row[i])
    leaks = [
        Leak(name, row, int(partner[k]), float(best[k] / len(found)))
        for k, (name, row, found) in enumerate(held)
        if len(found) and best[k] >= NEAR * len(found)
    ]
    return sorted(leaks, key=lambda leak: -leak.shared)


def trained_before(corpus: Corpus, rule: SplitRule | None) -> int:
    """Return how many pieces that are held out would be training pieces by another rule.

    All of them, where of a single piece all but the end trained.
    """
    if rule is None or rule == corpus.rule:
        return 0
    held = np.union1d(corpus.val.row, corpus.test.row)
    if rule.kind == "tail":
        return len(held)
    return int((split_rows(corpus.store, rule)[held] == SPLITS.index("train")).sum())


def _of(span: Span) -> Iterator[tuple[int, np.ndarray]]:
    for i in range(len(span)):
        yield i, span.piece(i).astype(np.int64)

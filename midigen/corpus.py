"""A store divided for training: which pieces train, validate and test, and their ids.

A piece is a span of the store's ids. Rows are taken in the order of their keys, so that nothing
depends on the order of the stream.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from midigen.errors import MidigenError
from midigen.merges import breaks_of
from midigen.modelvocab import ModelVocab
from midigen.protocols import Tokenizer
from midigen.split import SPLITS, SplitRule, choose_rule
from midigen.store import NO_SPLIT, Store, group_number

_TRAIN, _VAL, _TEST = range(3)
_BATCH = 2_000_000
"""Ids that are merged in one go."""


@dataclass(slots=True)
class Span:
    """Pieces of one split, in parallel arrays.

    offset, length: into `ids`. row: of the store. begins, ends: whether the piece's own first and
    last ids are in it (not so for the two sides of a single piece).
    """

    ids: np.ndarray
    offset: np.ndarray
    length: np.ndarray
    row: np.ndarray
    begins: bool = True
    ends: bool = True

    def __len__(self) -> int:
        return len(self.row)

    @property
    def tokens(self) -> int:
        return int(self.length.sum())

    def piece(self, i: int) -> np.ndarray:
        start = int(self.offset[i])
        return np.asarray(self.ids[start : start + int(self.length[i])])


@dataclass(slots=True)
class Corpus:
    """A store and its split. `test` is `val` itself where there is but one held-out piece.

    duplicates: rows left out because the same piece came before. twins: training rows left out
    because their group stands in validation or test by `meta.split`.
    """

    store: Store
    rule: SplitRule
    train: Span
    val: Span
    test: Span
    duplicates: int
    twins: int

    @property
    def distinct_tokens(self) -> int:
        """Training tokens without changed copies; of copies without their piece, one counts."""
        rows = self.store.rows[self.train.row]
        groups, counts = rows["group"], rows["copy"] == 0
        _, first = np.unique(groups, return_index=True)
        counts[first[~np.isin(groups[first], groups[counts])]] = True
        return int(self.train.length[counts].sum())

    def merged(self, vocab: ModelVocab, tokenizer: Tokenizer, folder: Path) -> "Corpus":
        """Return the corpus in model ids; with merges they are written to `folder`.

        What was written there by an earlier call is used again.
        """
        if not vocab.merges:
            return self
        folder.mkdir(parents=True, exist_ok=True)
        train, val, test = (
            _merge(span, vocab, tokenizer, folder / f"{name}.bin")
            for name, span in zip(SPLITS, (self.train, self.val, self.test), strict=True)
        )
        return Corpus(self.store, self.rule, train, val, test, self.duplicates, self.twins)

    def sample(self, tokenizer: Tokenizer) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield (ids, breaks) of training pieces in the order of their hashes."""
        find = breaks_of(tokenizer)
        for i in range(len(self.train)):
            ids = self.train.piece(i).astype(np.int64)
            yield ids, find(ids)


def divide(store: Store, tokenizer: Tokenizer, rule: SplitRule | None = None) -> Corpus:
    """Split a store, by its own rule if none is given.

    Raises MidigenError where nothing is left to train or to validate on.
    """
    rows, kept = store.rows, _distinct(store.rows["key"])
    rule = rule or own_rule(store)
    if rule.kind == "tail" and (rows["named"] == NO_SPLIT).all():
        return _tails(store, kept, tokenizer, rule)
    split = split_rows(store, rule)[kept]
    originals = rows["copy"][kept] == 0
    groups = rows["group"][kept]
    # A corpus may name a split for one of two twins only: the other must not train.
    twins = (split == _TRAIN) & np.isin(groups, groups[split != _TRAIN])
    train = kept[(split == _TRAIN) & ~twins]
    val, test = (kept[(split == place) & originals] for place in (_VAL, _TEST))
    if rule.val & rule.test:
        # Of two groups, the one that is held out serves as both.
        val = test
    for name, chosen in (("training", train), ("validation", val)):
        if not len(chosen):
            raise MidigenError(
                f"no pieces for {name} among {len(rows)}; more pieces, or another meta.split"
            )
    spans = (_whole(store, chosen) for chosen in (train, val, test if len(test) else val))
    train_span, val_span, test_span = spans
    duplicates = len(rows) - len(kept)
    return Corpus(store, rule, train_span, val_span, test_span, duplicates, int(twins.sum()))


def tail_start(length: int, bars: np.ndarray) -> int:
    """Return where the last tenth of a piece begins: at a bar line where there are ten bars.

    bars: their starts; of text, those of its words.
    """
    if len(bars) >= 10:
        return int(bars[-max(1, len(bars) // 10)])
    return length - max(1, length // 10)


def _distinct(keys: np.ndarray) -> np.ndarray:
    """Return the first row of every key, in the order of the keys."""
    return np.unique(np.asarray(keys), return_index=True)[1]


def own_rule(store: Store) -> SplitRule:
    """Return what `choose_rule` says of the groups without a split of their own.

    The names of the groups stay on disk where two groups in each bucket show that hashes decide.
    """
    unnamed = np.asarray(store.rows["named"] == NO_SPLIT)
    if not unnamed.any():
        return SplitRule()
    groups, buckets = store.rows["group"][unnamed], store.rows["bucket"][unnamed]
    held = [len(np.unique(groups[(low <= buckets) & (buckets < low + 10)])) for low in (0, 10)]
    if min(held) >= 2:
        return SplitRule()
    return choose_rule(store.groups(unnamed))


def split_rows(store: Store, rule: SplitRule) -> np.ndarray:
    """Return the split (place in SPLITS) of every row."""
    rows = store.rows
    if rule.kind == "hash":
        found = np.select([rows["bucket"] < 10, rows["bucket"] < 20], [_TEST, _VAL], _TRAIN)
    else:
        found = np.full(len(rows), _TRAIN)
    for names, place in ((rule.val, _VAL), (rule.test, _TEST)):
        numbers = np.array([group_number(name) for name in names], np.uint64)
        found[np.isin(rows["group"], numbers)] = place
    return np.where(rows["named"] == NO_SPLIT, found, rows["named"])


def _whole(store: Store, chosen: np.ndarray) -> Span:
    rows = store.rows[chosen]
    return Span(store.ids, rows["offset"].astype(np.int64), rows["length"].astype(np.int64), chosen)


def _tails(store: Store, kept: np.ndarray, tokenizer: Tokenizer, rule: SplitRule) -> Corpus:
    """A single piece: every copy trains without its last tenth, the original's validates."""
    whole = _whole(store, kept)
    pieces = [whole.piece(i).astype(np.int64) for i in range(len(whole))]
    find = breaks_of(tokenizer)
    cuts = np.array([tail_start(len(ids), find(ids)) for ids in pieces], np.int64)
    head = Span(store.ids, whole.offset, cuts, kept, ends=False)
    own = store.rows["copy"][kept] == 0
    tail = Span(
        store.ids, (whole.offset + cuts)[own], (whole.length - cuts)[own], kept[own], begins=False
    )
    if not len(tail) or not cuts.all():
        raise MidigenError("a single piece, too short to hold its last tenth out; give more")
    return Corpus(store, rule, head, tail, tail, len(store.rows) - len(kept), 0)


def _merge(span: Span, vocab: ModelVocab, tokenizer: Tokenizer, path: Path) -> Span:
    """Write the pieces of a span with merges applied; return the span of what was written.

    The lengths are written last: where they are, all is.
    """
    done_path = path.with_suffix(".lengths.npy")
    if not done_path.is_file():
        _write_merged(span, vocab, tokenizer, path, done_path)
    dtype = _merged_dtype(vocab)
    lengths = np.load(done_path)
    ids = np.memmap(path, dtype=dtype, mode="r") if lengths.sum() else np.zeros(0, dtype)
    offset = np.cumsum(lengths) - lengths
    return Span(ids, offset, lengths, span.row, span.begins, span.ends)


def _merged_dtype(vocab: ModelVocab) -> "np.dtype[Any]":
    return np.dtype("<u2" if len(vocab) <= 1 << 16 else "<u4")


def _write_merged(
    span: Span, vocab: ModelVocab, tokenizer: Tokenizer, path: Path, done_path: Path
) -> None:
    dtype = _merged_dtype(vocab)
    lengths = np.zeros(len(span), np.int64)
    ends = np.cumsum(span.length)
    start = 0
    with path.open("wb", buffering=1 << 20) as file:
        while start < len(span):
            done = int(ends[start - 1]) if start else 0
            stop = max(start + 1, int(np.searchsorted(ends, done + _BATCH, side="right")))
            pieces = [span.piece(i) for i in range(start, stop)]
            for i, ids in enumerate(vocab.encode_many(pieces, breaks_of(tokenizer)), start):
                file.write(ids.astype(dtype).tobytes())
                lengths[i] = len(ids)
            start = stop
    part = done_path.with_suffix(".part")
    with part.open("wb") as file:
        np.save(file, lengths)
    part.replace(done_path)

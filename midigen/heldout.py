"""Losses of a model on held-out pieces of a corpus."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from midigen.corpus import Span
from midigen.losses import Piece, score_pieces
from midigen.modelvocab import ModelVocab
from midigen.prefixes import Prefixes
from midigen.store import Store
from midigen.tokenizers import tokenizer_of
from midigen.totals import UNITS, Count, Total, Types, count_bytes

if TYPE_CHECKING:
    import torch


class Report:
    """A total, one without near-duplicates of training pieces, one for each genre named.

    units: what losses are divided by beside tokens (`midigen.totals.UNITS`).
    """

    def __init__(self, units: Sequence[str], vocab: ModelVocab) -> None:
        self.types = Types(vocab)
        self.all = Total(units, types=self.types)
        self.clean = Total(units)
        self.genres: dict[str, Total] = {}

    def to_json(self) -> dict[str, Any]:
        genres = sorted(self.genres.items(), key=lambda item: -item[1].pieces)
        return {
            **self.all.to_json(),
            "clean": self.clean.to_json(),
            "genres": {name: total.to_json() for name, total in genres},
        }


class HeldOut:
    """The pieces of a span, as far as `limit` tokens go (None: all), with their conditions.

    Pieces come in the order of their hashes, so a limit takes the same ones every time. near: rows
    of the store that nearly stand in the training data too (`midigen.leakage`).
    """

    def __init__(
        self,
        span: Span,
        store: Store,
        prefixes: Prefixes,
        vocab: ModelVocab,
        limit: int | None = None,
        near: frozenset[int] = frozenset(),
    ) -> None:
        ends = np.cumsum(span.length)
        self.count = len(span)
        if limit is not None:
            self.count = min(len(span), max(1, int(np.searchsorted(ends, limit, side="right"))))
        self._span, self._store = span, store
        self._prefixes, self._vocab = prefixes, vocab
        self._near = near
        self._units = UNITS[tokenizer_of(vocab.tok).medium]
        # One side of a cut piece has no counts of its own.
        self._whole = span.begins and span.ends

    def score(self, model: "torch.nn.Module", window: int, device: str, bar: Any = None) -> Report:
        """Return the losses of a model in eval mode."""
        report = Report(self._units, self._vocab)
        waiting: deque[Piece] = deque()
        scores = score_pieces(model, self._pieces(waiting), window, device)
        for i, nats in enumerate(scores):
            ids = waiting.popleft().ids
            counts = self._counts(i, ids, nats)
            report.all.add(nats, *counts)
            report.types.add(ids, nats)
            if int(self._span.row[i]) not in self._near:
                report.clean.add(nats, *counts)
            for genre in self._store.values(int(self._span.row[i]), "genre"):
                report.genres.setdefault(genre, Total(self._units)).add(nats, *counts)
            if bar is not None:
                bar.update()
        return report

    def _counts(self, i: int, ids: np.ndarray, nats: np.ndarray) -> list[Count]:
        """Return how many of each unit were scored, None where nobody counted."""
        if "byte" in self._units:
            return [count_bytes(self._vocab, ids, nats)]
        row = self._store.rows[self._span.row[i]]
        counts = [row[f"{unit}s"].item() for unit in self._units]
        return [count if self._whole and count >= 0 else None for count in counts]

    def _pieces(self, waiting: deque[Piece]) -> Iterator[Piece]:
        """Yield the pieces; each also waits until its nats are there."""
        for i in range(self.count):
            waiting.append(self._piece(i))
            yield waiting[-1]

    def _piece(self, i: int) -> Piece:
        ids = self._span.piece(i).astype(np.int64)
        if self._span.ends and self._vocab.eos is not None:
            ids = np.append(ids, self._vocab.eos)
        conditions = self._prefixes.whole(int(self._span.row[i]))
        return Piece(ids, conditions, self._vocab.bos if self._span.begins else None)

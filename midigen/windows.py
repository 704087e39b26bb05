"""Training windows: pieces cut into chunks, chunks shuffled and packed into rows of W places.

Chunk k of a piece is a number; an epoch is a keyed permutation of these numbers, taken a block at a
time. The chunks of a block are packed first-fit by falling length into rows, and the rows shuffled.
So every row is a function of (seed, epoch, block), and the place in the data is three numbers.

A chunk begins with its piece's condition tokens, each field dropped at random; then BOS where the
piece begins; EOS is the piece's last id. The id behind a chunk is the target of its last place, so
every id is predicted once an epoch. Chunks in one row carry different segment numbers and do not
attend to each other.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from midigen.corpus import Span
from midigen.errors import MidigenError
from midigen.infill import Arranger
from midigen.modelvocab import ModelVocab
from midigen.permutation import Permutation, mix
from midigen.prefixes import Prefixes

Chunk = tuple[np.ndarray, np.ndarray]
"""Inputs and targets (n,) int64."""
Row = tuple[np.ndarray, np.ndarray, np.ndarray]
"""ids, targets and segments (W,) int64."""

IGNORE = -100
"""The target of a place whose prediction does not count."""
BLOCK = 1024
"""Chunks that are packed together."""


class Place(NamedTuple):
    """Where in the data training stands: the next row is number `row` of the block.

    parts: windows are a `parts`-th of their length (`Windows.cut`), and epochs their own.
    """

    epoch: int = 0
    block: int = 0
    row: int = 0
    parts: int = 1


START = Place()


@dataclass(slots=True)
class Batch:
    """ids, targets, segments: (B, W) int64. after: the place behind it. scored: targets that count.

    packed: some row holds several chunks, so `segments` matters.
    """

    ids: np.ndarray
    targets: np.ndarray
    segments: np.ndarray
    after: Place
    scored: int
    packed: bool


class Windows:
    """Rows of training data from a span of pieces.

    unit: ids an event: chunks begin at whole events. dropout: how often a condition is left out,
    field_dropout: how often those of single fields are. stride: ids from one chunk's start to the
    next's; 0: as long as a chunk, so that chunks do not overlap. share: how much of the chunks an
    epoch takes. infill: how much of them is arranged for filling in (`midigen.infill`).
    """

    def __init__(
        self,
        span: Span,
        prefixes: Prefixes,
        vocab: ModelVocab,
        window: int,
        seed: int,
        *,
        unit: int = 1,
        dropout: float = 0.1,
        field_dropout: Mapping[str, float] | None = None,
        stride: int = 0,
        share: float = 1.0,
        infill: float = 0.0,
    ) -> None:
        self.window = window
        self.parts = 1
        self._span = span
        self._prefixes = prefixes
        self._vocab = vocab
        self._bos = vocab.bos if span.begins else None
        self._eos = vocab.eos if span.ends else None
        self._pad = vocab.pad or 0
        self._seed = seed
        self._unit = unit
        self._dropout = dropout
        self._field_dropout = dict(field_dropout or {})
        self._infill = infill
        self._arrange = Arranger(vocab, infill) if infill else None
        # All conditions of any piece must leave most of the window for music.
        self.body = (window - prefixes.longest) // unit * unit
        if self.body < max(unit, window // 2):
            raise MidigenError(
                f"a window of {window} leaves {self.body} places behind {prefixes.longest}"
                " condition tokens; use a longer --window"
            )
        self._stride = min(self.body, max(unit, stride // unit * unit)) if stride else self.body
        self._share = share
        self._lengths = span.length + (self._eos is not None)

    def cut(self, parts: int) -> "Windows":
        """Return windows of a `parts`-th of the length over the same pieces, in another order.

        Raises MidigenError where conditions leave no room in them.
        """
        if parts == 1:
            return self
        shorter = Windows(
            self._span,
            self._prefixes,
            self._vocab,
            self.window // parts,
            self._seed + (parts << 32),
            unit=self._unit,
            dropout=self._dropout,
            field_dropout=self._field_dropout,
            stride=0 if self._stride == self.body else max(1, self._stride // parts),
            share=self._share,
            infill=self._infill,
        )
        shorter.parts = parts
        return shorter

    def _first(self, epoch: int) -> np.ndarray:
        """The length of every piece's first chunk: whole in epoch 0, then moving the borders.

        Chunks that overlap keep theirs.
        """
        if epoch == 0 or self._stride < self.body:
            return np.full(len(self._span), self.body, np.int64)
        numbers = mix(np.arange(len(self._span), dtype=np.uint64), self._seed, epoch)
        units = self.body // self._unit
        cut = (numbers % np.uint64(max(1, units // 2))).astype(np.int64) * self._unit
        return self.body - cut

    def chunk_ends(self, epoch: int) -> np.ndarray:
        """Return how many chunks the pieces up to each have together, (pieces,) int64."""
        rest = np.maximum(self._lengths - self._first(epoch), 0)
        return np.cumsum(1 + -(-rest // self._stride))

    def rows_an_epoch(self) -> int:
        """Return about how many rows an epoch has."""
        chunks = int(self.chunk_ends(0)[-1])
        overlap = (chunks - len(self._span)) * (self.body - self._stride)
        places = int(self._lengths.sum()) + overlap + chunks * self._prefixes.longest
        return max(1, round(self._share * places / self.window))

    def batches(self, size: int, place: Place = START) -> Iterator[Batch]:
        """Yield batches of `size` rows from `place` on, epoch after epoch, without an end."""
        held: list[Row] = []
        for row, after in self._rows(place):
            held.append(row)
            if len(held) == size:
                ids, targets, segments = (np.stack(arrays) for arrays in zip(*held, strict=True))
                scored = int((targets != IGNORE).sum())
                packed = bool((segments[:, :-1] != segments[:, 1:]).any())
                yield Batch(ids, targets, segments, after, scored, packed)
                held = []

    def _rows(self, place: Place) -> Iterator[tuple[Row, Place]]:
        epoch, block, row, _ = place
        while True:
            ends, first = self.chunk_ends(epoch), self._first(epoch)
            total = int(ends[-1])
            taken = max(1, round(self._share * total))
            order = Permutation(total, self._seed, epoch)
            for number in range(block, -(-taken // BLOCK)):
                low, high = number * BLOCK, min(taken, (number + 1) * BLOCK)
                chunks = self._chunks(order(np.arange(low, high)), ends, first, epoch)
                rows = self._pack(chunks, epoch, number)
                for k in range(row, len(rows)):
                    yield self._fill(rows[k]), Place(epoch, number, k + 1, self.parts)
                row = 0
            epoch, block = epoch + 1, 0

    def _chunks(
        self, numbers: np.ndarray, ends: np.ndarray, first: np.ndarray, epoch: int
    ) -> list[Chunk]:
        """Return chunks by number."""
        pieces = np.searchsorted(ends, numbers, side="right")
        before = np.where(pieces > 0, ends[pieces - 1], 0)
        draws = mix(numbers.astype(np.uint64), self._seed, -1 - epoch)
        found = []
        for piece, k, draw in zip(pieces, numbers - before, draws, strict=True):
            head = int(first[piece])
            start = head - self.body + int(k) * self._stride if k else 0
            count = self.body if k else head
            found.append(self._chunk(int(piece), start, count, int(draw)))
        return found

    def _chunk(self, piece: int, start: int, count: int, draw: int) -> Chunk:
        """Return the chunk that predicts `count` ids of a piece, from `start` on."""
        ids = self._span.piece(piece).astype(np.int64)
        if self._eos is not None:
            ids = np.append(ids, self._eos)
        prefix = self._prefixes.draw(
            int(self._span.row[piece]), draw, self._dropout, self._field_dropout
        )
        if start == 0 and self._bos is not None:
            prefix = [*prefix, self._bos]
        count = min(count, len(ids) - start)
        # The first id is predicted by the one before it, or by the prefix's last.
        context = ids[start - 1 : start] if start else ids[:0]
        body = targets = ids[start : start + count]
        arranged = self._arrange(body, draw) if self._arrange else None
        if arranged is not None:
            body, targets = arranged.ids, np.where(arranged.silent, IGNORE, arranged.ids)
            context = context[:0] if arranged.anew else context
        inputs = np.concatenate((np.array(prefix, np.int64), context, body[:-1]))
        if len(inputs) < len(targets):
            targets = targets[1:]
        silent = np.full(len(inputs) - len(targets), IGNORE)
        return inputs, np.concatenate((silent, targets))

    def _pack(self, chunks: list[Chunk], epoch: int, block: int) -> list[list[Chunk]]:
        """Put chunks into as few rows as first-fit by falling length finds; shuffle the rows."""
        chunks = [chunk for chunk in chunks if len(chunk[0])]
        rows: list[list[Chunk]] = []
        room: list[int] = []
        for chunk in sorted(chunks, key=lambda chunk: -len(chunk[0])):
            size = len(chunk[0])
            for place, free in enumerate(room):
                if size <= free:
                    rows[place].append(chunk)
                    room[place] -= size
                    break
            else:
                rows.append([chunk])
                room.append(self.window - size)
        shuffled = Permutation(len(rows), self._seed, (block << 20) + epoch + 1)
        return [rows[i] for i in shuffled(np.arange(len(rows)))]

    def _fill(self, chunks: list[Chunk]) -> Row:
        """Return one row; padding is a segment of its own."""
        ids = np.full(self.window, self._pad, np.int64)
        targets = np.full(self.window, IGNORE, np.int64)
        segments = np.full(self.window, len(chunks), np.int64)
        at = 0
        for number, (inputs, wanted) in enumerate(chunks):
            end = at + len(inputs)
            ids[at:end], targets[at:end], segments[at:end] = inputs, wanted, number
            at = end
        if len(chunks) == 1:
            # Padding behind a single chunk changes nothing before it.
            segments[:] = 0
        return ids, targets, segments

"""Losses of a model over records: a piece at a time, and in total for each split.

What a model was trained on says little about it, so that the splits are never added up.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from midigen.asked import condition_ids, of_record
from midigen.corpus import tail_start
from midigen.errors import DataError, MidigenError
from midigen.jsonl import RecordReader
from midigen.losses import Piece, make_piece, score_pieces
from midigen.modelfolder import Loaded
from midigen.modelvocab import ModelVocab
from midigen.record import Record, check_ids, is_original
from midigen.rejects import Rejects
from midigen.split import Split, named_split
from midigen.tokenizers import tokenizer_of
from midigen.totals import UNITS, Count, Total, Types, count_bytes

_LOSSES = ("loss", "ppl", "bits")


@dataclass
class Evaluation:
    """Scores records with `loaded`, and remembers the totals of each split.

    only: the one split that is scored, None for all. augmented: also score copies of held-out
    pieces. by_type: totals say what each type of token costs. skipped: records that were not
    scored, by reason.
    """

    loaded: Loaded
    device: str
    only: str | None = None
    augmented: bool = False
    by_type: bool = False
    totals: dict[str, Total] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)

    def lines(self, reader: RecordReader, rejects: Rejects) -> Iterator[dict[str, Any]]:
        """Yield a line a record, in order.

        Raises DataError for a record of another vocabulary; one whose ids cannot be is a reject.
        """
        waiting: deque[tuple[Record, Split, bool, Piece]] = deque()

        def pieces() -> Iterator[Piece]:
            for record in reader:
                refuse_other(record, reader.where, self.loaded.vocab)
                try:
                    check_ids(record["ids"], len(self.loaded.vocab.base))
                    split = self._split(record)
                except MidigenError as error:
                    rejects.add(reader.where, "record", str(error), id=record["id"])
                    continue
                if split is not None:
                    piece, is_tail = self._piece(record, split)
                    waiting.append((record, split, is_tail, piece))
                    yield piece

        loaded = self.loaded
        for nats in score_pieces(loaded.model, pieces(), loaded.window, self.device):
            yield self._line(*waiting.popleft(), nats)

    def _split(self, record: Record) -> Split | None:
        """Return the split of a record that is scored, else None."""
        split = self.loaded.split_rule.split(record)
        if self.only not in (None, split):
            self._skip("of another split")
        elif split != "train" and not self.augmented and not is_original(record):
            self._skip("augmented")
        else:
            return split
        return None

    def _skip(self, reason: str) -> None:
        self.skipped[reason] = self.skipped.get(reason, 0) + 1

    def _piece(self, record: Record, split: Split) -> tuple[Piece, bool]:
        """Return what is scored: a whole piece, or the tail of the only one (and whether it is)."""
        vocab, rule = self.loaded.vocab, self.loaded.split_rule
        conditions = condition_ids(vocab, of_record(vocab, record))
        ids = np.array(record["ids"], dtype=np.int64)
        is_tail = rule.kind == "tail" and split != "train" and named_split(record) is None
        if is_tail:
            ids = ids[tail_start(len(ids), vocab.bar_starts(ids)) :]
        return make_piece(vocab, ids, conditions, begins=not is_tail), is_tail

    @cached_property
    def _units(self) -> tuple[str, ...]:
        return UNITS[tokenizer_of(self.loaded.vocab.tok).medium]

    def _counts(self, record: Record, is_tail: bool, piece: Piece, nats: np.ndarray) -> list[Count]:
        """Return how many of each unit were scored, None where nobody knows."""
        if "byte" in self._units:
            return [count_bytes(self.loaded.vocab, piece.ids, nats)]
        # The notes and bars of a tail were not counted.
        n: Mapping[str, int | float] = {} if is_tail else record["n"]
        return [n.get(f"{unit}s") for unit in self._units]

    def _line(
        self, record: Record, split: Split, is_tail: bool, piece: Piece, nats: np.ndarray
    ) -> dict[str, Any]:
        counts = self._counts(record, is_tail, piece, nats)
        total = Total(self._units)
        total.add(nats, *counts)
        whole = self.totals.setdefault(split, self._total())
        whole.add(nats, *counts)
        if whole.types is not None:
            whole.types.add(piece.ids, nats)
        losses = total.to_json()
        del losses["pieces"]
        return {"id": record["id"], "src": record["src"], "split": split} | losses

    def _total(self) -> Total:
        return Total(self._units, types=Types(self.loaded.vocab) if self.by_type else None)

    def total_lines(self) -> Iterator[dict[str, Any]]:
        """Yield a line of totals for each split, test first."""
        for split in ("test", "val", "train"):
            if split in self.totals:
                yield {"total": split} | self.totals[split].to_json()


def refuse_other(record: Record, where: str, vocab: ModelVocab) -> None:
    """Raise DataError for a record of another vocabulary than the model's."""
    if record["tok"] != vocab.tok:
        raise DataError(where, f"tok {record['tok']}; the model reads {vocab.tok}")


def scored(loaded: Loaded, device: str, reader: RecordReader, rejects: Rejects) -> Iterator[Record]:
    """Yield every record, whole, with its losses under the key ``score``; in order.

    Raises DataError for a record of another vocabulary; one whose ids cannot be is a reject.
    """
    vocab = loaded.vocab
    units = UNITS[tokenizer_of(vocab.tok).medium]
    waiting: deque[tuple[Record, Piece]] = deque()

    def pieces() -> Iterator[Piece]:
        for record in reader:
            refuse_other(record, reader.where, vocab)
            try:
                check_ids(record["ids"], len(vocab.base))
            except MidigenError as error:
                rejects.add(reader.where, "record", str(error), id=record["id"])
                continue
            conditions = condition_ids(vocab, of_record(vocab, record))
            piece = make_piece(vocab, record["ids"], conditions)
            waiting.append((record, piece))
            yield piece

    for nats in score_pieces(loaded.model, pieces(), loaded.window, device):
        record, piece = waiting.popleft()
        total = Total(units)
        if "byte" in units:
            total.add(nats, count_bytes(vocab, piece.ids, nats))
        else:
            total.add(nats, *(record["n"].get(f"{unit}s") for unit in units))
        losses = {key: value for key, value in total.to_json().items() if key.startswith(_LOSSES)}
        yield record | {"score": losses}


def sentence(line: Mapping[str, Any]) -> str:
    """Return a line of totals in words."""
    units = {"loss": "a token", "loss_note": "a note", "loss_bar": "a bar", "loss_byte": "a byte"}
    losses = [f"{line[key]:.4f} {unit}" for key, unit in units.items() if line.get(key) is not None]
    said = f"{line['total']}: {line['pieces']} pieces; nats: {', '.join(losses) or 'none'}"
    bits = {"bits_byte": "a byte", "bits_second": "a second"}
    more = [f"{line[key]:.4f} {unit}" for key, unit in bits.items() if line.get(key) is not None]
    return f"{said}; bits: {', '.join(more)}" if more else said

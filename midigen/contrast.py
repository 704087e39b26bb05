"""How much the right value of a field tells a model: the same bars read with it, without it, and
with others in its place.

The bars are the first of held-out pieces, where a condition can say most: later ones tell by
themselves what the piece is. Only the field that is asked about stands before them.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from midigen import rng
from midigen.asked import condition_ids, known_values
from midigen.conditions import condition_values
from midigen.errors import MidigenError, Reject
from midigen.evaluate import refuse_other
from midigen.jsonl import RecordReader
from midigen.losses import Piece, make_piece, score_pieces
from midigen.measure import measure
from midigen.modelfolder import Loaded
from midigen.record import Record, check_ids, is_original
from midigen.rejects import Rejects
from midigen.tokenizers import tokenizer_of

if TYPE_CHECKING:
    from midigen.cli._edge import Run

MOST = 12
"""Wrong values that a piece is read with; of more, these are drawn."""
LEAST = 10
"""Groups from which on an interval is given."""
_DRAWS = 4000
_WAYS = ("right", "dropped", "wrong")


@dataclass
class Contrast:
    """Reads the first bars of held-out pieces in three ways, and adds up by the right value.

    name: of the field. split: which pieces. sums: {value: {group: [notes, nats right, nats without,
    nats with wrong values on average, pieces]}}. Raises MidigenError for a model that cannot be
    asked: without BOS there is nothing to read unasked; with one value none is wrong; one that was
    trained on a single piece has none to be read.
    """

    loaded: Loaded
    device: str
    name: str
    bars: int
    split: str = "test"
    sums: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        vocab = self.loaded.vocab
        self._values = list(vocab.conditions.get(self.name, ()))
        if vocab.bos is None or len(self._values) < 2:
            raise MidigenError(
                f"the model has no BOS, or knows fewer than two values of {self.name}:"
                " nothing to compare"
            )
        if self.loaded.split_rule.kind == "tail":
            raise MidigenError("the model was trained on a single piece: none is held out")
        self._tokenizer = tokenizer_of(vocab.tok)
        if self._tokenizer.medium != "score":
            raise MidigenError(f"{vocab.tok} has no notes and bars to compare over")

    def read(
        self, reader: RecordReader, rejects: Rejects, progress: Callable[[Any], Any] = iter
    ) -> None:
        """Add the pieces of a stream up. What has no value that the model knows is passed over."""
        waiting: deque[tuple[Record, list[str], int, int]] = deque()

        def readings() -> Iterator[Piece]:
            for record in progress(reader):
                refuse_other(record, reader.where, self.loaded.vocab)
                right = known_values(
                    self.loaded.vocab, self.name, condition_values(record, self.name)
                )
                try:
                    held = self.loaded.split_rule.split(record) == self.split
                    if not right or not held or not is_original(record):
                        continue
                    check_ids(record["ids"], len(self.loaded.vocab.base))
                    ids, ends, notes = self._first_bars(record)
                except (MidigenError, Reject) as error:
                    rejects.add(reader.where, "record", str(error), id=record["id"])
                    continue
                wrong = self._wrong(record, right)
                ways = [right, [], *([value] for value in wrong)]
                waiting.append((record, right, notes, len(ways)))
                for values in ways:
                    yield self._piece(ids, values, ends=ends)

        found: list[float] = []
        model, window = self.loaded.model, self.loaded.window
        for nats in score_pieces(model, readings(), window, self.device):
            found.append(float(nats.sum(dtype=np.float64)))
            if len(found) == waiting[0][3]:
                record, right, notes, _ = waiting.popleft()
                row = np.array([notes, *found[:2], np.mean(found[2:]), 1.0])
                for value in right:
                    groups = self.sums.setdefault(value, {})
                    groups[record["group"]] = groups.get(record["group"], 0.0) + row
                found = []

    def _first_bars(self, record: Record) -> tuple[np.ndarray, bool, int]:
        """Return the ids of the first bars, whether the piece ends with them, and their notes.

        Raises Reject where they have none.
        """
        ids = np.array(record["ids"], np.int64)
        starts = self._tokenizer.bar_starts(ids)
        ends = len(starts) <= self.bars
        ids = ids if ends else ids[: starts[self.bars]]
        score = self._tokenizer.decode([ids.tolist()]).value
        return ids, ends, int(measure(score).n["notes"])

    def _wrong(self, record: Record, right: list[str]) -> list[str]:
        others = [value for value in self._values if value not in right]
        if not others:
            raise MidigenError(f"a piece has every value of {self.name} that the model knows")
        if len(others) <= MOST:
            return others
        drawn = rng.generator(0, record["id"], record["aug"], "contrast")
        return [str(value) for value in drawn.choice(others, MOST, replace=False)]

    def _piece(self, ids: np.ndarray, values: list[str], *, ends: bool) -> Piece:
        conditions = condition_ids(self.loaded.vocab, {self.name: values})
        return make_piece(self.loaded.vocab, ids, conditions, ends=ends)

    def lines(self) -> Iterator[dict[str, Any]]:
        """Yield a line a value, in the order of the model's: losses a note, and what they differ.

        A difference is [nats a note, and the bounds within which 95 of 100 resamplings of the
        groups lie]; null for fewer than `LEAST` groups.
        """
        for value in self._values:
            if value not in self.sums:
                continue
            rows = np.stack([self.sums[value][group] for group in sorted(self.sums[value])])
            notes, right, dropped, wrong, pieces = rows.T
            total = notes.sum()
            line: dict[str, Any] = {
                "field": self.name,
                "value": value,
                "split": self.split,
                "bars": self.bars,
                "pieces": int(pieces.sum()),
                "groups": len(rows),
                "notes": int(total),
            }
            for way, nats in zip(_WAYS, (right, dropped, wrong), strict=True):
                line[f"loss_note_{way}"] = round(float(nats.sum() / total), 5)
            line["dropped_minus_right"] = interval(dropped - right, notes)
            line["wrong_minus_dropped"] = interval(wrong - dropped, notes)
            yield line


def interval(nats: np.ndarray, notes: np.ndarray) -> list[float] | None:
    """Return nats a note over groups (N,), and bounds of 95 % by the bootstrap (Efron 1979).

    None for too few groups.
    """
    if len(nats) < LEAST:
        return None
    draws = np.random.default_rng(0).integers(len(nats), size=(_DRAWS, len(nats)))
    means = nats[draws].sum(axis=1) / notes[draws].sum(axis=1)
    bounds = np.quantile(means, (0.025, 0.975))
    return [round(float(x), 5) for x in (nats.sum() / notes.sum(), *bounds)]


def tell_contrast(
    run: "Run",
    paths: list[str],
    contrast: Contrast,
    *,
    output: str,
    force: bool,
    rejects: str | None,
    strict: bool,
) -> None:
    """Read a stream, and write a line a value (``tokeval --contrast``)."""
    from midigen.jsonl import RecordWriter

    with run.rejects(rejects, strict) as faulty, run.output(output, force=force) as out:
        contrast.read(RecordReader(paths, faulty), faulty, run.progress)
        writer = RecordWriter(out, flush=True)
        for line in contrast.lines():
            writer.write(line)
            losses = ", ".join(f"{line[f'loss_note_{way}']:.3f} {way}" for way in _WAYS)
            run.message(
                f"{line['value']}: {line['groups']} groups; nats a note: {losses}"
                f"; without it {_said(line['dropped_minus_right'])},"
                f" with a wrong one another {_said(line['wrong_minus_dropped'])}"
            )
        run.finish(writer.count, f"{writer.count} values", faulty)


def _said(difference: list[float] | None) -> str:
    if difference is None:
        return "(too few groups)"
    return "{:+.3f} ({:+.3f} to {:+.3f})".format(*difference)

"""Pieces of a stream decoded, made into other scores and encoded anew: `tok2tok` and `tokcut`."""

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from midigen.batches import encode_many
from midigen.decoding import Tokenizers, usable
from midigen.errors import Reject
from midigen.jsonl import RecordReader, dumps
from midigen.parts import Counts, records_of
from midigen.pieces import Piece, pieces
from midigen.protocols import Encoded, Fault, Tokenizer
from midigen.record import Record
from midigen.registry import load

if TYPE_CHECKING:
    from midigen.cli._edge import Run

MOST_PIECES, MOST_IDS = 32, 1 << 17
"""Pieces that travel together: array code pays by the call, and pipes by the message."""


class Draft(NamedTuple):
    """A score that is to become records.

    known: their keys but for ids and parts. counts: the `n` of each part, where that is known.
    """

    score: Any
    known: Record
    tokenizer: Tokenizer
    counts: list[Counts] | None = None


Rework = Callable[[Piece, Any, Tokenizer], Iterable[Draft | Reject]]
"""What becomes of a piece, its decoded score and the tokenizer that it had. Picklable."""


@dataclass(slots=True)
class Rewritten:
    """What became of some pieces.

    data: their records, whole lines. pieces, records, notes, tokens: how many. repairs: by kind, of
    `repaired` pieces. lossy: drafts by what the vocabulary could not hold. rejects: (where, reason,
    detail, id).
    """

    data: bytes = b""
    pieces: int = 0
    records: int = 0
    notes: int = 0
    tokens: int = 0
    repaired: int = 0
    repairs: Counter[str] = field(default_factory=Counter)
    lossy: Counter[str] = field(default_factory=Counter)
    rejects: list[tuple[str, str, str, str]] = field(default_factory=list)

    def add(self, other: "Rewritten") -> None:
        """Add the counts of `other`."""
        for name in ("pieces", "records", "notes", "tokens", "repaired"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.repairs.update(other.repairs)
        self.lossy.update(other.lossy)

    def summary(self) -> str:
        """Return ``3 pieces, 3 records, 12 notes, 50 tokens; 1 repaired (...); lossy: ...``."""
        text = (
            f"{self.pieces:,} piece{'s' * (self.pieces != 1)}, {self.records:,} records,"
            f" {self.notes:,} notes, {self.tokens:,} tokens"
        )
        if self.repaired:
            kinds = ", ".join(f"{n} {kind}" for kind, n in self.repairs.most_common())
            text += f"; {self.repaired} repaired ({kinds})"
        if self.lossy:
            text += "; lossy: " + ", ".join(f"{n:,} {word}" for word, n in self.lossy.items())
        return text


class Rewriter:
    """Rewrites pieces by a `Rework`. Picklable, for workers.

    strict: what the target's vocabulary cannot hold as a whole is a reject (``lossy``).
    """

    def __init__(self, rework: Rework, tokenizers: Tokenizers, strict: bool = False) -> None:
        self.tokenizers = tokenizers
        self._rework = rework
        self._strict = strict

    def __call__(self, chunk: Sequence[Piece]) -> Rewritten:
        """Return what becomes of pieces, in order."""
        done = Rewritten(pieces=len(chunk))
        drafts = list[tuple[Piece, Draft]]()
        for piece in chunk:
            for draft in self._drafts(piece, done):
                if isinstance(draft, Reject):
                    _reject(done, piece, draft)
                else:
                    drafts.append((piece, draft))
        lines = list[bytes]()
        for (piece, draft), encoded in zip(drafts, self._encode(drafts), strict=True):
            if isinstance(encoded, Reject):
                _reject(done, piece, encoded)
                continue
            done.lossy.update(set(encoded.lossy))
            for record in records_of(draft.known, encoded, draft.score, draft.counts):
                lines.append(dumps(record) + b"\n")
                done.records += 1
                done.tokens += len(record["ids"])
                done.notes += int(record["n"].get("notes", 0))
        done.data = b"".join(lines)
        return done

    def _drafts(self, piece: Piece, done: Rewritten) -> Iterable[Draft | Reject]:
        tokenizer = self.tokenizers.of(piece.first["tok"])
        decoded = tokenizer.decode([record["ids"] for record in piece.records], piece.programs)
        done.repaired += bool(decoded.repairs)
        done.repairs.update(decoded.repairs)
        if not decoded.value.note_num():
            return [Reject("no_notes", "nothing in it sounds")]
        return self._rework(piece, decoded.value, tokenizer)

    def _encode(self, drafts: Sequence[tuple[Piece, Draft]]) -> Iterator[Encoded | Reject]:
        """Yield what the tokenizers make of drafts, in order; neighbours of one go together."""
        for _, group in groupby(drafts, key=lambda item: id(item[1].tokenizer)):
            same = [draft for _, draft in group]
            for encoded in encode_many(same[0].tokenizer, [draft.score for draft in same]):
                yield self._judge(encoded)

    def _judge(self, encoded: Encoded | Reject) -> Encoded | Reject:
        if self._strict and isinstance(encoded, Encoded) and encoded.lossy:
            return Reject("lossy", f"the vocabulary cannot hold its {', '.join(encoded.lossy)}")
        return encoded


def _reject(done: Rewritten, piece: Piece, reject: Reject) -> None:
    done.rejects.append((piece.where, reject.reason, reject.detail, piece.first["id"]))


def rewrite(
    run: "Run",
    files: Sequence[str] | None,
    rewriter: Rewriter,
    *,
    jobs: int = 1,
    output: str = "-",
    force: bool = False,
    rejects: str | None = None,
    strict: bool = False,
) -> None:
    """Write the records of a stream rewritten, in order, and say the summary.

    jobs: worker processes; 1: none, the work is done here.
    """
    paths = run.inputs(files)
    total = Rewritten()
    with run.rejects(rejects, strict) as faulty, run.output(output, force=force) as file:
        reader = RecordReader(paths, faulty)
        whole = pieces(usable(reader, rewriter.tokenizers, faulty, run.message))
        with run.progress(unit="piece") as bar, closing(_results(whole, rewriter, jobs)) as results:
            for done in results:
                for where, reason, detail, id in done.rejects:
                    faulty.add(where, reason, detail, id=id)
                file.write(done.data)
                total.add(done)
                bar.update(done.pieces)
        run.finish(total.records, total.summary(), faulty)


def _results(whole: Iterable[Piece], rewriter: Rewriter, jobs: int) -> Generator[Rewritten]:
    """Yield what becomes of the pieces, chunk by chunk; of one whose worker dies, one by one."""
    if jobs == 1:
        yield from map(rewriter, _chunks(whole))
        return
    executor = load("executors", "local")("", jobs)
    for chunk, done in executor.imap(rewriter, _chunks(whole), None, 4 * jobs):
        if not isinstance(done, Fault):
            yield done
            continue
        alone = ([piece] for piece in chunk)
        for (piece,), single in executor.imap(rewriter, alone, None, 4 * jobs):
            if isinstance(single, Fault):
                failed = Rewritten(pieces=1)
                _reject(failed, piece, Reject(single.reason, single.detail))
                single = failed
            yield single


def _chunks(whole: Iterable[Piece]) -> Iterator[list[Piece]]:
    chunk, size = list[Piece](), 0
    for piece in whole:
        chunk.append(piece)
        size += sum(len(record["ids"]) for record in piece.records)
        if len(chunk) == MOST_PIECES or size >= MOST_IDS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk

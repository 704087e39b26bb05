"""Records as something to read: of text its bytes, of music a token a line."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from midigen.decoding import Tokenizers, usable
from midigen.jsonl import RecordReader
from midigen.outfiles import ManyFiles, Open, refuse_folder
from midigen.outnames import Pattern
from midigen.pieces import Piece
from midigen.record import Record
from midigen.rejects import Rejects


class PlainText(NamedTuple):
    """What a record says. medium: score or text. faults: places that are not UTF-8."""

    piece: Piece
    data: bytes
    medium: str
    faults: int = 0


@dataclass
class Tally:
    """What was written: records, bytes, and in how many places of how many that is not UTF-8."""

    records: int = 0
    bytes: int = 0
    faulty: int = 0
    faults: int = 0

    def add(self, made: PlainText) -> None:
        self.records += 1
        self.bytes += len(made.data)
        self.faulty += made.faults > 0
        self.faults += made.faults

    def summary(self) -> str:
        """Return ``3 records, 5,020 bytes; not UTF-8: 2 places in 1 of them``."""
        text = f"{self.records:,} record{'s' * (self.records != 1)}, {self.bytes:,} bytes"
        if self.faults:
            text += f"; not UTF-8: {self.faults:,} places in {self.faulty:,} of them"
        return text


def plain_texts(
    reader: RecordReader, tokenizers: Tokenizers, rejects: Rejects, say: Callable[[str], None]
) -> Iterator[PlainText]:
    """Yield the records of a stream, in order; what cannot be read is a reject."""
    for where, record in usable(reader, tokenizers, rejects, say):
        piece = Piece(where, [record])
        tokenizer = tokenizers.of(record["tok"])
        if tokenizer.medium == "text":
            decoded = tokenizer.decode([record["ids"]])
            yield PlainText(piece, decoded.value, "text", sum(decoded.repairs.values()))
        else:
            yield PlainText(piece, _listed(record, tokenizer.vocab.tokens), tokenizer.medium)


def _listed(record: Record, tokens: tuple[str, ...]) -> bytes:
    """Return the tokens of a record, one a line."""
    return "".join(f"{tokens[id]}\n" for id in record["ids"]).encode()


@contextmanager
def writer_for(output: str, open: Open, *, force: bool) -> Iterator[Callable[[PlainText], None]]:
    """Yield what writes them where ``-o`` says.

    output: ``-`` or a file takes all of them, end to end, a blank line around each that is music; a
    pattern with fields gives each a file. Raises UsageError for a folder.
    """
    pattern = Pattern(output)
    if pattern.fields:
        files = ManyFiles(pattern, force=force)
        yield lambda made: files.put(made.piece, made.data)
        return
    refuse_folder(output, ".txt")
    with open(output) as file:
        before: list[str] = []

        def write(made: PlainText) -> None:
            if before and (before[-1], made.medium) != ("text", "text"):
                file.write(b"\n")
            before[:] = [made.medium]
            file.write(made.data)
            if output == "-":
                file.flush()

        yield write

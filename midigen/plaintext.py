"""Records as something to read: of text its bytes, of music a token a line."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from midigen.decoding import Tokenizers, usable
from midigen.jsonl import RecordReader
from midigen.outfiles import ManyFiles, Open, refuse_folder
from midigen.outnames import Pattern
from midigen.pieces import Piece
from midigen.record import Record
from midigen.rejects import Rejects


class PlainText(NamedTuple):
    """What a record says.

    is_cut: a text that was cut from a longer one; else a whole of its own: music, or a sample.
    faults: places that are not UTF-8.
    """

    piece: Piece
    data: bytes
    is_cut: bool = False
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
            faults = sum(decoded.repairs.values())
            yield PlainText(piece, decoded.value, "gen" not in record, faults)
        else:
            yield PlainText(piece, _listed(record, tokenizer.vocab.tokens))


def _listed(record: Record, tokens: tuple[str, ...]) -> bytes:
    """Return the tokens of a record, one a line."""
    return "".join(f"{tokens[id]}\n" for id in record["ids"]).encode()


@contextmanager
def writer_for(output: str, open: Open, *, force: bool) -> Iterator[Callable[[PlainText], None]]:
    """Yield what writes them where ``-o`` says.

    output: ``-`` or a file takes all of them: cuts end to end, byte for byte, a whole with an LF at
    its end and a blank line around it. A pattern with fields gives each a file. Raises UsageError
    for a folder.
    """
    pattern = Pattern(output)
    if pattern.fields:
        files = ManyFiles(pattern, force=force)
        yield lambda made: files.put(made.piece, made.data)
        return
    refuse_folder(output, ".txt")
    with open(output) as file:
        stream = _Stream(file)
        yield stream.write


class _Stream:
    """Writes cuts end to end and wholes apart."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._after_cut: bool | None = None
        self._line_is_open = False

    def write(self, made: PlainText) -> None:
        if self._after_cut is not None and not (self._after_cut and made.is_cut):
            self._end_line()
            self._file.write(b"\n")
        self._file.write(made.data)
        self._line_is_open = not made.data.endswith(b"\n")
        if not made.is_cut:
            self._end_line()
        self._after_cut = made.is_cut
        self._file.flush()

    def _end_line(self) -> None:
        if self._line_is_open:
            self._file.write(b"\n")
            self._line_is_open = False

"""`text2tok` as a whole: texts to pieces to records."""

import hashlib
import sys
import time
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from midigen.assignments import read_assignments
from midigen.cuts import Per
from midigen.errors import MidigenError, Reject
from midigen.jsonl import RecordWriter
from midigen.protocols import Tokenizer
from midigen.record import Record, complete, short_hash
from midigen.registry import tokenizer as build_tokenizer
from midigen.rejects import Rejects
from midigen.sources import Inputs, find_files, printable
from midigen.spec import parse_tok
from midigen.tokenizers import tok_of

if TYPE_CHECKING:
    from midigen.cli._edge import Run

DEFAULT_TOKENIZER = "text"
SUFFIXES = (".txt", ".text", ".md", ".abc")
"""What counts as text in a folder, in any case. A file that is named itself may be called anything.
"""


@dataclass(slots=True)
class Totals:
    """What the summary says."""

    files: int = 0
    pieces: int = 0
    bytes: int = 0
    not_utf8: int = 0
    started: float = field(default_factory=time.monotonic)

    def summary(self) -> str:
        """Return ``2 files, 9 pieces, 81,204 bytes in 0.1 s; 1 piece is not UTF-8``."""
        seconds = time.monotonic() - self.started
        text = (
            f"{self.files:,} files, {self.pieces:,} pieces, {self.bytes:,} bytes in {seconds:.1f} s"
        )
        if self.not_utf8:
            text += f"; not UTF-8, kept as it is: {self.not_utf8:,} pieces (iconv converts)"
        return text


class TextEncoder:
    """Turns pieces of text into records.

    spec: of the tokenizer, with or without fingerprint. meta: what every record gets. strict: text
    that is not UTF-8 is a reject (``not_utf8``). Raises MidigenError if the tokenizer reads no
    text.
    """

    def __init__(self, spec: str, meta: Mapping[str, Any], strict: bool = False) -> None:
        name, _, fingerprint = spec.partition("#")
        self.tokenizer: Tokenizer = build_tokenizer(name, trusted=True)
        if self.tokenizer.medium != "text":
            raise MidigenError(f"tokenizer {spec!r} reads a {self.tokenizer.medium}, not text")
        self.tok = tok_of(self.tokenizer)
        if fingerprint and fingerprint != parse_tok(self.tok).fingerprint:
            raise MidigenError(f"tokenizer {spec}: the vocabulary is {self.tok} here")
        self.totals = Totals()
        self._meta = dict(meta)
        self._strict = strict

    def record(self, piece: bytes, src: str) -> Record:
        """Return the record of a piece. Raises Reject."""
        (ids,) = self.tokenizer.encode(piece).parts
        try:
            text = piece.decode()
        except UnicodeDecodeError as error:
            if self._strict:
                raise Reject("not_utf8", f"byte {piece[error.start]:#x}: {error.reason}") from error
            self.totals.not_utf8 += 1
            text = piece.decode(errors="surrogateescape")
        self.totals.pieces += 1
        self.totals.bytes += len(piece)
        return complete(
            {
                "id": short_hash(piece),
                "group": group_of(text),
                "src": src,
                "md5": hashlib.md5(piece, usedforsecurity=False).hexdigest(),
                "tok": self.tok,
                "ids": ids,
                "n": {"bytes": len(piece)},
                "meta": dict(self._meta),
            }
        )


def group_of(text: str) -> str:
    """Return 16 hex digits that are the same for texts that differ in spacing and case alone.

    Line ends, line breaks, a byte order mark and compatible spellings of a character (NFKC) do not
    matter either.
    """
    folded = unicodedata.normalize("NFKC", text.removeprefix("\ufeff").casefold())
    return short_hash(" ".join(folded.split()).encode("utf-8", "surrogateescape"))


def convert(
    run: "Run",
    inputs: Inputs,
    per: Per,
    *,
    tokenizer: str | None = None,
    assignments: Iterable[str] = (),
    output: str = "-",
    force: bool = False,
    rejects: str | None = None,
    strict: bool = False,
) -> None:
    """Write the records of all inputs, in order, and say the summary.

    strict: the first reject, or text that is not UTF-8, raises DataError.
    """
    inputs = inputs.resolve()
    if inputs.on_stdin:
        run.inputs(["-"])
    encoder = TextEncoder(tokenizer or DEFAULT_TOKENIZER, read_assignments(assignments), strict)
    with run.rejects(rejects, strict) as faulty, run.output(output, force=force) as out:
        writer = RecordWriter(out)
        for record in run.progress(_records(inputs, per, encoder, faulty), unit="piece"):
            writer.write(record)
    run.finish(writer.count, encoder.totals.summary(), faulty)


def _records(inputs: Inputs, per: Per, encoder: TextEncoder, rejects: Rejects) -> Iterator[Record]:
    for given in inputs.names():
        for name in [given] if given == "-" else find_files(given, SUFFIXES, rejects):
            src = printable(name)
            before = encoder.totals.pieces
            try:
                yield from _of_file(name, src, per, encoder, rejects)
            except Reject as reject:
                rejects.add(src, reject.reason, reject.detail)
            except OSError as error:
                rejects.add(src, "io", error.strerror or str(error))
            encoder.totals.files += encoder.totals.pieces > before


def _of_file(
    name: str, src: str, per: Per, encoder: TextEncoder, rejects: Rejects
) -> Iterator[Record]:
    """Yield the records of a file. Raises Reject (``empty``, ``too_big``, ``io``) and OSError."""
    number = 0
    with _open(name) as file:
        for number, piece in enumerate(per.pieces(file), 1):
            where = src if per.unit == "file" else f"{src}#{number}"
            try:
                yield encoder.record(piece, where)
            except Reject as reject:
                rejects.add(where, reject.reason, reject.detail)
    if not number:
        raise Reject("empty", "no bytes")


def _open(name: str) -> Any:
    """Open a file, or stdin (``-``), which stays open."""
    if name == "-":
        return nullcontext(cast(BinaryIO, sys.stdin.buffer))
    try:
        return Path(name).open("rb")
    except ValueError as error:
        raise Reject("io", str(error)) from error

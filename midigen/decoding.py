"""Records back to scores: each by the tokenizer that its `tok` names."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from midigen import registry
from midigen.errors import MidigenError
from midigen.jsonl import RecordReader
from midigen.pieces import Piece, pieces
from midigen.protocols import Decoded, Tokenizer
from midigen.record import Record, check_ids
from midigen.rejects import Rejects
from midigen.spec import parse_tok
from midigen.tokenizers import tokenizer_of

_SAID = 10
"""Rejects that are told one by one; the rest is counted."""


class Tokenizers:
    """The tokenizers of a stream: those that the records name, or one for all. Picklable.

    chosen: the spec of the one, from the command line. medium: what they must make, None for
    anything. Raises MidigenError if there is none of that spec.
    """

    def __init__(self, chosen: str | None = None, medium: str | None = "score") -> None:
        self._named = chosen, medium
        self._medium = medium
        self._chosen: Tokenizer | None = None
        if chosen is not None:
            self._chosen = registry.tokenizer(chosen, trusted=True)

    def __reduce__(self) -> tuple[Any, ...]:
        return Tokenizers, self._named

    def of(self, tok: str) -> Tokenizer:
        """Return the tokenizer for ``spec#fingerprint``.

        Raises MidigenError if there is none with that vocabulary, or if it makes something else.
        """
        tokenizer = self._chosen or tokenizer_of(tok)
        fingerprint = tokenizer.vocab.fingerprint
        if fingerprint != parse_tok(tok).fingerprint:
            raise MidigenError(f"tok {tok}: --tokenizer {tokenizer.spec} is #{fingerprint}")
        if self._medium not in (None, tokenizer.medium):
            raise MidigenError(f"tok {tok} is {tokenizer.medium}, not music")
        return tokenizer


class Decoding(NamedTuple):
    piece: Piece
    decoded: Decoded


@dataclass
class Tally:
    """What was decoded: pieces, notes, repairs by kind, and pieces that needed any."""

    pieces: int = 0
    notes: int = 0
    repaired: int = 0
    repairs: Counter[str] = field(default_factory=Counter)

    def add(self, decoded: Decoded) -> None:
        self.pieces += 1
        self.notes += decoded.value.note_num()
        self.repaired += bool(decoded.repairs)
        self.repairs.update(decoded.repairs)

    def summary(self) -> str:
        """Return ``3 files, 512 notes; 1 of them repaired (2 incomplete note)``."""
        text = f"{self.pieces} file{'s' * (self.pieces != 1)}, {self.notes} notes"
        if self.repaired:
            kinds = ", ".join(f"{count} {kind}" for kind, count in self.repairs.most_common())
            text += f"; {self.repaired} repaired ({kinds})"
        return text


def decode_stream(
    reader: RecordReader, tokenizers: Tokenizers, rejects: Rejects, say: Callable[[str], None]
) -> Iterator[Decoding]:
    """Decode the pieces of a stream, parts joined.

    A record that cannot be decoded is a reject (``tokenizer``, ``ids``); `say` hears of the first.
    """
    for piece in pieces(usable(reader, tokenizers, rejects, say)):
        tokenizer = tokenizers.of(piece.first["tok"])
        ids = [record["ids"] for record in piece.records]
        yield Decoding(piece, tokenizer.decode(ids, piece.programs))


def usable(
    reader: RecordReader, tokenizers: Tokenizers, rejects: Rejects, say: Callable[[str], None]
) -> Iterator[tuple[str, Record]]:
    """Yield the records that can be decoded, and where each stood; the others are rejects."""
    said = 0
    for record in reader:
        try:
            reason = "tokenizer"
            size = len(tokenizers.of(record["tok"]).vocab)
            reason = "ids"
            check_ids(record["ids"], size)
        except MidigenError as error:
            rejects.add(reader.where, reason, str(error), id=record["id"])
            said += 1
            if said <= _SAID:
                say(f"{reader.where}: {error}")
        else:
            yield reader.where, record

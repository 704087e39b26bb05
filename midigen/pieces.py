"""Pieces: what stands in one record, or in the consecutive records of a file's tracks."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from midigen.provenance import to_text
from midigen.record import Record, meta_values


@dataclass
class Piece:
    """The records of a piece in the order of their parts, and where the first one stood."""

    where: str
    records: list[Record] = field(default_factory=list)

    @property
    def first(self) -> Record:
        return self.records[0]

    @property
    def id(self) -> str:
        return id_of(self.first)

    @property
    def title(self) -> str:
        return "; ".join(map(str, meta_values(self.first, "title")))

    @property
    def text(self) -> str:
        """What made the piece, if a model did: as a MIDI file keeps it."""
        gen = self.first.get("gen")
        return to_text(gen) if gen else ""

    @property
    def programs(self) -> list[int] | None:
        """The program of each part, -1 drums; None unless all of them say it."""
        found = [record["meta"].get("program") for record in self.records]
        return found if all(type(p) is int and -1 <= p <= 127 for p in found) else None


def id_of(record: Record) -> str:
    """Return a record's id without the ``.k`` of a part."""
    id: str = record["id"]
    return id.removesuffix(f".{record['part'][0]}") if "part" in record else id


def pieces(records: Iterable[tuple[str, Record]]) -> Iterator[Piece]:
    """Join consecutive parts of one id; yield pieces in the order of their first records.

    records: (where it stood, record). Copies of a piece (other `tok`, `aug` or `cut`, or the same
    part again) are pieces of their own, also where `tokaug` has put a copy behind every part.
    """
    waiting: list[Piece] = []
    for where, record in records:
        if "part" not in record or (waiting and waiting[0].id != id_of(record)):
            yield from waiting
            waiting = []
        if "part" not in record:
            yield Piece(where, [record])
            continue
        for piece in waiting:
            if _continues(piece.records[-1], record):
                piece.records.append(record)
                break
        else:
            waiting.append(Piece(where, [record]))
    yield from waiting


def _continues(last: Record, record: Record) -> bool:
    """Return whether `record` is a later part of the piece whose last part so far is `last`."""
    (before, count), (here, same_count) = last["part"], record["part"]
    same = all(last.get(key) == record.get(key) for key in ("tok", "aug", "cut"))
    return bool(same and count == same_count and before < here)

"""Pieces that are there twice: by group, keeping a few bytes a piece."""

from hashlib import blake2b

import orjson

from midigen.record import Record


def piece_id(record: Record) -> str:
    """Return the id that all parts and all copies of a piece share."""
    if "part" in record:
        return str(record["id"]).removesuffix(f".{record['part'][0]}")
    return str(record["id"])


class Twins:
    """Notices records of a group of which another piece has passed, and exact repeats.

    Keeps hashes of 8 bytes: three a piece that passes (250 bytes of memory, measured), one more for
    each further part or copy.
    """

    def __init__(self) -> None:
        self._pieces: dict[bytes, bytes] = {}
        self._seen: set[bytes] = set()

    def why_not(self, record: Record) -> str | None:
        piece = _hash8(piece_id(record).encode())
        first = self._pieces.setdefault(_hash8(record["group"].encode()), piece)
        if first != piece:
            return f"another piece of group {record['group']} has passed"
        part = record.get("part")
        this = _hash8(
            orjson.dumps(
                [record["id"], record["tok"], part, record["aug"], record["ids"]],
                option=orjson.OPT_SORT_KEYS,
            )
        )
        if this in self._seen:
            return f"the same record {record['id']} has passed"
        self._seen.add(this)
        return None


def _hash8(data: bytes) -> bytes:
    return blake2b(data, digest_size=8).digest()

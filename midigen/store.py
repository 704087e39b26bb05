"""The token store: a stream of records on disk, as training reads it. Flat arrays, memory-mapped.

ids.bin: all ids, end to end. index.bin: one `ROW` a piece. labels.json: the sets of values that
occur in each condition field. groups.txt: the group of each row, a JSON string a line. store.json:
what seals it.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from midigen.conditions import condition_values
from midigen.errors import MidigenError
from midigen.modelvocab import FIELDS
from midigen.record import Record, is_original
from midigen.split import SPLITS, bucket, named_split

ROW = np.dtype(
    [
        ("offset", "<u8"),
        ("length", "<u4"),
        ("notes", "<i4"),  # -1: nobody counted
        ("bars", "<i4"),
        ("seconds", "<f4"),  # of music; -1: nobody counted
        *((field, "<u4") for field in FIELDS),  # the piece's values: a place in labels.json
        ("key", "<u8"),  # hash of id, part, aug and cut: the piece's own
        ("group", "<u8"),
        ("bucket", "u1"),
        ("named", "u1"),  # place in SPLITS of meta.split, NO_SPLIT where the corpus brings none
        ("copy", "u1"),  # 1: made by tokaug
    ]
)
NO_SPLIT = 255
SEAL = "store.json"
_RESERVE = 256 << 20
"""Bytes of disk that spooling leaves free."""
_CHECK_EVERY = 64 << 20
_MODULUS = 1 << 128


class StoreWriter:
    """Spools records into a fresh folder. Memory does not grow with the stream.

    digest: of the set of records, whatever their order.
    """

    def __init__(self, folder: Path, tok: str, vocab_size: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.tok = tok
        self.dtype = np.dtype("<u2" if vocab_size <= 1 << 16 else "<u4")
        self.pieces = self.tokens = 0
        self.augs: dict[str, list[float]] = {}
        self._ids = self._open("ids.bin")
        self._index = self._open("index.bin")
        self._groups = self._open("groups.txt")
        self._labels: dict[str, dict[str, int]] = {field: {"[]": 0} for field in FIELDS}
        self._digest = 0
        self._unchecked = 0

    def _open(self, name: str) -> BinaryIO:
        return (self.folder / name).open("wb", buffering=1 << 18)

    def add(self, record: Record, bars: int) -> None:
        """Append one record; `bars` is counted by the caller where `n.bars` is absent."""
        ids = np.asarray(record["ids"], dtype=self.dtype).tobytes()
        row = np.zeros((), ROW)
        row["offset"], row["length"] = self.tokens, len(record["ids"])
        row["notes"] = int(record["n"].get("notes", -1))
        row["bars"] = int(record["n"].get("bars", bars))
        row["seconds"] = record["n"].get("seconds", -1.0)
        for field, values in labels_of(record).items():
            known = self._labels[field]
            row[field] = known.setdefault(json.dumps(values), len(known))
        row["key"] = _short(piece_key(record))
        row["group"] = _short(record["group"])
        row["bucket"] = bucket(record["group"])
        named = named_split(record)
        row["named"] = NO_SPLIT if named is None else SPLITS.index(named)
        row["copy"] = not is_original(record)
        self._ids.write(ids)
        self._index.write(row.tobytes())
        self._groups.write(json.dumps(record["group"]).encode() + b"\n")
        self._digest = (self._digest + _record_hash(record, ids)) % _MODULUS
        self.pieces += 1
        self.tokens += len(record["ids"])
        for name, value in record["aug"].items():
            low, high = self.augs.get(name, [value, value])
            self.augs[name] = [min(low, value), max(high, value)]
        self._check_disk(len(ids))

    def _check_disk(self, written: int) -> None:
        self._unchecked += written
        if self._unchecked >= _CHECK_EVERY:
            self._unchecked = 0
            need_disk(self.folder, 0)

    def seal(self) -> "Store":
        """Close the files and write the seal; only a sealed store can be opened."""
        self.close()
        labels = {
            field: [json.loads(text) for text in sets] for field, sets in self._labels.items()
        }
        (self.folder / "labels.json").write_text(json.dumps(labels, indent=1) + "\n")
        seal = {
            "version": 2,
            "tok": self.tok,
            "dtype": self.dtype.str,
            "pieces": self.pieces,
            "tokens": self.tokens,
            "augs": self.augs,
            "digest": f"{self._digest:032x}",
        }
        part = self.folder / f"{SEAL}.part"
        part.write_text(json.dumps(seal, indent=1) + "\n")
        part.replace(self.folder / SEAL)
        return Store(self.folder)

    def close(self) -> None:
        for file in (self._ids, self._index, self._groups):
            file.close()


class Store:
    """A sealed store. Raises MidigenError if the folder holds none, or its files have changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.seal: dict[str, Any] = json.loads((folder / SEAL).read_text())
        except FileNotFoundError:
            raise MidigenError(f"{folder} holds no sealed token store") from None
        if self.seal.get("version") != 2:
            raise MidigenError(f"{folder / SEAL}: a store of another version of midigen")
        self.tok: str = self.seal["tok"]
        self.digest: str = self.seal["digest"]
        self.tokens: int = self.seal["tokens"]
        dtype = np.dtype(self.seal["dtype"])
        self._need("ids.bin", self.tokens * dtype.itemsize)
        self._need("index.bin", self.seal["pieces"] * ROW.itemsize)
        self.ids = _map(folder / "ids.bin", dtype)
        self.rows = _map(folder / "index.bin", ROW)

    def _need(self, name: str, size: int) -> None:
        path = self.folder / name
        there = path.stat().st_size if path.is_file() else 0
        if there != size:
            raise MidigenError(f"{path} has {there} bytes, its seal says {size}: spool it again")

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def labels(self) -> dict[str, list[list[str]]]:
        """The sets of values of each field; a row's `genre`, say, is a place in ``["genre"]``."""
        found: dict[str, list[list[str]]] = json.loads((self.folder / "labels.json").read_text())
        return found

    def values(self, row: int, field: str) -> list[str]:
        """Return the values of a condition field that a row's piece names."""
        return self.labels[field][self.rows[field][row]]

    def groups(self, chosen: "np.ndarray") -> list[str]:
        """Return the distinct groups of the rows where bool `chosen` is true, in stream order."""
        names: dict[str, None] = {}
        with (self.folder / "groups.txt").open() as file:
            for line, wanted in zip(file, chosen, strict=True):
                if wanted:
                    names[json.loads(line)] = None
        return list(names)


def labels_of(record: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the values of every condition field that the record names."""
    found = {field: condition_values(record, field) for field in FIELDS}
    return {field: values for field, values in found.items() if values}


def piece_key(record: Mapping[str, Any]) -> str:
    """Return what names a piece among all: id, part, aug and cut."""
    aug = record["aug"]
    done = ",".join(f"{name}={float(aug[name])!r}" for name in sorted(aug))
    cut = f"\n{json.dumps(record['cut'], sort_keys=True)}" if "cut" in record else ""
    return f"{record['id']}\n{record.get('part')}\n{done}{cut}"


def digest_of(digest: int, record: Record, dtype: "np.dtype[Any]") -> int:
    """Return `digest` with one more record in it: the sum of their hashes."""
    ids = np.asarray(record["ids"], dtype=dtype).tobytes()
    return (digest + _record_hash(record, ids)) % _MODULUS


def need_disk(folder: Path, size: int) -> None:
    """Raise MidigenError unless `size` bytes and a reserve are free where `folder` lies."""
    free = shutil.disk_usage(folder).free
    if free < size + _RESERVE:
        raise MidigenError(
            f"{folder}: {free >> 20} MiB free, the token store needs about"
            f" {(size + _RESERVE) >> 20} MiB; --store DIR puts it elsewhere"
        )


def _record_hash(record: Mapping[str, Any], ids: bytes) -> int:
    head = json.dumps([piece_key(record), record["group"], record["n"], labels_of(record)])
    named = str(named_split(record))
    digest = hashlib.sha256(f"{head}\n{named}\n".encode("utf-8", "surrogatepass") + ids).digest()
    return int.from_bytes(digest[:16])


def _short(text: str) -> int:
    """Return 64 bits of a hash of `text`."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8])


def _map(path: Path, dtype: "np.dtype[Any]") -> "np.ndarray":
    """Map an array read-only; an empty file cannot be mapped."""
    if path.stat().st_size == 0:
        return np.zeros(0, dtype)
    return np.memmap(path, dtype=dtype, mode="r")

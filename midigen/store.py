"""The token store: a stream of records on disk, as training reads it. Flat arrays, memory-mapped.

ids.bin: all ids, end to end. index.bin: one `ROW` a piece. labels.jsonl: what each row's piece
names, {field: values} a line. groups.txt: the group of each row, a JSON string a line. store.json:
what seals it.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from midigen.conditions import described
from midigen.errors import MidigenError
from midigen.record import Record, is_original
from midigen.split import SPLITS, bucket, named_split

ROW = np.dtype(
    [
        ("offset", "<u8"),
        ("length", "<u4"),
        ("notes", "<i4"),  # -1: nobody counted
        ("bars", "<i4"),
        ("seconds", "<f4"),  # of music; -1: nobody counted
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
        self._labels = self._open("labels.jsonl")
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
        labels = _labels_line(record)
        row["key"] = _short(piece_key(record))
        row["group"] = group_number(record["group"])
        row["bucket"] = bucket(record["group"])
        named = named_split(record)
        row["named"] = NO_SPLIT if named is None else SPLITS.index(named)
        row["copy"] = not is_original(record)
        self._ids.write(ids)
        self._index.write(row.tobytes())
        self._labels.write(labels + b"\n")
        self._groups.write(json.dumps(record["group"]).encode() + b"\n")
        self._digest = (self._digest + _record_hash(record, labels, ids)) % _MODULUS
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
        for file in (self._ids, self._index, self._labels, self._groups):
            file.close()


@dataclass(frozen=True, slots=True)
class LabelSets:
    """The values of one field: `sets`, each once, and for every row its place in them."""

    sets: list[list[str]]
    place: np.ndarray

    def of(self, row: int) -> list[str]:
        return self.sets[self.place[row]]


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
        self._label_sets: dict[str, LabelSets] = {}
        self.ids = _map(folder / "ids.bin", dtype)
        self.rows = _map(folder / "index.bin", ROW)

    def _need(self, name: str, size: int) -> None:
        path = self.folder / name
        there = path.stat().st_size if path.is_file() else 0
        if there != size:
            raise MidigenError(f"{path} has {there} bytes, its seal says {size}: spool it again")

    def __len__(self) -> int:
        return len(self.rows)

    def label_sets(self, field: str) -> LabelSets:
        """Return the values that each row's piece names of a field: read once, then kept."""
        if field not in self._label_sets:
            self._label_sets[field] = _read_labels(self.folder / "labels.jsonl", field, len(self))
        return self._label_sets[field]

    def values(self, row: int, field: str) -> list[str]:
        """Return the values of a field that a row's piece names."""
        return self.label_sets(field).of(row)

    def groups(self, chosen: "np.ndarray") -> list[str]:
        """Return the distinct groups of the rows where bool `chosen` is true, in stream order."""
        names: dict[str, None] = {}
        with (self.folder / "groups.txt").open() as file:
            for line, wanted in zip(file, chosen, strict=True):
                if wanted:
                    names[json.loads(line)] = None
        return list(names)


def piece_key(record: Mapping[str, Any]) -> str:
    """Return what names a piece among all: id, part, aug and cut."""
    aug = record["aug"]
    done = ",".join(f"{name}={float(aug[name])!r}" for name in sorted(aug))
    cut = f"\n{json.dumps(record['cut'], sort_keys=True)}" if "cut" in record else ""
    return f"{record['id']}\n{record.get('part')}\n{done}{cut}"


def digest_of(digest: int, record: Record, dtype: "np.dtype[Any]") -> int:
    """Return `digest` with one more record in it: the sum of their hashes."""
    ids = np.asarray(record["ids"], dtype=dtype).tobytes()
    return (digest + _record_hash(record, _labels_line(record), ids)) % _MODULUS


def need_disk(folder: Path, size: int) -> None:
    """Raise MidigenError unless `size` bytes and a reserve are free where `folder` lies."""
    free = shutil.disk_usage(folder).free
    if free < size + _RESERVE:
        raise MidigenError(
            f"{folder}: {free >> 20} MiB free, the token store needs about"
            f" {(size + _RESERVE) >> 20} MiB; --store DIR puts it elsewhere"
        )


def _record_hash(record: Mapping[str, Any], labels: bytes, ids: bytes) -> int:
    head = json.dumps([piece_key(record), record["group"], record["n"], str(named_split(record))])
    start = f"{head}\n".encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(start + labels + b"\n" + ids).digest()
    return int.from_bytes(digest[:16])


def _labels_line(record: Mapping[str, Any]) -> bytes:
    """Return what a record names, as ASCII: values may hold what UTF-8 cannot."""
    return json.dumps(described(record)).encode()


def _read_labels(path: Path, field: str, count: int) -> LabelSets:
    known: dict[tuple[str, ...], int] = {(): 0}
    place = np.zeros(count, np.uint32)
    key = json.dumps(field).encode()
    with path.open("rb") as file:
        for row, line in enumerate(file):
            if key in line:
                values = tuple(json.loads(line).get(field, ()))
                place[row] = known.setdefault(values, len(known))
    return LabelSets([list(values) for values in known], place)


def group_number(group: str) -> int:
    """Return what stands for a group in the rows."""
    return _short(group)


def _short(text: str) -> int:
    """Return 64 bits of a hash of `text`."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8])


def _map(path: Path, dtype: "np.dtype[Any]") -> "np.ndarray":
    """Map an array read-only; an empty file cannot be mapped."""
    if path.stat().st_size == 0:
        return np.zeros(0, dtype)
    return np.memmap(path, dtype=dtype, mode="r")

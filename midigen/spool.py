"""Reading a stream into a token store, once, with checks on the way."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from midigen.errors import MidigenError
from midigen.jsonl import RecordReader
from midigen.protocols import Tokenizer
from midigen.record import OneTok, Record
from midigen.rejects import Rejects
from midigen.split import named_split
from midigen.store import SEAL, Store, StoreWriter, digest_of, need_disk
from midigen.tokenizers import tokenizer_of

_PACKED = (".gz", ".zst", ".zstd")


@dataclass(frozen=True, slots=True)
class Source:
    """A stream to be read: its reader, who collects what cannot be used, bars that count."""

    reader: RecordReader
    rejects: Rejects
    progress: Callable[[], Any]

    def __iter__(self) -> Iterator[Record]:
        with self.progress() as bar:
            for record in self.reader:
                bar.update()
                yield record

    @property
    def where(self) -> str:
        return self.reader.where


def spool(
    source: Source, folder: Path, accept: Callable[[str, Tokenizer], None] | None = None
) -> Store:
    """Read a whole stream into `folder`.

    accept: called with the first record's `tok` and its tokenizer; it raises where they are not
    those that a run needs, before hours are spent. Raises MidigenError for a stream of two
    vocabularies, of a tokenizer that is not here, or without a piece.
    """
    tok, writer = OneTok(), None
    tokenizer: Tokenizer | None = None
    try:
        for record in source:
            tok.check(record, source.where)
            if writer is None or tokenizer is None:
                tokenizer = tokenizer_of(record["tok"])
                if accept is not None:
                    accept(record["tok"], tokenizer)
                writer = StoreWriter(folder, record["tok"], len(tokenizer.vocab))
            if usable(record, tokenizer, source):
                writer.add(record, _bars(record, tokenizer))
        if writer is None or not writer.pieces:
            raise MidigenError("no pieces in the stream: nothing to train on")
        return writer.seal()
    finally:
        if writer is not None:
            writer.close()


def usable(record: Record, tokenizer: Tokenizer, source: Source) -> bool:
    """Return whether a record can be stored; what cannot is one of the source's rejects."""
    size = len(tokenizer.vocab)
    if not record["ids"]:
        source.rejects.add(source.where, "empty", "no ids")
    elif max(record["ids"]) >= size:
        found = max(record["ids"])
        source.rejects.add(source.where, "ids", f"id {found} not in 0..{size - 1}")
    else:
        try:
            named_split(record)
        except MidigenError as error:
            source.rejects.add(source.where, "split", str(error))
        else:
            return True
    return False


def check_same(source: Source, store: Store) -> None:
    """Raise MidigenError unless the stream holds the records that `store` was made of."""
    digest = 0
    tokenizer = tokenizer_of(store.tok)
    for record in source:
        if record["tok"] != store.tok:
            raise MidigenError(f"{source.where}: tok {record['tok']}, the store has {store.tok}")
        if usable(record, tokenizer, source):
            digest = digest_of(digest, record, store.ids.dtype)
    if f"{digest:032x}" != store.digest:
        raise MidigenError(
            f"{store.folder} was spooled from another stream; name another --store, or no input"
        )


def is_sealed(folder: Path) -> bool:
    return (folder / SEAL).is_file()


def clear(folder: Path) -> None:
    """Remove what an interrupted spooling left in `folder`, and nothing else."""
    for name in ("ids.bin", "index.bin", "groups.txt", "labels.jsonl", f"{SEAL}.part"):
        (folder / name).unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        shutil.rmtree(folder)


def check_disk(paths: Sequence[str], folder: Path) -> None:
    """Raise MidigenError where the files named cannot fit as ids: about half of their JSON."""
    size = 0
    for path in paths:
        if path != "-" and Path(path).is_file():
            size += Path(path).stat().st_size * (4 if path.endswith(_PACKED) else 1) // 2
    folder.mkdir(parents=True, exist_ok=True)
    need_disk(folder, size)


def _bars(record: Record, tokenizer: Tokenizer) -> int:
    if "bars" in record["n"]:
        return 0
    return len(tokenizer.bar_starts(np.asarray(record["ids"], dtype=np.int64)))

"""JSON Lines streams of records: plain, gzip or zstd in; plain or compressed by name out."""

import gzip
import io
import sys
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import jsonlines
import orjson
import zstandard

from midigen.errors import DataError, MidigenError
from midigen.record import Record, check, complete
from midigen.rejects import Rejects

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_BROKEN = (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError)


def open_input(path: str) -> BinaryIO:
    """Open a file (``-``: stdin) for reading bytes, unpacking gzip and zstd by their magic."""
    raw = sys.stdin.buffer if path == "-" else Path(path).open("rb")  # noqa: SIM115
    buffered = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(cast(Any, raw))
    magic = buffered.peek(4)[:4]
    if magic.startswith(_GZIP):
        return cast(BinaryIO, gzip.GzipFile(fileobj=buffered, mode="rb"))
    if magic == _ZSTD:
        return cast(BinaryIO, io.BufferedReader(_Unzstd(buffered), 1 << 18))
    return buffered


class _Unzstd(io.RawIOBase):
    """The frames of a zstd file in turn. Raises EOFError where the last one is cut off.

    The stream reader of zstandard takes a cut frame for a whole one.
    """

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self._new = zstandard.ZstdDecompressor().decompressobj
        self._frame: Any = None
        self._packed = b""
        self._plain = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._plain:
            self._packed = self._packed or self._file.read1(1 << 17)
            if not self._packed:
                if self._frame is not None:
                    raise EOFError("the last zstd frame is cut off")
                return 0
            self._frame = self._frame or self._new()
            self._plain = memoryview(self._frame.decompress(self._packed))
            self._packed = self._frame.unused_data
            if self._frame.eof:
                self._frame = None
        size = min(len(buffer), len(self._plain))
        buffer[:size] = self._plain[:size]
        self._plain = self._plain[size:]
        return size


def compressed(file: BinaryIO, name: str) -> BinaryIO:
    """Wrap `file` so that it is written as its name says: ``.gz``, ``.zst`` or plain."""
    if name.endswith(".gz"):
        return cast(BinaryIO, gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0))
    if name.endswith(".zst"):
        return cast(BinaryIO, zstandard.ZstdCompressor().stream_writer(file, closefd=False))
    return file


def loads(line: str | bytes) -> Any:
    """Parse one line. Raises ValueError; NaN and Infinity are not JSON."""
    value = orjson.loads(line)
    if _may_be_rounded(value):
        import json

        def refuse(word: str) -> None:
            raise ValueError(f"{word} is not JSON")

        return json.loads(line, parse_constant=refuse)
    return value


def _may_be_rounded(value: Any) -> bool:
    """Return whether a float stands in `value` that was perhaps an integer past 64 bits.

    orjson turns those into floats; other people's keys must keep theirs. The ids, by far the
    longest list of a record, are left out: a float among them is refused anyway.
    """
    rest = [v for k, v in value.items() if k != "ids"] if isinstance(value, dict) else [value]
    while rest:
        item = rest.pop()
        if isinstance(item, float):
            if abs(item) >= 2**63:
                return True
        elif isinstance(item, dict):
            rest.extend(item.values())
        elif isinstance(item, list):
            rest.extend(item)
    return False


def dumps(record: Any) -> bytes:
    """Return `record` as one JSON line without its LF; NumPy arrays are written as lists."""
    try:
        return orjson.dumps(record, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError as error:
        if "64-bit" not in str(error):
            raise
        import json

        return json.dumps(
            record, ensure_ascii=False, separators=(",", ":"), default=lambda ids: ids.tolist()
        ).encode()


class RecordReader:
    """Iterates over the checked and completed records of files in turn (``-``: stdin).

    where: ``file:line`` of the last record. raw: its line as it was read, with the LF.
    A line that is no record is a reject (reasons ``json``, ``record``), and the stream goes on. A
    last line without LF raises DataError once everything before it has been passed on: its writer
    died.
    """

    def __init__(self, paths: Iterable[str], rejects: Rejects) -> None:
        self._paths = list(paths) or ["-"]
        self._rejects = rejects
        self.where = ""
        self.raw = b""
        self.count = 0

    def __iter__(self) -> Iterator[Record]:
        for path in self._paths:
            name = "<stdin>" if path == "-" else path
            with open_input(path) as file:
                yield from self._records(file, name)

    def _lines(self, file: BinaryIO, name: str) -> Iterator[bytes]:
        number = 0
        while True:
            number += 1
            self.where = f"{name}:{number}"
            try:
                line = file.readline()
            except _BROKEN as error:
                raise DataError(self.where, f"broken compressed stream: {error}") from error
            if not line:
                return
            if not line.endswith(b"\n"):
                raise DataError(self.where, "the last line has no LF: its writer died half-way")
            self.raw = line
            yield line

    def _records(self, file: BinaryIO, name: str) -> Iterator[Record]:
        reader = jsonlines.Reader(self._lines(file, name), loads=loads)
        while True:
            try:
                record = complete(check(reader.read(allow_none=True)))
            except EOFError:
                return
            except jsonlines.InvalidLineError as error:
                self._rejects.add(self.where, "json", _without_place(error))
            except DataError:
                raise
            except MidigenError as error:
                self._rejects.add(self.where, "record", str(error))
            else:
                self.count += 1
                yield record


def _without_place(error: jsonlines.InvalidLineError) -> str:
    """Return what is wrong, without the reader's own line number."""
    cause = error.__cause__
    return str(cause) if cause is not None else str(error)


class RecordWriter:
    """Writes records, one line each.

    flush: after every line, for streams that somebody listens to.
    """

    def __init__(self, file: BinaryIO, *, flush: bool = False) -> None:
        self._file = file
        self._writer = jsonlines.Writer(cast(Any, file), dumps=cast(Any, dumps), flush=flush)
        self.count = 0

    def write(self, record: Record) -> None:
        self._writer.write(record)
        self.count += 1

    def write_raw(self, line: bytes) -> None:
        """Pass a line on as it was read."""
        self._file.write(line)
        self.count += 1

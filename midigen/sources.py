"""Which files a command reads: files, folders, lists of names, stdin."""

import io
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from midigen.errors import Reject, UsageError
from midigen.rejects import Rejects

SUFFIXES = (".mid", ".midi", ".kar", ".rmi")
"""What counts as MIDI in a folder, in any case. A file that is named itself may be called anything.
"""
MAX_BYTES = 1 << 26
"""A larger file is not read: the largest pieces written by hand are a hundred times smaller."""

Source = str | bytes
"""The name of a file, or the bytes that stood on stdin."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What to read: names, a file of names (``-``: stdin) and whether NUL ends each of these."""

    files: Sequence[str] = ()
    files_from: str | None = None
    null: bool = False

    def resolve(self) -> "Inputs":
        """Return what is meant where nothing was said. Raises UsageError for a contradiction."""
        if self.null and self.files_from is None:
            if self.files:
                raise UsageError("-0 is about names in a list: add --files-from, or name no files")
            return Inputs((), "-", True)
        if self.files_from is None and not self.files:
            return Inputs(("-",))
        if self.files_from == "-" and "-" in self.files:
            raise UsageError("stdin cannot be both a list of names and a file")
        return self

    @property
    def on_stdin(self) -> bool:
        return self.files_from == "-" or "-" in self.files

    def names(self) -> Iterator[str]:
        """Yield all names. In a list a dash is a file of that name."""
        yield from self.files
        if self.files_from == "-":
            listed = read_names(sys.stdin.buffer, null=self.null)
        elif self.files_from is not None:
            listed = self._from_file(Path(self.files_from))
        else:
            return
        yield from ("./-" if name == "-" else name for name in listed)

    def _from_file(self, path: Path) -> Iterator[str]:
        with path.open("rb") as file:
            yield from read_names(file, null=self.null)


def find_sources(names: Iterable[str], rejects: Rejects) -> Iterator[Source]:
    """Yield the files of `names` in turn; ``-`` is one file on stdin."""
    for name in names:
        if name == "-":
            yield sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            yield from find_files(name, SUFFIXES, rejects)


def find_files(name: str, suffixes: tuple[str, ...], rejects: Rejects) -> Iterator[str]:
    """Yield `name`, or if that is a folder, the files with these suffixes in it at any depth.

    They come in the order of their names' bytes. What cannot be listed goes to `rejects`: ``io``,
    or ``no_files`` for a folder without such files.
    """
    if not os.path.isdir(name):  # noqa: PTH112 - once a file: Path costs three times as much
        yield name
        return
    empty = True
    for found in _walk(name, suffixes, (), rejects):
        empty = False
        yield found
    if empty:
        rejects.add(printable(name), "no_files", f"no *{', *'.join(suffixes)} in it")


def _walk(
    folder: str, suffixes: tuple[str, ...], above: tuple[tuple[int, int], ...], rejects: Rejects
) -> Iterator[str]:
    """Yield the files under `folder`; `above`: device and inode of the folders around it."""
    try:
        status = os.stat(folder)  # noqa: PTH116 - names stay as they were given: Path("./a") is "a"
        here = (status.st_dev, status.st_ino)
        if here in above:
            # A link back up: everything behind it has its turn already.
            return
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        rejects.add(printable(folder), "io", error.strerror or str(error))
        return
    for entry in entries:
        if entry.is_dir():
            yield from _walk(entry.path, suffixes, (*above, here), rejects)
        elif entry.name.lower().endswith(suffixes):
            yield entry.path


def read_names(file: BinaryIO, *, null: bool = False) -> Iterator[str]:
    """Yield the names in a list, as they come: one a line, or each ended by NUL."""
    end = b"\0" if null else b"\n"
    rest = b""
    while block := os.read(file.fileno(), 1 << 16):
        *names, rest = (rest + block).split(end)
        yield from (os.fsdecode(name) for name in names if name)
    if rest:
        yield os.fsdecode(rest)


def read_source(source: Source) -> bytes:
    """Return the bytes of a file. Raises Reject: ``io``, ``too_big``."""
    if isinstance(source, bytes):
        data = source
    else:
        try:
            data = _read(source)
        except (OSError, ValueError) as error:
            text = error.strerror if isinstance(error, OSError) else str(error)
            raise Reject("io", text or str(error)) from error
    if len(data) > MAX_BYTES:
        raise Reject("too_big", f"more than {MAX_BYTES >> 20} MiB")
    return data


def _read(name: str) -> bytes:
    """Return what is in a file, at most a byte more than `MAX_BYTES`."""
    with io.FileIO(name) as file:
        status = os.fstat(file.fileno())
        if stat.S_ISREG(status.st_mode) and status.st_size <= MAX_BYTES:
            # Four times as fast as a buffered reader, and most files are small.
            return file.readall()
        return io.BufferedReader(file).read(MAX_BYTES + 1)


def size_of(source: Source) -> int:
    """Return the size in bytes; 0 for what cannot be asked (reading it will say why)."""
    if isinstance(source, bytes):
        return len(source)
    try:
        return os.stat(source).st_size  # noqa: PTH116 - once a file: Path costs three times as much
    except (OSError, ValueError):
        return 0


def name_of(source: Source) -> str:
    """Return the `src` of a record: the name as the user gave it, ``-`` for stdin."""
    return "-" if isinstance(source, bytes) else printable(source)


def printable(name: str) -> str:
    """Return a file name as text: bytes that are not UTF-8 as %XX."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return "".join(
            f"%{ord(char) - 0xDC00:02X}" if 0xDC80 <= ord(char) <= 0xDCFF else char for char in name
        )
    return name

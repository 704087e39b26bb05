"""Where decoded pieces go: one file, or many with names made from their records."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol

from midigen.atomic import atomic_file
from midigen.errors import DataError, UsageError
from midigen.outnames import Pattern
from midigen.pieces import Piece

Open = Callable[[str], AbstractContextManager[BinaryIO]]


class Sink(Protocol):
    def put(self, piece: Piece, data: bytes) -> None: ...

    def close(self) -> None:
        """Called once everything has been put; not after an error."""
        ...


class OneFile:
    """Takes exactly one piece, and writes it when no other has come.

    open: opens stdout (``-``) or a file by its name.
    """

    def __init__(self, name: str, open: Open) -> None:
        self._name = name
        self._open = open
        self._data: bytes | None = None

    def put(self, piece: Piece, data: bytes) -> None:
        """Raises UsageError for a second piece."""
        if self._data is not None:
            place = "stdout" if self._name == "-" else self._name
            raise UsageError(
                f"{piece.where}: more than one piece for {place}; use -o 'DIR/{{id}}-{{n}}.mid'"
            )
        self._data = data

    def close(self) -> None:
        if self._data is not None:
            with self._open(self._name) as file:
                file.write(self._data)


class ManyFiles:
    """Gives every piece a file of its own; makes the folders that the names need."""

    def __init__(self, pattern: Pattern, *, force: bool = False) -> None:
        self._pattern = pattern
        self._force = force
        self._count = 0
        self._written: set[str] = set()

    def put(self, piece: Piece, data: bytes) -> None:
        """Raises DataError where two pieces get one name."""
        self._count += 1
        name = self._pattern.name(piece.first | {"id": piece.id}, self._count)
        if not self._pattern.is_numbered:
            if name in self._written:
                raise DataError(piece.where, f"a second piece for {name}; put {{n}} into -o")
            self._written.add(name)
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path, force=self._force) as file:
            file.write(data)

    def close(self) -> None:
        pass


def sink_for(output: str, open: Open, *, force: bool = False) -> Sink:
    """Return the sink of an ``-o``: ``-``, a file name, or a pattern with fields.

    Raises UsageError for a folder and for a pattern that is none.
    """
    pattern = Pattern(output)
    if pattern.fields:
        return ManyFiles(pattern, force=force)
    refuse_folder(output, ".mid")
    return OneFile(output, open)


def refuse_folder(output: str, suffix: str) -> None:
    """Raise UsageError if `output` is a folder, and say how to write into it."""
    if output.endswith("/") or Path(output).is_dir():
        folder = output.rstrip("/")
        raise UsageError(f"{output} is a folder; use -o '{folder}/{{id}}-{{n}}{suffix}'")

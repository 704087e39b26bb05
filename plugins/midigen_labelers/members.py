"""The members of a JSON object in a file, one after the other."""

import io
import json
from collections.abc import Iterator
from typing import Any

from midigen.errors import DataError
from midigen.jsonl import open_input

_BLOCK = 1 << 16
_LONGEST = 1 << 26
"""Characters of one member; more is no table of small entries."""
_SPACE = " \t\r\n"


def read_members(path: str) -> Iterator[tuple[str, Any]]:
    """Yield (name, value) of the one object in a file, in its order; a name may come twice.

    Memory holds one member at a time. Raises DataError for what is not such an object.
    """
    with open_input(path) as file:
        try:
            yield from _members(_Window(io.TextIOWrapper(file, "utf-8-sig"), path))
        except UnicodeDecodeError as error:
            raise DataError(path, "not UTF-8 text") from error


def _members(window: "_Window") -> Iterator[tuple[str, Any]]:
    window.sign("{")
    sign = "," if window.peek() != "}" else window.sign("}")
    while sign == ",":
        name = window.value()
        if not isinstance(name, str):
            raise window.error("a name in quotes is missing")
        window.sign(":")
        yield name, window.value()
        sign = window.sign(",}")
    if window.peek():
        raise window.error("something stands behind the object")


class _Window:
    """The part of a text that is being read."""

    def __init__(self, file: io.TextIOWrapper, path: str) -> None:
        self._file = file
        self._path = path
        self._decode = json.JSONDecoder().raw_decode
        self._text = ""
        self._place = 0
        self._gone = 0
        self._ended = False

    def peek(self) -> str:
        """Return the next sign that is no space; empty at the end."""
        while True:
            while self._place < len(self._text):
                if self._text[self._place] not in _SPACE:
                    return self._text[self._place]
                self._place += 1
            if not self._more():
                return ""

    def sign(self, which: str) -> str:
        """Take the next sign, one of `which`."""
        found = self.peek()
        if not found or found not in which:
            raise self.error(f"{' or '.join(which)} is missing")
        self._place += 1
        return found

    def value(self) -> Any:
        """Take the next value."""
        self.peek()
        while True:
            try:
                value, end = self._decode(self._text, self._place)
                size = end - self._place
                # A number at the edge may go on behind it.
                if end < len(self._text) or not self._more():
                    self._place += size
                    return value
            except json.JSONDecodeError as error:
                if not self._more():
                    raise self.error(error.msg) from error

    def error(self, fact: str) -> DataError:
        return DataError(self._path, f"{fact} at character {self._gone + self._place + 1}")

    def _more(self) -> bool:
        """Read on, twice as far as before if the window is still the same; return if it went."""
        rest = self._text[self._place :]
        if self._ended or len(rest) > _LONGEST:
            return False
        block = self._file.read(max(_BLOCK, len(rest)))
        self._gone += self._place
        self._text, self._place = rest + block, 0
        self._ended = not block
        return not self._ended

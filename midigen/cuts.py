"""Where a text is cut into pieces: at its lines, its blank lines or a size.

The pieces, end to end, are the text, byte for byte; no cut is inside a UTF-8 character.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

from midigen.errors import Reject, UsageError
from midigen.sources import MAX_BYTES

LEAST_SIZE = 16
_FACTORS = {"": 1, "k": 1 << 10, "m": 1 << 20}
_LEADS = ((0xF0, 4), (0xE0, 3), (0xC0, 2))
"""Bytes from here on begin a character of so many bytes."""


@dataclass(frozen=True, slots=True)
class Per:
    """What a piece is: a ``file``, ``line`` or ``paragraph``, or at most `size` bytes."""

    unit: Literal["file", "line", "paragraph", "size"]
    size: int = MAX_BYTES

    def pieces(self, file: BinaryIO) -> Iterator[bytes]:
        """Yield the pieces of a text in turn; of an empty one none.

        Blank lines stand at the end of the piece before them, at the start of a text in the first.
        No piece has more than `size` bytes: a line or paragraph that is longer is cut like a text
        of that size. Raises Reject (``too_big``) for such a file.
        """
        if self.unit == "size":
            yield from _sized(file, self.size)
        elif self.unit == "file":
            yield from _whole(file, self.size)
        else:
            yield from _grouped(_lines(file, self.size), self.unit == "line", self.size)


def parse_per(text: str) -> Per:
    """Return what ``--per`` says: file, line, paragraph, or a size: 4096, 64k, 1m."""
    if text in ("file", "line", "paragraph"):
        return Per(text)  # type: ignore[arg-type]
    found = re.fullmatch(r"([1-9][0-9]{0,8})([km]?)", text.lower())
    if found is None:
        raise UsageError(f"--per {text!r} is not file, line, paragraph or a size as 4096, 64k, 1m")
    size = int(found[1]) * _FACTORS[found[2]]
    if not LEAST_SIZE <= size <= MAX_BYTES:
        raise UsageError(f"--per {text}: a size is {LEAST_SIZE} bytes to {MAX_BYTES >> 20}m")
    return Per("size", size)


def _whole(file: BinaryIO, most: int) -> Iterator[bytes]:
    data = file.read(most + 1)
    if len(data) > most:
        raise Reject("too_big", f"more than {most >> 20} MiB; --per with a size cuts it")
    if data:
        yield data


def _sized(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield pieces of at most `size` bytes; the last two are of about the same length."""
    held = b""
    while True:
        held += file.read(2 * size - len(held))
        if len(held) <= size:
            break
        is_last = len(held) < 2 * size
        end = _place(held, -(-len(held) // 2) if is_last else size)
        yield held[:end]
        held = held[end:]
    if held:
        yield held


def _lines(file: BinaryIO, most: int) -> Iterator[bytes]:
    """Yield lines with their LF; one of more than `most` bytes in several parts."""
    held = b""
    while line := held + file.readline(most - len(held)):
        end = len(line)
        if end == most and not line.endswith(b"\n"):
            end = _place(line, most)
        yield line[:end]
        held = line[end:]


def _grouped(lines: Iterable[bytes], each: bool, most: int) -> Iterator[bytes]:
    """Yield lines with the blank ones behind them; of paragraphs (`each` false) all lines."""
    held: list[bytes] = []
    size = 0
    begun = ended = False
    for line in lines:
        is_blank = not line.strip()
        if (begun and not is_blank and (each or ended)) or size + len(line) > most:
            yield b"".join(held)
            held, size, begun = [], 0, False
        held.append(line)
        size += len(line)
        begun, ended = begun or not is_blank, is_blank
    if held:
        yield b"".join(held)


def _place(data: bytes, most: int) -> int:
    """Return where to cut within `most` bytes.

    Behind the last line end of their second half, else its last space, else between characters.
    """
    for mark in (b"\n", b" "):
        found = data.rfind(mark, most // 2, most)
        if found >= 0:
            return found + 1
    for back in range(1, 5):
        byte = data[most - back]
        if byte & 0xC0 != 0x80:
            length = next((size for lead, size in _LEADS if byte >= lead), 1)
            return most - back if length > back else most
    return most

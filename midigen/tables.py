"""Tables of text that people keep beside their music: CSV and TSV, plain or packed."""

import csv
import io
from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO, NamedTuple

from midigen.errors import DataError
from midigen.jsonl import open_input

_SIGNS = (",", "\t", ";")


class Row(NamedTuple):
    line: int
    """In the file, from 1: where the row ends."""
    cells: list[str]


def read_rows(path: str) -> Iterator[Row]:
    """Yield the rows of a table as they are read, cells stripped, empty rows left out.

    UTF-8, with or without a byte order mark; gzip and zstd are unpacked. The first line decides
    between commas, tabs and semicolons. Raises DataError for what is no such text.
    """
    with open_input(path) as file:
        lines = _lines(file, path)
        first = next(lines, "")
        reader = csv.reader(chain([first], lines), delimiter=max(_SIGNS, key=first.count))
        while True:
            try:
                cells = next(reader, None)
            except csv.Error as error:
                raise DataError(f"{path}:{reader.line_num}", str(error)) from error
            if cells is None:
                return
            if any(cells):
                yield Row(reader.line_num, [cell.strip() for cell in cells])


def _lines(file: BinaryIO, path: str) -> Iterator[str]:
    """Yield the lines of a text with their ends, LF, CR LF or CR, as they are read."""
    for number, data in enumerate(file, 1):
        try:
            line = data.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{path}:{number}", "not UTF-8 text") from error
        if "\r" in line[:-2]:
            yield from io.StringIO(line, newline="")
        else:
            yield line

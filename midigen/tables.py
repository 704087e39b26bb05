"""Small tables of text that people keep beside their music: CSV and TSV, plain or packed."""

import csv
import io
from collections.abc import Iterator
from typing import NamedTuple

from midigen.errors import DataError
from midigen.jsonl import open_input

_SIGNS = (",", "\t", ";")


class Row(NamedTuple):
    line: int
    """In the file, from 1: where the row ends."""
    cells: list[str]


def read_rows(path: str) -> Iterator[Row]:
    """Yield the rows of a table, cells stripped, empty rows left out.

    UTF-8, with or without a byte order mark; gzip and zstd are unpacked. The first line decides
    between commas, tabs and semicolons. Raises DataError for what is no such text.
    """
    with open_input(path) as file:
        data = file.read()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}:{line}", "not UTF-8 text") from error
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(_SIGNS, key=first.count))
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise DataError(f"{path}:{reader.line_num}", str(error)) from error
        if cells is None:
            return
        if any(cells):
            yield Row(reader.line_num, [cell.strip() for cell in cells])

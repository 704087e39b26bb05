"""`csv:FILE`, `jsonl:FILE`, `parquet:FILE`: tables in the forms in which people keep them."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from midigen.errors import DataError, MidigenError
from midigen.jsonl import loads, open_input
from midigen.tables import read_rows
from midigen_labelers.arguments import need_file
from midigen_labelers.table import Row, TableLabeler, check_columns, column, columns_of

_BATCH = 4_096
"""Rows of a Parquet file in memory."""


def csv(arg: str) -> TableLabeler:
    """Return the labeler of ``csv:FILE``: separated by commas, tabs or semicolons."""
    return TableLabeler(need_file("csv", arg, "labels.csv"), _csv_rows(arg))


def jsonl(arg: str) -> TableLabeler:
    """Return the labeler of ``jsonl:FILE``: one object a line."""
    return TableLabeler(need_file("jsonl", arg, "labels.jsonl"), _jsonl_rows(arg))


def parquet(arg: str) -> TableLabeler:
    """Return the labeler of ``parquet:FILE``, which pyarrow reads."""
    return TableLabeler(need_file("parquet", arg, "labels.parquet"), _parquet_rows(arg))


def _csv_rows(path: str) -> Iterator[Row]:
    rows = read_rows(path)
    head = next(rows, None)
    columns = [column(cell) for cell in head.cells] if head else []
    check_columns(path, columns)
    for line, cells in rows:
        missing = len(columns) - len(cells)
        if missing < 0:
            raise DataError(
                f"{path}:{line}", f"{len(cells)} cells; the first row has {len(columns)}"
            )
        yield Row(line, dict(zip(columns, cells + [""] * missing, strict=True)))


def _jsonl_rows(path: str) -> Iterator[Row]:
    with open_input(path) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            where = f"{path}:{number}"
            try:
                cells = loads(line)
            except ValueError as error:
                raise DataError(where, f"not JSON: {error}") from error
            if not isinstance(cells, dict):
                raise DataError(where, f"{type(cells).__name__}, not an object")
            yield Row(number, columns_of(where, cells))


def _parquet_rows(path: str) -> Iterator[Row]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise MidigenError(
            f"parquet:{path} needs pyarrow: pip install 'midigen[parquet]'"
        ) from error
    try:
        with ParquetFile(path) as table:
            columns = [column(name) for name in table.schema_arrow.names]
            check_columns(path, columns)
            rows = chain.from_iterable(map(_rows_of, table.iter_batches(_BATCH)))
            for number, cells in enumerate(rows, 1):
                yield Row(number, dict(zip(columns, cells, strict=True)))
    except ArrowException as error:
        raise MidigenError(f"{path}: {' '.join(str(error).split())}") from error


def _rows_of(batch: Any) -> Iterator[tuple[Any, ...]]:
    return zip(*(values.to_pylist() for values in batch.columns), strict=True)

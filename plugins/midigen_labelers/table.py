"""Labels from a table with one row a file, found by md5, id, track, path or file name."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from midigen.errors import DataError, MidigenError, Reject
from midigen.labels import meta_value, read_value
from midigen.record import is_unknown
from midigen.twins import piece_id
from midigen_labelers.index import Index, Keyed
from midigen_labelers.tracks import TRACK, track_of

_PATHS = ("file", "path", "filename", "file_name", "src", "name")
"""Columns that name a file; the first of these that is there does."""
_KEYS = ("md5", "id", TRACK)
_ENDING = re.compile(r"(?i)\.(midi?|kar|smf|rmi)\Z")


class Row(NamedTuple):
    line: int
    """In the file, from 1; of a binary table the row's number."""
    cells: Mapping[str, Any]
    """By column."""


class TableLabeler:
    """Gives a record the other columns of its row.

    Rows are looked up by `md5`, by `id`, by `msd_track_id`, then by path: the longest way in which
    the row's path ends the record's `src`, or the other way round, in whole names. Cells that say
    nothing (empty, NaN, null) give nothing. Raises MidigenError for a table without any key.
    """

    def __init__(self, table: str, rows: Iterable[Row]) -> None:
        self._table = table
        self._keyless: list[int] = []
        self._unfit: dict[str, int] = {}
        self._used: set[str] = set()
        self._rows = Index(table, self._keyed(rows))
        if self._keyless and len(self._keyless) == self._rows.count:
            raise MidigenError(f"{table}: no row has {_one_of_the_keys()}")

    def _keyed(self, rows: Iterable[Row]) -> Iterator[Keyed]:
        for line, cells in rows:
            path = next((name for name in _PATHS if name in cells), "")
            labels = {
                # Texts are read when a record asks for them: most rows are of no record.
                key: cell if isinstance(cell, str) else self._value(key, cell)
                for key, cell in cells.items()
                if cell is not None and key and key != path and key not in _KEYS
            }
            # An id that is not ours is most often the file's name.
            names = _names(_text(cells.get(path or "id")))
            named = {key: _text(cells.get(key)).lower() for key in _KEYS if key in cells}
            keys = [f"{key}:{value}" for key, value in named.items() if value]
            self._used.update(named)
            if names:
                self._used.add("path")
                keys.append(_path_key(_stems(names)))
            if not keys:
                self._keyless.append(line)
            yield keys, [line, names[-1] if names else "", labels]

    def _value(self, key: str, cell: Any) -> Any:
        try:
            return meta_value(key, cell)
        except ValueError:
            self._unfit[key] = self._unfit.get(key, 0) + 1
            return None

    def __call__(self, record: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the row's labels, None if there is no row.

        Raises Reject (``ambiguous``) where several rows fit equally well and say different things.
        """
        rows = next(filter(None, self._fitting(record)), None)
        if not rows:
            return None
        labels = _labels(rows[0][2])
        differing = [line for line, _, cells in rows[1:] if _labels(cells) != labels]
        if differing:
            lines = f"lines {rows[0][0]}, {differing[0]}{' ...' * (len(differing) > 1)}"
            detail = f"{len(rows)} rows of {self._table} fit {record['src']} ({lines})"
            raise Reject("ambiguous", detail)
        return labels

    def _fitting(self, record: Mapping[str, Any]) -> Iterator[list[Any]]:
        """Yield the rows that fit in one way, the surest way first."""
        if "md5" in self._used and record.get("md5"):
            yield self._rows.find(f"md5:{str(record['md5']).lower()}")
        if "id" in self._used:
            for id in dict.fromkeys((record["id"], piece_id(dict(record)))):
                yield self._rows.find(f"id:{id.lower()}")
        if TRACK in self._used and (track := track_of(record)):
            yield self._rows.find(f"{TRACK}:{track.lower()}")
        names = _names(record["src"]) if "path" in self._used else []
        if not names:
            return
        whole, *shorter = reversed(list(_path_keys(_stems(names))))
        for key in (whole, *shorter):
            yield _same_ending(self._rows.find(key), names[-1])
        yield _same_ending(self._rows.under(whole + "/"), names[-1])

    def notes(self) -> list[str]:
        """Return what the table has that no record can get."""
        notes = []
        if self._keyless:
            lines = ", ".join(map(str, self._keyless[:3])) + ", ..." * (len(self._keyless) > 3)
            notes.append(
                f"{self._table}: {len(self._keyless)} rows without a key fit no record: {lines}"
            )
        for key, count in self._unfit.items():
            notes.append(
                f"{self._table}: {key} is neither text, number nor list of these in {count} rows"
            )
        return notes


def check_columns(table: str, columns: Sequence[str]) -> None:
    """Raise MidigenError unless a column is a key and no two have one name."""
    if not any(name in (*_KEYS, *_PATHS) for name in columns):
        raise MidigenError(
            f"{table}: no column is named {_one_of_the_keys()};"
            f" its columns: {', '.join(filter(None, columns)) or 'none'}"
        )
    doubled = {name for name in columns if name and columns.count(name) > 1}
    if doubled:
        raise MidigenError(f"{table}: two columns are named {min(doubled)}")


def column(name: str) -> str:
    """Return the key of `meta` that a column's name stands for."""
    return re.sub(r"\s+", "_", name.strip().lower())


def columns_of(where: str, cells: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row by column. Raises DataError where two names stand for one column."""
    found = {column(name): cell for name, cell in cells.items()}
    if len(found) < len(cells):
        names = [column(name) for name in cells]
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(where, f"two keys are named {twice}")
    return found


def _labels(cells: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the cells of a row say, texts read."""
    read = {key: read_value(key, v) if isinstance(v, str) else v for key, v in cells.items()}
    return {key: value for key, value in read.items() if value is not None}


def _one_of_the_keys() -> str:
    return f"{', '.join(_PATHS)}, id, {TRACK} or md5"


def _text(cell: Any) -> str:
    return "" if is_unknown(cell) else str(cell).strip()


def _names(path: str) -> list[str]:
    """Return the folders and the file of a path; names that look the same are the same."""
    path = unicodedata.normalize("NFC", path.replace("\\", "/"))
    return [name for name in path.split("/") if name not in ("", ".")]


def _stems(names: Iterable[str]) -> list[str]:
    """Return the names, the file's without an ending of MIDI."""
    *folders, file = names
    return [*folders, _ENDING.sub("", file)]


def _path_key(stems: Sequence[str]) -> str:
    """Return a path as a key, the file first: longer paths of the same end begin with it."""
    return "path:" + "/".join(reversed(stems))


def _path_keys(stems: Sequence[str]) -> Iterator[str]:
    """Yield the keys of the ends of a path, the file alone first."""
    return accumulate(reversed(stems[:-1]), "{}/{}".format, initial=_path_key(stems[-1:]))


def _same_ending(rows: list[Any], name: str) -> list[Any]:
    """Of several rows keep those with the file's own ending, if there are any."""
    return [row for row in rows if row[1] == name] or rows

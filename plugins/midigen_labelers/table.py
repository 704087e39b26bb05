"""`csv:FILE`: labels from a table with one row a file, found by md5, id, path or file name."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from midigen.errors import DataError, MidigenError, Reject
from midigen.labels import read_value
from midigen.tables import read_rows
from midigen.twins import piece_id

_PATHS = ("file", "path", "filename", "file_name", "src", "name")
"""Columns that name a file; the first of these that is there does."""
_ENDING = re.compile(r"(?i)\.(midi?|kar|smf|rmi)\Z")

Index = dict[str, list[int]]


class TableLabeler:
    """Gives a record the other columns of its row.

    The first row names the columns. Rows are looked up by `md5`, by `id`, then by path: the longest
    way in which the row's path ends the record's `src`, or the other way round, in whole names.
    Empty cells say nothing. Raises MidigenError for a table without a key column.
    """

    def __init__(self, arg: str) -> None:
        if not arg:
            raise MidigenError("csv: needs a file, as in csv:labels.csv")
        self._table = arg
        self._columns: list[str] = []
        self._rows: list[tuple[str, ...]] = []
        self._names: list[str] = []
        self._paths: list[str] = []
        self._md5: Index = {}
        self._id: Index = {}
        self._path: Index = {}
        self._tails: Index = {}
        self._read()

    def _read(self) -> None:
        rows = read_rows(self._table)
        head = next(rows, None)
        columns = [_column(cell) for cell in head.cells] if head else []
        keys = [name for name in ("md5", "id") if name in columns]
        path = next((name for name in _PATHS if name in columns), None)
        if path is None and not keys:
            raise MidigenError(
                f"{self._table}: no column is named {', '.join(_PATHS)}, id or md5;"
                f" its columns: {', '.join(filter(None, columns)) or 'none'}"
            )
        doubled = {name for name in columns if name and columns.count(name) > 1}
        if doubled:
            raise MidigenError(f"{self._table}: two columns are named {min(doubled)}")
        self._columns = [name for name in columns if name not in {path, *keys, ""}]
        for line, cells in rows:
            if len(cells) > len(columns):
                fact = f"{len(cells)} cells; the first row has {len(columns)}"
                raise DataError(f"{self._table}:{line}", fact)
            row = dict(zip(columns, cells, strict=False))
            # An id that is not ours is most often the file's name.
            self._add(row, row.get(path or "id", ""))

    def _add(self, row: Mapping[str, str], path: str) -> None:
        place = len(self._rows)
        self._rows.append(tuple(row.get(name, "") for name in self._columns))
        names = _names(path)
        stems = _stems(names) if names else []
        self._names.append(names[-1] if names else "")
        self._paths.append("/".join(stems))
        for index, key in ((self._md5, row.get("md5")), (self._id, row.get("id"))):
            if key:
                index.setdefault(key.lower(), []).append(place)
        if names:
            self._path.setdefault("/".join(stems), []).append(place)
            self._tails.setdefault(stems[-1], []).append(place)

    def __call__(self, record: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the row's labels, None if there is no row.

        Raises Reject (``ambiguous``) where several rows fit equally well and say different things.
        """
        places = (
            self._md5.get(str(record.get("md5", "")).lower())
            or self._id.get(record["id"].lower())
            or self._id.get(piece_id(dict(record)).lower())
            or self._by_path(_names(record["src"]))
        )
        if not places:
            return None
        rows = [self._rows[place] for place in places]
        if any(row != rows[0] for row in rows):
            raise Reject("ambiguous", f"{len(rows)} rows of {self._table} fit {record['src']}")
        labels = zip(self._columns, rows[0], strict=True)
        found = {key: read_value(key, text) for key, text in labels}
        return {key: value for key, value in found.items() if value is not None}

    def _by_path(self, names: list[str]) -> list[int]:
        """Return the rows whose path agrees longest with a file's names."""
        if not names:
            return []
        stems = _stems(names)
        for start in range(len(stems)):
            if found := self._path.get("/".join(stems[start:])):
                return self._same_ending(found, names[-1])
        end = "/" + "/".join(stems)
        longer = [p for p in self._tails.get(stems[-1], []) if self._paths[p].endswith(end)]
        return self._same_ending(longer, names[-1])

    def _same_ending(self, places: list[int], name: str) -> list[int]:
        """Of several rows keep those with the file's own ending, if there are any."""
        return [place for place in places if self._names[place] == name] or places


def _column(cell: str) -> str:
    return re.sub(r"\s+", "_", cell.strip().lower())


def _names(path: str) -> list[str]:
    """Return the folders and the file of a path; names that look the same are the same."""
    path = unicodedata.normalize("NFC", path.replace("\\", "/"))
    return [name for name in path.split("/") if name not in ("", ".")]


def _stems(names: Iterable[str]) -> list[str]:
    """Return the names, the file's without an ending of MIDI."""
    *folders, file = names
    return [*folders, _ENDING.sub("", file)]

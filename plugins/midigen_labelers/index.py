"""Rows by keys, on disk: a table may be larger than memory."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import orjson

from midigen.errors import MidigenError

_CACHE_KIB = 32_768
"""What SQLite holds in memory; small tables never reach the disk."""
_BATCH = 500
_MOST = 1_000
"""Rows that one question brings: those that fit are one or two, or too many to tell apart."""

Keyed = tuple[Iterable[str], Any]
"""The keys of a row, and the row: plain JSON."""


class Index:
    """Finds rows by key, or by what a key begins with; a key may have several rows.

    name: of the table, for errors. rows: read once, in order. They lie in a temporary file of
    SQLite (where SQLITE_TMPDIR or TMPDIR says), which has no name and goes with the process.
    """

    def __init__(self, name: str, rows: Iterable[Keyed]) -> None:
        self._name = name
        with self._told():
            self._db = sqlite3.connect("", isolation_level=None)
            self._db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            # Nobody reads the file after a crash.
            self._db.execute("PRAGMA journal_mode = OFF")
            self._db.execute("CREATE TABLE rows (place INTEGER PRIMARY KEY, data BLOB)")
            self._db.execute("CREATE TABLE keys (key TEXT, place INTEGER)")
        self.count = self._fill(iter(rows))
        with self._told():
            # Sorting once at the end is several times as fast as keeping a tree while it grows.
            self._db.execute("CREATE INDEX by_key ON keys (key, place)")

    def _fill(self, rows: Iterator[Keyed]) -> int:
        count = 0
        while batch := list(islice(rows, _BATCH)):
            places = range(count, count + len(batch))
            keyed = zip(places, batch, strict=True)
            names = [(key, place) for place, (keys, _) in keyed for key in keys]
            data = [orjson.dumps(row) for _, row in batch]
            with self._told():
                self._db.execute("BEGIN")
                self._db.executemany(
                    "INSERT INTO rows VALUES (?, ?)", zip(places, data, strict=True)
                )
                self._db.executemany("INSERT INTO keys VALUES (?, ?)", names)
                self._db.execute("COMMIT")
            count += len(batch)
        return count

    def find(self, key: str) -> list[Any]:
        """Return the rows of a key, in the table's order."""
        return self._ask("key = ?", key)

    def under(self, start: str) -> list[Any]:
        """Return the rows with a key that goes on behind `start` (not empty)."""
        return self._ask("key > ? AND key < ?", start, start[:-1] + chr(ord(start[-1]) + 1))

    def _ask(self, which: str, *values: str) -> list[Any]:
        with self._told():
            found = self._db.execute(
                f"SELECT data FROM keys JOIN rows USING (place) WHERE {which} LIMIT {_MOST}", values
            ).fetchall()
        return [orjson.loads(data) for (data,) in found]

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise MidigenError(
                f"{self._name}: its index on disk: {error}; TMPDIR names a folder with more room"
            ) from error

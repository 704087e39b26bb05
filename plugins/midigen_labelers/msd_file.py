"""A file of the Million Song Dataset: HDF5 with one song or many.

Fields and their meaning: http://millionsongdataset.com/pages/field-list/
"""

import math
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from h5py import h5d, h5f, h5g, h5s, h5t

from midigen.errors import DataError
from midigen.keys import Key

# The high level of h5py takes 4 to 5 ms to read a song, most of it to describe columns that nobody
# asks for; this way takes 0.8.
_Spec = dict[str, tuple[str, Any]]
_METADATA: _Spec = {
    "artist_name": ("S1024", b""),
    "title": ("S1024", b""),
    "genre": ("S1024", b""),
    "idx_artist_terms": ("<i4", -1),
}
_ANALYSIS: _Spec = {
    "track_id": ("S32", b""),
    "tempo": ("<f8", math.nan),
    "key": ("<i4", -1),
    "mode": ("<i4", -1),
    "time_signature": ("<i4", 0),
    "loudness": ("<f8", math.nan),
}
_MUSICBRAINZ: _Spec = {"year": ("<i4", 0)}
_TABLES = {
    "metadata/songs": _METADATA,
    "analysis/songs": _ANALYSIS,
    "musicbrainz/songs": _MUSICBRAINZ,
}
"""Fields that are read, by data set: type, and what stands there if the file has no such field."""
_TERMS, _TERM = "metadata/artist_terms", "S256"
_BLOCK = 20_000
"""Songs whose track ids are read in one go."""


class MsdFile:
    """An open file. Raises DataError for what HDF5 cannot read."""

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            self._file = h5f.open(os.fsencode(path), h5f.ACC_RDONLY)
            self._top = h5g.open(self._file, b"/")
        except (OSError, KeyError, RuntimeError) as error:
            raise DataError(path, _one_line(error)) from error

    def __enter__(self) -> "MsdFile":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def tracks(self) -> Iterator[str]:
        """Yield the track id of every song."""
        songs = self._data("analysis/songs")
        if songs is None:
            raise DataError(self._path, "no analysis/songs in it")
        ids = {"track_id": _ANALYSIS["track_id"]}
        for start in range(0, songs.shape[0], _BLOCK):
            count = min(_BLOCK, songs.shape[0] - start)
            for track in self._read("analysis/songs", songs, ids, start, count)["track_id"]:
                yield _text(track)

    def labels(self, row: int, most_terms: int) -> tuple[str, dict[str, Any], list[str]]:
        """Return the track id of a song, its labels, and the data sets that the file lacks.

        Raises DataError if it lacks all, or one cannot be read.
        """
        found: dict[str, Any] = {}
        lacking = []
        for name, fields in _TABLES.items():
            data = self._data(name)
            if data is None:
                lacking.append(name)
                continue
            if row >= data.shape[0]:
                raise DataError(self._path, f"{name} has {data.shape[0]} rows, not {row + 1}")
            song = self._read(name, data, fields, row, 1)[0]
            found |= {field: song[field] for field in fields}
        if len(lacking) == len(_TABLES):
            raise DataError(self._path, f"none of {', '.join(_TABLES)} in it")
        labels = _labels(found)
        if most_terms and "idx_artist_terms" in found:
            terms = self._terms(row, int(found["idx_artist_terms"]), most_terms)
            if terms is None:
                lacking.append(_TERMS)
            labels["terms"] = terms
        return _text(found.get("track_id", b"")), labels, lacking

    def _terms(self, row: int, start: int, most: int) -> list[str] | None:
        """Return an artist's terms, the weightiest first; None if the file has none of anybody."""
        terms, songs = self._data(_TERMS), self._data("metadata/songs")
        if terms is None or songs is None:
            return None
        end = terms.shape[0]
        if row + 1 < songs.shape[0]:
            ends = {"idx_artist_terms": _METADATA["idx_artist_terms"]}
            end = int(self._read("metadata/songs", songs, ends, row + 1, 1)[0][0])
        if not 0 <= start <= end <= terms.shape[0]:
            raise DataError(self._path, f"{_TERMS}: rows {start} to {end} of {terms.shape[0]}")
        count = min(end - start, most)
        found = self._read(_TERMS, terms, _TERM, start, count) if count else []
        return [text for term in found if (text := _text(term))]

    def _data(self, name: str) -> Any:
        """Return a data set, None if there is none."""
        group, leaf = name.encode().split(b"/")
        try:
            if group not in self._top:
                return None
            found = h5g.open(self._top, group)
            return h5d.open(found, leaf) if leaf in found else None
        except (OSError, KeyError, RuntimeError, TypeError) as error:
            raise DataError(self._path, f"{name}: {_one_line(error)}") from error

    def _read(self, name: str, data: Any, fields: _Spec | str, start: int, count: int) -> Any:
        """Return rows of a data set, an array (count,) with what `fields` names."""
        if isinstance(fields, str):
            found = np.zeros(count, fields)
        else:
            found = np.zeros(count, [(field, kind) for field, (kind, _) in fields.items()])
            for field, (_, unknown) in fields.items():
                found[field] = unknown
        space = data.get_space()
        try:
            space.select_hyperslab((start,), (count,))
            data.read(h5s.create_simple((count,)), space, found, h5t.py_create(found.dtype))
        except (OSError, RuntimeError, TypeError, ValueError) as error:
            raise DataError(self._path, f"{name}: {_one_line(error)}") from error
        return found


def _labels(found: dict[str, Any]) -> dict[str, Any]:
    """Return what the fields of a song say, as `meta`: what is unknown is None."""
    mode = {0: "minor", 1: "major"}.get(int(found.get("mode", -1)))
    tonic = int(found.get("key", -1))
    beats = int(found.get("time_signature", 0))
    return {
        "artist": _text(found.get("artist_name", b"")) or None,
        "title": _text(found.get("title", b"")) or None,
        "genre": _text(found.get("genre", b"")) or None,
        "year": int(found.get("year", 0)) or None,
        "tempo": _number(found.get("tempo", 0.0)) or None,
        "key": str(Key(tonic, mode == "minor")) if mode and 0 <= tonic < 12 else None,
        "mode": mode,
        # The field is the number of beats a bar; streams name signatures as 4/4.
        "time_signature": f"{beats}/4" if beats > 0 else None,
        "loudness": _number(found.get("loudness", math.nan)),
    }


def _number(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace").strip()


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return " ".join(str(error).split())

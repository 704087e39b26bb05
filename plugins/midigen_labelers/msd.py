"""`msd:PATH`: what the Million Song Dataset knows of a track."""

import string
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from midigen.errors import DataError, MidigenError, Reject
from midigen.rejects import Rejects
from midigen.sources import find_files
from midigen_labelers.arguments import need_file, read_argument
from midigen_labelers.index import Index, Keyed
from midigen_labelers.msd_file import MsdFile
from midigen_labelers.tracks import TRACK, is_track, track_of

_SUFFIXES = (".h5", ".hdf5")
_TERMS = 10.0


class MsdLabeler:
    """Gives artist, title, genre, year, tempo, key, mode, time_signature, loudness and terms.

    PATH is a file of one song or of many, or a folder of such files. In a folder with the data
    set's own layout, ``A/B/C/TRABC....h5``, a song's file is where its id says; any other folder is
    looked through once: a file named as a track is that track's, the others are asked for theirs.
    ``PATH,terms=N`` takes N of the artist's terms at most, the weightiest (10).
    """

    def __init__(self, arg: str) -> None:
        path, options = read_argument("msd", arg, {"terms": _TERMS})
        self._root = Path(need_file("msd", path, "millionsong/data"))
        self._most_terms = int(options["terms"])
        self._notes: list[str] = []
        self._lacking: dict[str, str] = {}
        self._layout = _layout(self._root)
        self._songs = None if self._layout else Index(path, self._find_songs())
        if self._songs is not None and not self._songs.count:
            raise MidigenError(f"msd:{path}: no song in it, nor folders as in A/B/C/TRABC....h5")
        self._labels = lru_cache(maxsize=256)(self._read)
        self._many = lru_cache(maxsize=16)(MsdFile)

    def __call__(self, record: Mapping[str, Any]) -> dict[str, Any] | None:
        """Raises Reject: ``broken_h5``; ``ambiguous`` where two songs of one track differ."""
        track = track_of(record)
        if track is None:
            return None
        found = [self._labels(track, *place) for place in self._places(track)]
        if not found:
            return None
        if any(labels != found[0] for labels in found):
            raise Reject("ambiguous", f"{len(found)} songs of {self._root} are {track} and differ")
        return {TRACK: track} | found[0]

    def _places(self, track: str) -> list[tuple[str, int]]:
        """Return the files, and the places in them, where a track's song may be."""
        if self._songs is not None:
            return [(path, row) for path, row in self._songs.find(track)]
        if not is_track(track):
            return []
        path = self._root.joinpath(*self._layout, *track[2:5], f"{track}.h5")
        return [(str(path), -1)] if path.is_file() else []

    def _read(self, track: str, path: str, row: int) -> dict[str, Any]:
        """row: -1 in a file of one song. Raises Reject."""
        try:
            if row >= 0:
                found, labels, lacking = self._many(path).labels(row, self._most_terms)
            else:
                with MsdFile(path) as file:
                    found, labels, lacking = file.labels(0, self._most_terms)
        except DataError as error:
            raise Reject("broken_h5", str(error)) from error
        if found and found != track:
            raise Reject("broken_h5", f"{path}: it holds {found}, not {track}")
        for name in lacking:
            self._lacking.setdefault(name, path)
        return {key: value for key, value in labels.items() if value not in (None, [])}

    def _find_songs(self) -> Iterator[Keyed]:
        if self._root.is_file():
            with MsdFile(str(self._root)) as file:
                yield from _songs(file, str(self._root))
            return
        if not self._root.is_dir():
            raise MidigenError(f"{self._root}: no such file or folder")
        unread = Rejects()
        for path in find_files(str(self._root), _SUFFIXES, unread):
            stem = Path(path).stem
            if is_track(stem):
                yield [stem], [path, -1]
                continue
            try:
                with MsdFile(path) as file:
                    yield from _songs(file, path)
            except DataError as error:
                self._notes.append(f"msd: not read: {error}")
        if unread.counts["io"]:
            self._notes.append(f"msd: {unread.counts['io']} folders of {self._root} not read")

    def notes(self) -> list[str]:
        lacking = [
            f"msd: files without {name}, so without its labels; the first: {path}"
            for name, path in self._lacking.items()
        ]
        return self._notes + lacking


def _songs(file: MsdFile, path: str) -> Iterator[Keyed]:
    for row, track in enumerate(file.tracks()):
        yield [track], [path, row]


def _layout(root: Path) -> tuple[str, ...]:
    """Return the folders below `root` that hold the folders A to Z; nothing if there are none.

    The data set comes as ``MillionSongSubset/data/A/B/C``, ``MillionSongSubset/A/B/C``, and Lakh's
    part of it as ``lmd_matched_h5/A/B/C``.
    """
    for below in ("", "data"):
        folder = root / below
        if any((folder / letter).is_dir() for letter in string.ascii_uppercase):
            return (below or ".",)
    return ()

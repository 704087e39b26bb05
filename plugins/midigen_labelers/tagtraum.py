"""`tagtraum:FILE`: genres of tracks of the Million Song Dataset, from a .cls file."""

from collections.abc import Iterator, Mapping
from typing import Any

from midigen.errors import DataError, Reject
from midigen.jsonl import open_input
from midigen.labels import one_or_several
from midigen_labelers.arguments import need_file
from midigen_labelers.index import Index, Keyed
from midigen_labelers.tracks import track_of


class TagtraumLabeler:
    """Gives `genre`, one or several, by the record's track.

    A line holds the track's id and its genres, divided by tabs; one that begins with # is a
    comment. Raises DataError for another line.
    """

    def __init__(self, arg: str) -> None:
        self._file = need_file("tagtraum", arg, "msd_tagtraum_cd2.cls")
        self._tracks = Index(arg, _tracks(arg))

    def __call__(self, record: Mapping[str, Any]) -> dict[str, Any] | None:
        """Raises Reject (``ambiguous``) where lines of one track name different genres."""
        track = track_of(record)
        found = self._tracks.find(track) if track is not None else []
        if not found:
            return None
        line, genres = found[0]
        for other, others in found[1:]:
            if others != genres:
                lines = f"lines {line} and {other} of {self._file}"
                raise Reject("ambiguous", f"{lines} name other genres of {track}")
        return {"genre": one_or_several(genres)}


def _tracks(path: str) -> Iterator[Keyed]:
    with open_input(path) as file:
        for number, data in enumerate(file, 1):
            try:
                line = data.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                raise DataError(f"{path}:{number}", "not UTF-8 text") from error
            if not line.strip() or line.startswith("#"):
                continue
            track, *genres = (cell.strip() for cell in line.split("\t"))
            genres = [genre for genre in genres if genre]
            if not track or not genres:
                fact = "a track's id and a genre, divided by a tab, are missing"
                raise DataError(f"{path}:{number}", fact)
            yield [track], [number, genres]

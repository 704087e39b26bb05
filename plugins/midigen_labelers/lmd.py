"""`lmd:FILE`: the track of the Million Song Dataset that a file of Lakh MIDI was matched with."""

from collections.abc import Iterator, Mapping
from typing import Any

from midigen.errors import DataError
from midigen_labelers.arguments import read_argument
from midigen_labelers.index import Index, Keyed
from midigen_labelers.members import read_members
from midigen_labelers.tracks import MATCH, TRACK, track_in


class LmdLabeler:
    """Gives `msd_track_id` and `msd_match` by the MD5 of a file, from ``{track: {md5: score}}``.

    Of several tracks the one with the best score is taken. With ``FILE,min=0.6`` a lower score
    gives no track, `msd_match` alone. A file that the scores do not name has the track of the
    folder it lies in; without FILE, that is all.
    """

    def __init__(self, arg: str) -> None:
        file, options = read_argument("lmd", arg, {"min": 0.0})
        self._spec = f"lmd:{arg}" if arg else "lmd"
        self._least = options["min"]
        self._scores = Index(file, _scores(file)) if file else None
        self._unlike = 0

    def __call__(self, record: Mapping[str, Any]) -> dict[str, Any] | None:
        md5 = str(record.get("md5", "")).lower()
        found = self._scores.find(md5) if self._scores is not None and md5 else []
        if not found:
            track = track_in(record["src"])
            return None if track is None else {TRACK: track}
        score, track = min(found, key=lambda match: (-match[0], match[1]))
        if score >= self._least:
            return {TRACK: track, MATCH: score}
        self._unlike += 1
        return {MATCH: score}

    def notes(self) -> list[str]:
        if not self._unlike:
            return []
        return [f"{self._spec}: {self._unlike} records match no track by {self._least:g} or more"]


def _scores(file: str) -> Iterator[Keyed]:
    for track, scores in read_members(file):
        if not isinstance(scores, dict):
            raise DataError(file, f"{track}: not an object of md5 to score")
        for md5, score in scores.items():
            if not isinstance(score, int | float):
                raise DataError(file, f"{track}: the score of {md5} is not a number")
            yield [md5.lower()], [score, track]

"""Parts of pieces: some bars, some tracks, in one key, tracks merged."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from midigen.errors import Reject, UsageError
from midigen.excerpt import excerpt
from midigen.keys import Key, read_key, shift_key
from midigen.measure import Measure, measure_many
from midigen.pieces import Piece
from midigen.programs import DRUMS, find
from midigen.protocols import Tokenizer
from midigen.reduction import MERGES, reduced
from midigen.rewriting import Draft
from midigen.transcription import whole
from midigen.transposing import found_key, nearest_shift, transposed

Bars = tuple[int, int | None]
"""First and last bar, counted from 1, both included; None: the last of the piece."""


@dataclass(frozen=True)
class Cut:
    """A `midigen.rewriting.Rework`: what is left of a piece, as its own tokenizer writes it.

    bars: a record for each range; none: all bars. tracks: of those with notes, counted from 1.
    programs: -1 is drums. key: what the piece is transposed to, with its relative minor. merge: one
    of `MERGES`. Raises UsageError for a cut that changes nothing.
    """

    bars: tuple[Bars, ...] = ()
    tracks: frozenset[int] = frozenset()
    programs: frozenset[int] = frozenset()
    key: Key | None = None
    merge: str | None = None

    def __post_init__(self) -> None:
        if not (self.bars or self.tracks or self.programs or self.key or self.merge):
            raise UsageError(
                "nothing to do: give --bars, --tracks, --program, --transpose-to or --merge"
            )

    def __call__(self, piece: Piece, score: Any, tokenizer: Tokenizer) -> Iterator[Draft | Reject]:
        known = whole(piece)
        done: dict[str, Any] = {}
        try:
            # The key is that of the whole piece, and bars are counted in it.
            shift, key = self._shift(known, score, tokenizer)
            ends = self._ends(score)
            score = self._chosen(score, done)
        except Reject as reject:
            yield reject
            return
        if key is not None:
            score = transposed(score, shift)
            done |= {"transpose": shift, "key": str(key)}
            if "key" in known["meta"]:
                known["meta"] = known["meta"] | {"key": shift_key(known["meta"]["key"], shift)}
        if self.merge is not None:
            score = reduced(score, self.merge)
            done["merge"] = self.merge
        if "cut" in known:
            done["of"] = known["cut"]
        for first, last in ends or [(0, 0)]:
            bars = {"bars": [first, last]} if ends else {}
            part = excerpt(score, first, last) if ends else score
            yield _draft(part, known | {"cut": bars | done}, tokenizer)

    def _ends(self, score: Any) -> list[tuple[int, int]]:
        """Return first and last bar of each range as far as the piece goes.

        A range behind its end keeps its bars, and will be found empty.
        """
        if not self.bars:
            return []
        (measured,) = measure_many([score])
        if isinstance(measured, Reject):
            raise measured
        count = int(measured.n["bars"])
        return [(a, max(a, min(b or count, count))) for a, b in self.bars]

    def _chosen(self, score: Any, done: dict[str, Any]) -> Any:
        """Return the score with the chosen tracks alone; say in `done` which these are."""
        if not self.tracks and not self.programs:
            return score
        tracks = list(enumerate((t for t in score.tracks if t.note_num()), 1))
        if self.tracks:
            done["tracks"] = sorted(self.tracks)
            tracks = [(k, track) for k, track in tracks if k in self.tracks]
        if self.programs:
            done["programs"] = sorted(self.programs)
            tracks = [(k, track) for k, track in tracks if program_of(track) in self.programs]
        if not tracks:
            raise Reject("no_notes", "it has none of the tracks")
        chosen = score.copy()
        chosen.tracks = [track for _, track in tracks]
        return chosen

    def _shift(self, known: dict[str, Any], score: Any, tokenizer: Tokenizer) -> tuple[int, Any]:
        """Return by how many semitones a piece is to move, and the key that it is in."""
        if self.key is None:
            return 0, None
        key = read_key(known["meta"].get("key")) or found_key(score)
        return nearest_shift(score, key, self.key, tokenizer), key


def program_of(track: Any) -> int:
    return DRUMS if track.is_drum else int(track.program)


def _draft(score: Any, known: dict[str, Any], tokenizer: Tokenizer) -> Draft | Reject:
    """Return a draft whose `n` is measured on the cut score."""
    bare = score.copy()
    bare.tracks = [track for track in score.tracks if track.note_num()]
    (measured,) = measure_many([bare])
    if not isinstance(measured, Measure):
        bars = known["cut"].get("bars")
        where = f"in bars {bars[0]} to {bars[1]}" if bars else "in it"
        return Reject(measured.reason, f"nothing sounds {where}")
    return Draft(bare, known | {"n": measured.n}, tokenizer)


def read_bars(texts: Sequence[str], option: str = "--bars") -> tuple[Bars, ...]:
    """Read ``9:16``, ``9:``, ``:16`` or ``9``: bars as musicians count them."""
    return tuple(_read_range(text, option) for text in texts)


def _read_range(text: str, option: str) -> Bars:
    low, colon, high = text.partition(":")
    if (low.isdecimal() or (colon and not low)) and (high.isdecimal() or not high) and text != ":":
        first = int(low or 1)
        last = int(high) if high else None if colon else first
        if first >= 1 and (last is None or last >= first):
            return first, last
    raise UsageError(
        f"{option} {text!r} is not a range like 9:16, 9:, :16 or 9 (the first bar is 1)"
    )


def read_tracks(text: str) -> frozenset[int]:
    """Read ``1,3-4``: tracks counted from 1."""
    found: set[int] = set()
    for item in text.split(","):
        low, dash, high = item.partition("-")
        last = high if dash else low
        if not low.isdecimal() or not last.isdecimal() or not 0 < int(low) <= int(last):
            raise UsageError(f"--tracks {text!r} is not a list like 1,3-4 (the first track is 1)")
        found.update(range(int(low), int(last) + 1))
    return frozenset(found)


def read_programs(text: str) -> frozenset[int]:
    """Read ``0,24-31,drums``: numbers, ranges of them, and names as `midigen.programs` knows."""
    found: set[int] = set()
    for item in text.split(","):
        low, _, high = item.partition("-")
        if low.isdecimal() and high.isdecimal():
            between = range(min(find(low)), max(find(high)) + 1)
            if not between:
                raise UsageError(f"--program {item!r} ends before it begins")
            found.update(between)
        else:
            found |= find(item)
    return frozenset(found)


def read_target(text: str) -> Key:
    """Read the key of ``--transpose-to``. A minor key stands for its relative major."""
    key = read_key(text)
    if key is None:
        raise UsageError(f"--transpose-to {text!r} is not a key like C, Eb or F#")
    return Key((key.tonic + 3 * key.is_minor) % 12, False)


def read_merge(text: str) -> str:
    if text not in MERGES:
        raise UsageError(f"--merge {text!r} is not one of {', '.join(MERGES)}")
    return text

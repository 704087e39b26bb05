"""MIDI bytes to a score: strictly, else mended, else a reject that says what is wrong with them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, cast

from midigen.errors import Reject

if TYPE_CHECKING:
    from symusic.core import ScoreTick

MAX_TICK = 2**31 - 1
SANITISED, SALVAGED = "sanitised", "salvaged"
"""The rungs of the ladder below the strict one: what `meta.ingest` says."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a score may hold; more is a damaged file, or made to be absurd."""

    notes: int = 500_000
    ticks: int = MAX_TICK
    tracks: int = 1_000


DEFAULT_LIMITS = Limits()


class Ingested(NamedTuple):
    """What became of the bytes of a file.

    score: in ticks. midi: the Standard MIDI File that it was parsed from, the bytes themselves
    where nothing had to be mended. rung: empty for strict, `SANITISED` (values were out of range:
    data bytes, or fields of the header) or `SALVAGED` (anything else that had to be mended).
    """

    score: "ScoreTick"
    midi: bytes
    rung: str = ""


def ingest(data: bytes, limits: Limits = Limits()) -> Ingested:
    """Return the score in a file, by the first rung of the ladder that gives one with notes.

    Raises Reject: ``empty``, ``not_midi``, ``broken``, ``no_notes``, ``too_big``,
    ``too_many_notes``, ``too_many_tracks``, ``too_long``.
    """
    if not data:
        raise Reject("empty", "no bytes")
    strict = _parse_strictly(data)
    if strict is not None and not _lacks_tracks(data, strict):
        found = Ingested(strict, data)
    else:
        found = _mend(data, strict)
    _check(found.score, limits)
    return found


def _lacks_tracks(data: bytes, score: "ScoreTick") -> bool:
    """Return whether the header counts more tracks than there are: some may have lost their names.

    Most files have one track without notes at most, and the bytes need not be searched.
    """
    count = int.from_bytes(data[10:12])
    return count > len(score.tracks) + 1 and count > data.count(b"MTrk")


def _mend(data: bytes, strict: "ScoreTick | None") -> Ingested:
    """Return what can be saved, or what the strict parse gave if that has no fewer notes."""
    from midigen.salvage import salvage

    try:
        saved = salvage(data)
    except Reject:
        if strict is None:
            raise
        return Ingested(strict, data)
    score = parse(saved.midi)
    if strict is not None and strict.note_num() >= score.note_num():
        return Ingested(strict, data)
    return Ingested(score, saved.midi, SANITISED if saved.whole else SALVAGED)


def _parse_strictly(data: bytes) -> "ScoreTick | None":
    """Return what a strict parse gives; None where that is an error, or no notes.

    A file may have notes where a strict parser finds none: no note ends, or the number of tracks in
    the header is 0.
    """
    if not data.startswith(b"MThd") or not 0 < int.from_bytes(data[12:14]) < 0x8000:
        return None
    try:
        score = parse(data)
    except Reject:
        return None
    return score if score.note_num() else None


def parse(data: bytes) -> "ScoreTick":
    """Return what a strict parse of a Standard MIDI File gives. Raises Reject: ``broken``."""
    import symusic

    try:
        return cast("ScoreTick", symusic.Score.from_midi(data))
    except (RuntimeError, ValueError) as error:
        raise Reject("broken", _one_line(error)) from error


def _check(score: "ScoreTick", limits: Limits) -> None:
    """Raises Reject if a score holds more than `limits` allow."""
    if score.note_num() > limits.notes:
        raise Reject("too_many_notes", f"{score.note_num():,}; at most {limits.notes:,}")
    if len(score.tracks) > limits.tracks:
        raise Reject("too_many_tracks", f"{len(score.tracks):,}; at most {limits.tracks:,}")
    # The end is looked for among all events, and no score has a tick beyond MAX_TICK.
    if limits.ticks < MAX_TICK and score.end() > limits.ticks:
        raise Reject("too_long", f"{score.end():,} ticks; at most {limits.ticks:,}")


def _one_line(error: Exception) -> str:
    """Return symusic's message without its prefix and the C++ stream's suffix."""
    text = " ".join(str(error).split()).removeprefix("MiniMidi: ")
    return text.removesuffix(": iostream error")

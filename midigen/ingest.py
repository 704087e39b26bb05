"""MIDI bytes to a score, or a reject that says what is wrong with them."""

from typing import TYPE_CHECKING, NamedTuple, cast

from midigen.errors import Reject

if TYPE_CHECKING:
    from symusic.core import ScoreTick

REASONS = ("empty", "not_midi", "time_division", "broken")
"""Why bytes are no score: the reasons of the rejects that `parse` raises."""


class Ingested(NamedTuple):
    """What became of the bytes of a file.

    score: in ticks. midi: the Standard MIDI File that it was parsed from, the bytes themselves
    where nothing had to be mended. rung: what had to be done, `meta.ingest`; empty for nothing.
    """

    score: "ScoreTick"
    midi: bytes
    rung: str = ""


def ingest(data: bytes) -> Ingested:
    """Return the score in a file. Raises Reject with one of `REASONS`."""
    return Ingested(parse(data), data)


def parse(data: bytes) -> "ScoreTick":
    """Return the score, in ticks, that a Standard MIDI File holds.

    Raises Reject: ``empty``; ``not_midi`` (no MThd chunk at the start); ``time_division`` (ticks a
    second, as in SMPTE time, or none at all); ``broken`` (the chunks or events contradict the
    format).
    """
    import symusic

    if not data:
        raise Reject("empty", "no bytes")
    if not data.startswith(b"MThd"):
        raise Reject("not_midi", f"begins with {data[:4]!r}, not MThd")
    division = int.from_bytes(data[12:14])
    if division == 0 or division > 0x7FFF:
        raise Reject("time_division", f"{data[12:14].hex()}: not ticks a quarter")
    try:
        return cast("ScoreTick", symusic.Score.from_midi(data))
    except (RuntimeError, ValueError) as error:
        raise Reject("broken", _one_line(error)) from error


def _one_line(error: Exception) -> str:
    """Return symusic's message without its prefix and the C++ stream's suffix."""
    text = " ".join(str(error).split()).removeprefix("MiniMidi: ")
    return text.removesuffix(": iostream error")

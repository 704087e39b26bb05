"""What `barnote` reads of scores: bars and notes of many as a few long arrays, in units."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from midigen.errors import Reject
from midigen_barnote.config import Config
from midigen_barnote.layout import UNITS_PER_QUARTER

MAX_QUARTERS = 200_000
"""A piece that lasts longer (28 hours at 120 quarters a minute) is a broken file."""
MAX_BARS = 100_000


class Span(NamedTuple):
    """The ticks in which a time signature holds, and the signature."""

    start: int
    stop: int
    numerator: int
    denominator: int


class Piece(NamedTuple):
    score: Any
    tpq: int
    spans: list[Span]


class Notes(NamedTuple):
    """N notes by piece: `owner`, the piece's number, ascending; times in units. All int64 (N,)."""

    owner: np.ndarray
    time: np.ndarray
    duration: np.ndarray
    pitch: np.ndarray

    def where(self, kept: np.ndarray) -> "Notes":
        return self if kept.all() else Notes(*(column[kept] for column in self))


def read_piece(score: Any, config: Config) -> Piece:
    """Return what there is to a score in ticks. Raises Reject: ``tokenizer``, ``too_long``."""
    tpq, end = score.ticks_per_quarter, score.end()
    changes = [(s.time, s.numerator, s.denominator) for s in score.time_signatures]
    changes.sort(key=lambda change: change[0])
    if config.meter is not None and (not changes or changes[0][0] > 0):
        changes.insert(0, (0, *config.meter))
    if tpq <= 0:
        raise Reject("tokenizer", f"{tpq} ticks a quarter")
    if not changes:
        raise Reject("tokenizer", "no time signature; barnote:meter=4/4 takes one for granted")
    if min(score.start(), changes[0][0]) < 0:
        raise Reject("tokenizer", "something stands before tick 0")
    if end > MAX_QUARTERS * tpq:
        raise Reject("too_long", f"more than {MAX_QUARTERS} quarters")
    stops = [change[0] for change in changes[1:]] + [end]
    spans = [Span(start, stop, *of) for (start, *of), stop in zip(changes, stops, strict=True)]
    bars = 0.0
    for start, stop, numerator, denominator in spans:
        if numerator <= 0 or denominator <= 0:
            raise Reject("tokenizer", f"time signature {numerator}/{denominator}")
        bars += (stop - start) * denominator / (4 * tpq * numerator)
    if bars > MAX_BARS:
        raise Reject("too_long", f"{bars:.0f} bars; at most {MAX_BARS} are read")
    return Piece(score, tpq, spans)


def to_units(ticks: np.ndarray, tpq: np.ndarray) -> np.ndarray:
    """Return times in units, int64: halves to the even one."""
    return np.rint(ticks * float(UNITS_PER_QUARTER) / tpq).astype(np.int64)


def read_lines(pieces: Sequence[Piece]) -> tuple[np.ndarray, np.ndarray]:
    """Return owner and time in units of every bar line, in order, int64 (L,) each.

    They run from the time of a signature in steps of its length up to the next one, or to the end
    of the piece, the last time of anything in it.
    """
    rows = [(owner, piece.tpq, *span) for owner, piece in enumerate(pieces) for span in piece.spans]
    owner, tpq, start, stop, numerator, denominator = np.array(rows, np.int64).reshape(-1, 6).T
    start, stop = to_units(start, tpq), to_units(stop, tpq)
    whole = 4 * UNITS_PER_QUARTER * numerator
    count = -(-(stop - start) * denominator // whole)
    row = np.repeat(np.arange(len(rows)), count)
    k = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    line = start[row] + k * whole[row] / denominator[row]
    return owner[row], np.rint(line).astype(np.int64)


def read_notes(pieces: Sequence[Piece]) -> Notes:
    """Return the notes of all tracks; those that the grid has no place for have duration 0."""
    columns, owners, sizes = [], [], []
    for owner, piece in enumerate(pieces):
        for track in piece.score.tracks:
            if len(track.notes):
                columns.append(track.notes.numpy())
                owners.append(owner)
                sizes.append(len(track.notes))
    if not columns:
        return Notes(*np.empty((4, 0), np.int64))
    time, duration, pitch = (
        np.concatenate([column[key] for column in columns]) for key in ("time", "duration", "pitch")
    )
    tpq = np.repeat([pieces[owner].tpq for owner in owners], sizes)
    start = to_units(time, tpq)
    stop = to_units(np.add(time, duration, dtype=np.int64), tpq)
    duration = np.maximum(stop - start, 0)
    return Notes(np.repeat(owners, sizes), start, duration, pitch.astype(np.int64))

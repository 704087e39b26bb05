"""Notes of many scores as a few long arrays, resampled as MidiTok does.

A *sequence* is what becomes one id array: a piece, or one track of it. Notes lie in the order of
their sequences, and within one in the order in which MidiTok's stable sort by onset meets them:
track by track, tracks of one program joined and sorted.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from midigen.errors import Reject
from midigen_remi.config import RemiConfig
from midigen_remi.encode_meter import Change, Meter, read_meter, round_to_grid
from midigen_remi.values import DRUMS

MAX_QUARTERS = 200_000
"""A piece that lasts longer (28 hours at 120 quarters a minute) is a broken file."""
HALF = np.nextafter(0.5, 0)
"""floor(x + HALF) rounds like C's round() for every double x >= 0; with 0.5 it would not."""


class Voice(NamedTuple):
    """Notes of one program in one sequence: a track, or several of one program joined.

    track: the number of the track in its score, or of the first.
    """

    piece: int
    program: int
    notes: int
    joined: bool
    track: int = 0


class Piece(NamedTuple):
    """One score, its bars and the scale from its ticks to resampled ones."""

    score: Any
    meter: Meter
    scale: float


def too_long() -> Reject:
    """Return what becomes of a piece that lasts longer than MAX_QUARTERS."""
    return Reject("too_long", f"more than {MAX_QUARTERS} quarters")


@dataclass(slots=True)
class Unfit:
    """Pieces, by number, that the array code must leave alone.

    odd: notes or tempos before tick 0, of negative length or out of order, as no MIDI file can give
    them: MidiTok's answer then depends on details of its searches.
    """

    odd: set[int] = field(default_factory=set)
    rejects: dict[int, Reject] = field(default_factory=dict)

    def reject_late(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self.rejects[number] = too_long()


@dataclass(slots=True)
class Notes:
    """N notes of some voices, one voice behind the other.

    time, duration: int64 (N,), in resampled ticks. pitch, velocity: int8 (N,).
    """

    time: np.ndarray
    duration: np.ndarray
    pitch: np.ndarray
    velocity: np.ndarray
    voices: list[Voice]


def read_pieces(scores: Sequence[Any], config: RemiConfig, unfit: Unfit) -> list[Piece]:
    """Return the bars of each score, and add to `unfit` those that cannot have any."""
    pieces = []
    for number, score in enumerate(scores):
        changes: tuple[Change, ...] = ()
        if config.ts:
            changes = tuple((s.time, s.numerator, s.denominator) for s in score.time_signatures)
        tpq = score.ticks_per_quarter
        meter = read_meter(max(tpq, 1), changes, config.signatures, config.resolution)
        if tpq <= 0 or not meter.tpq:
            fact = (
                f"{tpq} ticks a quarter" if tpq <= 0 else f"res={config.resolution} in */1 or */2"
            )
            unfit.rejects[number] = Reject("tokenizer", f"{fact} gives no whole positions")
        elif meter.sections[-1].start > MAX_QUARTERS * meter.tpq:
            unfit.reject_late([number])
        pieces.append(Piece(score, meter, meter.tpq / max(tpq, 1)))
    return pieces


def read_notes(pieces: Sequence[Piece], config: RemiConfig, unfit: Unfit) -> Notes:
    """Return the notes of all pieces, and add to `unfit` those whose notes are."""
    columns: list[dict[str, np.ndarray]] = []
    voices: list[Voice] = []
    kept = set(config.kept)
    for number, piece in enumerate(pieces):
        for program, first, tracks in _tracks(piece.score, config.one_stream):
            if program not in kept:
                continue
            count = 0
            for notes in tracks:
                if len(notes):
                    columns.append(notes.numpy())
                    count += len(notes)
            if count:
                voices.append(Voice(number, program, count, len(tracks) > 1, first))
    if not voices:
        empty = np.zeros(0, np.int64)
        return Notes(empty, empty, empty, empty, [])
    time, duration, pitch, velocity = (
        np.concatenate([column[key] for column in columns])
        for key in ("time", "duration", "pitch", "velocity")
    )
    _find_unfit(time, duration, pitch, velocity, voices, pieces, unfit)
    counts = [voice.notes for voice in voices]
    scale = np.repeat([pieces[voice.piece].scale for voice in voices], counts)
    notes = Notes(
        (time * scale + HALF).astype(np.int64),
        (duration * scale + HALF).astype(np.int64),
        pitch,
        velocity,
        voices,
    )
    # symusic keeps a resampled note at least one tick long, but leaves alone what fits as it is.
    shortest = 1 if scale.max() < 1 else scale != 1
    np.maximum(notes.duration, shortest, out=notes.duration)
    _sort_joined(notes)
    return notes


def _tracks(score: Any, one_stream: bool) -> list[tuple[int, int, list[Any]]]:
    """Return (program, number of the first track, note lists) in the order of the tracks.

    Tracks of one program are together where they share one stream. A program with a second track
    counts as joined even if that has no notes: MidiTok sorts it.
    """
    found = [(DRUMS if track.is_drum else track.program, track.notes) for track in score.tracks]
    if not one_stream:
        return [(program, number, [notes]) for number, (program, notes) in enumerate(found)]
    joined: dict[int, tuple[int, int, list[Any]]] = {}
    for number, (program, notes) in enumerate(found):
        joined.setdefault(program, (program, number, []))[2].append(notes)
    return list(joined.values())


def _find_unfit(
    time: np.ndarray,
    duration: np.ndarray,
    pitch: np.ndarray,
    velocity: np.ndarray,
    voices: list[Voice],
    pieces: Sequence[Piece],
    unfit: Unfit,
) -> None:
    """Add to `unfit` the pieces whose notes, in their own ticks, are odd or late."""
    ends = np.cumsum([voice.notes for voice in voices])
    starts = ends - [voice.notes for voice in voices]
    for voice, last in zip(voices, np.maximum.reduceat(time, starts).tolist(), strict=True):
        if last > MAX_QUARTERS * pieces[voice.piece].score.ticks_per_quarter:
            unfit.reject_late([voice.piece])
    backwards = np.flatnonzero(time[1:] < time[:-1]) + 1
    for number, place in zip(
        np.searchsorted(ends, backwards, side="right").tolist(), backwards.tolist(), strict=True
    ):
        if place != starts[number] and not voices[number].joined:
            unfit.odd.add(voices[number].piece)
    if min(time.min(), duration.min(), pitch.min(), velocity.min()) < 0:
        negative = np.flatnonzero((time < 0) | (duration < 0) | (pitch < 0) | (velocity < 0))
        numbers = np.searchsorted(ends, negative, side="right")
        unfit.odd.update(voices[number].piece for number in numbers.tolist())


def _sort_joined(notes: Notes) -> None:
    """Sort the notes of each joined voice by (time, duration, pitch, velocity), in place."""
    joined = [voice.joined for voice in notes.voices]
    if not any(joined):
        return
    counts = [voice.notes for voice in notes.voices]
    place = slice(None) if all(joined) else np.flatnonzero(np.repeat(joined, counts))
    voice = np.repeat(np.arange(sum(joined)), [v.notes for v in notes.voices if v.joined])
    time, duration = notes.time[place], notes.duration[place]
    pitch, velocity = notes.pitch[place], notes.velocity[place]
    time_bits, duration_bits = int(time.max()).bit_length(), int(duration.max()).bit_length()
    if sum(joined).bit_length() + time_bits + duration_bits + 14 > 63:
        order = np.lexsort((velocity, pitch, duration, time, voice))
        notes.time[place], notes.duration[place] = time[order], duration[order]
        notes.pitch[place], notes.velocity[place] = pitch[order], velocity[order]
        return
    # The key is the whole note, so sorting keys sorts notes: a fifth of the time of lexsort.
    key = voice
    for column, bits in ((time, time_bits), (duration, duration_bits), (pitch, 7), (velocity, 7)):
        key <<= bits
        key |= column
    key.sort()
    for name, bits in (("velocity", 7), ("pitch", 7), ("duration", duration_bits)):
        getattr(notes, name)[place] = key & (1 << bits) - 1
        key >>= bits
    notes.time[place] = key & (1 << time_bits) - 1


def round_onsets(
    time: np.ndarray, owners: Sequence[int], counts: Sequence[int], pieces: Sequence[Piece]
) -> None:
    """Round `time` to the grid of its piece, in place, where positions differ in size.

    owners, counts: the piece and the number of values of each run in `time`.
    """
    end = 0
    for owner, count in zip(owners, counts, strict=True):
        start, end = end, end + count
        grid = pieces[owner].meter.grid
        if grid:
            round_to_grid(time[start:end], grid)

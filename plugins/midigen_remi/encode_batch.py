"""From the notes and tempos of a batch to the ids of its pieces."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from midigen.protocols import Encoded
from midigen_remi.config import RemiConfig
from midigen_remi.encode_dedupe import drop_duplicates
from midigen_remi.encode_events import (
    Events,
    Heads,
    Places,
    order_events,
    place_events,
    read_heads,
)
from midigen_remi.encode_read import Notes, Piece, Voice, round_onsets
from midigen_remi.encode_tables import Tables, program_row
from midigen_remi.encode_tempo import Tempos
from midigen_remi.encode_write import write_ids

Write = Callable[
    [Events, Places, Heads, np.ndarray, np.ndarray, RemiConfig, Any], tuple[np.ndarray, np.ndarray]
]
"""What turns events into ids: `midigen_remi.encode_write.write_ids`, or another with its tables."""


def encode_notes(
    pieces: Sequence[Piece],
    notes: Notes,
    tempos: Tempos,
    config: RemiConfig,
    tables: Tables,
    write: Write = write_ids,
) -> Iterator[tuple[int, Encoded]]:
    """Yield the number and the ids of every piece that has a note in the vocabulary."""
    notes, rows = _note_rows(notes, config, tables)
    voices = notes.voices
    if not voices:
        return
    counts = [voice.notes for voice in voices]
    round_onsets(notes.time, [voice.piece for voice in voices], counts, pieces)
    owners, voice_seq = sequences(voices, config)
    heads = read_heads(owners, pieces, tempos, config, tables)
    events = order_events(notes, voice_seq, heads, len(owners))
    places = place_events(events, heads)
    rows, lasts = _rows_of_events(events, places, heads, rows, config, tables)
    if config.dedupe:
        events, places, rows, lasts = drop_duplicates(
            events, places, heads, rows, lasts, np.repeat(np.arange(len(voices)), counts), config
        )
    ids, starts = write(events, places, heads, rows, lasts, config, tables)
    yield from collect(ids, starts, owners, pieces, voices, config, tables)


def sequences(voices: Sequence[Voice], config: RemiConfig) -> tuple[list[int], list[int]]:
    """Return the piece of each sequence, and the sequence of each voice."""
    if not config.one_stream:
        return [voice.piece for voice in voices], list(range(len(voices)))
    owners = list(dict.fromkeys(voice.piece for voice in voices))
    sequence = {piece: number for number, piece in enumerate(owners)}
    return owners, [sequence[voice.piece] for voice in voices]


def collect(
    ids: np.ndarray,
    starts: np.ndarray,
    owners: Sequence[int],
    pieces: Sequence[Piece],
    voices: Sequence[Voice],
    config: RemiConfig,
    tables: Tables,
) -> Iterator[tuple[int, Encoded]]:
    """Cut `ids` at `starts` and put the sequences of each piece together.

    A sequence that holds one track begins with its Program where programs change.
    """
    if config.changes and not config.one_stream:
        first = tables.program[[voice.program for voice in voices]]
        ids = np.insert(ids, starts[:-1], first)
        starts = starts + np.arange(len(starts))
    cuts = starts.tolist()
    parts: dict[int, list[np.ndarray]] = {}
    for number, owner in enumerate(owners):
        parts.setdefault(owner, []).append(ids[cuts[number] : cuts[number + 1]])
    programs: dict[int, list[int]] = {}
    if not config.programs:
        for voice in voices:
            programs.setdefault(voice.piece, []).append(voice.program)
    tracks: dict[int, list[int]] = {}
    if not config.one_stream:
        for voice in voices:
            tracks.setdefault(voice.piece, []).append(voice.track)
    for owner, arrays in parts.items():
        lossy = ("time_signature",) if pieces[owner].meter.lossy else ()
        yield owner, Encoded(arrays, lossy, programs.get(owner), tracks.get(owner))


def _note_rows(notes: Notes, config: RemiConfig, tables: Tables) -> tuple[Notes, np.ndarray]:
    """Return the notes whose pitch is in the vocabulary and their tokens, uint16 (N, 4).

    The first `row_width` columns are used; that of the duration still holds ticks.
    """
    notes, pitch = known_pitches(notes, tables)
    counts = [voice.notes for voice in notes.voices]
    rows = np.zeros((len(pitch), 4), np.uint16)
    column = iter(range(4))
    if config.program_in_notes:
        programs = tables.program[[voice.program for voice in notes.voices]]
        rows[:, next(column)] = np.repeat(programs, counts)
    rows[:, next(column)] = pitch
    if config.velocities:
        rows[:, next(column)] = tables.velocity[notes.velocity]
    if config.durations:
        longest = tables.duration.shape[1] - 1
        np.minimum(notes.duration, longest, out=rows[:, next(column)], casting="unsafe")
    return notes, rows


def known_pitches(notes: Notes, tables: Tables) -> tuple[Notes, np.ndarray]:
    """Return the notes whose pitch is in the vocabulary, and the ids of their pitches, (N,)."""
    counts = [voice.notes for voice in notes.voices]
    kinds = np.array([program_row(voice.program) << 7 for voice in notes.voices], np.int16)
    pitch = tables.pitch.ravel()[np.repeat(kinds, counts) + notes.pitch]
    if not len(pitch) or pitch.all():
        return notes, pitch
    keep = pitch > 0
    return _select(notes, counts, keep), pitch[keep]


def row_width(config: RemiConfig) -> int:
    """Return the tokens a note: a Program (where notes can have one), pitch, velocity, duration."""
    return 1 + config.program_in_notes + bool(config.velocities) + bool(config.durations)


def _select(notes: Notes, counts: Sequence[int], keep: np.ndarray) -> Notes:
    """Return the notes where `keep` (N,) is true and the voices that still have one."""
    left = np.add.reduceat(keep, np.cumsum([0, *counts[:-1]]), dtype=np.int64).tolist()
    voices = [v._replace(notes=n) for v, n in zip(notes.voices, left, strict=True) if n]
    return Notes(
        notes.time[keep], notes.duration[keep], notes.pitch[keep], notes.velocity[keep], voices
    )


def _rows_of_events(
    events: Events,
    places: Places,
    heads: Heads,
    rows: np.ndarray,
    config: RemiConfig,
    tables: Tables,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the tokens of all events (E, k), heads have any, and the ticks at which they end."""
    padded = np.concatenate((np.zeros((len(heads.seq), 4), np.uint16), rows))
    rows = padded.view(np.uint64).ravel()[events.source].view(np.uint16).reshape(-1, 4)
    rows = rows[:, : row_width(config)]
    lasts = events.time
    if config.durations:
        at = rows[:, -1] + places.shift * tables.duration.shape[1]
        if config.rests:
            is_note = events.source >= len(heads.seq)
            lasts = events.time + tables.duration_ticks.ravel()[at] * is_note
        rows[:, -1] = tables.duration.ravel()[at]
    return rows, lasts

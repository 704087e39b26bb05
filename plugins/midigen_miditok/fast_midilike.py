"""MIDILike: notes that begin and end at two places of a sequence."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from midigen_remi.config import RemiConfig
from midigen_remi.encode_batch import collect, known_pitches, sequences
from midigen_remi.encode_events import order_events, place_events, read_heads
from midigen_remi.encode_read import MAX_QUARTERS, Notes, Piece, Unfit, round_onsets
from midigen_remi.encode_tables import program_row
from midigen_remi.encode_tempo import Tempos

from midigen.protocols import Encoded
from midigen_miditok.fast_tables import EventTables
from midigen_miditok.fast_write import head_rows, write_events


def reject_late_ends(pieces: Sequence[Piece], notes: Notes, unfit: Unfit) -> None:
    """Add to `unfit` the pieces with a note that ends after MAX_QUARTERS."""
    owners = np.array([voice.piece for voice in notes.voices], np.int64)
    owner = np.repeat(owners, [voice.notes for voice in notes.voices])
    limit = MAX_QUARTERS * np.array([piece.meter.tpq for piece in pieces])
    late = notes.time + notes.duration > limit[owner]
    unfit.reject_late(set(owner[late].tolist()) - unfit.rejects.keys())


def encode_on_off(
    pieces: Sequence[Piece],
    notes: Notes,
    tempos: Tempos,
    config: RemiConfig,
    tables: EventTables,
) -> Iterator[tuple[int, Encoded]]:
    """Yield the number and the ids of every piece that has a note in the vocabulary."""
    notes, on = known_pitches(notes, tables)
    voices = notes.voices
    if not voices:
        return
    _round(notes, pieces, config)
    if config.dedupe:
        notes, on = _drop_duplicates(notes, on)
        voices = notes.voices
    owners, voice_seq = sequences(voices, config)
    heads = read_heads(owners, pieces, tempos, config, tables)
    time, rows, own, lasts = _turns(notes, on, config, tables)
    turns = [v._replace(notes=v.notes * time.shape[1]) for v in voices]
    events = order_events(
        replace(notes, time=time.ravel(), voices=turns), voice_seq, heads, len(owners)
    )
    source, head = events.source, head_rows(heads)
    words = np.concatenate((head.view(np.uint64)[:, 0], rows.view(np.uint64).ravel()))
    ids, starts = write_events(
        events,
        place_events(events, heads),
        heads,
        words[source].view(np.uint16).reshape(-1, 4),
        np.concatenate((np.ones(len(head), np.int64), own.ravel()))[source],
        np.concatenate((heads.time, lasts.ravel()))[source] if config.rests else events.time,
        config,
        tables,
    )
    yield from collect(ids, starts, owners, pieces, voices, config, tables)


def _round(notes: Notes, pieces: Sequence[Piece], config: RemiConfig) -> None:
    """Round both ends of every note to the grid of its piece, in place.

    A note whose ends fall together gets one step (`MusicTokenizer._adjust_onsets_offsets`).
    """
    owners = [voice.piece for voice in notes.voices]
    counts = [voice.notes for voice in notes.voices]
    ends = notes.time + notes.duration
    round_onsets(notes.time, owners, counts, pieces)
    if not config.durations:
        return
    round_onsets(ends, owners, counts, pieces)
    stop = 0
    for owner, count in zip(owners, counts, strict=True):
        start, stop = stop, stop + count
        grid = pieces[owner].meter.grid
        if grid:
            steps = np.array([step for _, step in grid])
            borders = np.array([border for border, _ in grid[:-1]])
            time, end = notes.time[start:stop], ends[start:stop]
            step = steps[np.searchsorted(borders, time, side="right")]
            np.copyto(end, time + step, where=end <= time)
    np.subtract(ends, notes.time, out=notes.duration)


def _drop_duplicates(notes: Notes, on: np.ndarray) -> tuple[Notes, np.ndarray]:
    """Keep of notes of one voice with the same onset and pitch only the shortest.

    MidiTok sorts the notes of a track by (onset, pitch, duration, velocity) for this, and that
    order stays.
    """
    voice = np.repeat(np.arange(len(notes.voices)), [v.notes for v in notes.voices])
    order = np.lexsort((notes.velocity, notes.duration, on, notes.time, voice))
    key = np.stack((voice, notes.time, on.astype(np.int64)))[:, order]
    keep = order[np.append(True, (key[:, 1:] != key[:, :-1]).any(axis=0))]
    left = np.bincount(voice[keep], minlength=len(notes.voices)).tolist()
    voices = [v._replace(notes=n) for v, n in zip(notes.voices, left, strict=True)]
    kept = Notes(
        notes.time[keep], notes.duration[keep], notes.pitch[keep], notes.velocity[keep], voices
    )
    return kept, on[keep]


def _programs(notes: Notes, tables: EventTables) -> np.ndarray:
    """Return uint16 (N,), the Program token of every note."""
    programs = tables.program[[voice.program for voice in notes.voices]]
    return np.repeat(programs, [voice.notes for voice in notes.voices])


def _turns(
    notes: Notes, on: np.ndarray, config: RemiConfig, tables: EventTables
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return what begins and, where notes have ends, what ends them: T = 1 or 2 turns a note.

    Ticks (N, T), tokens uint16 (N, T, 4), how many these are (N, T), and the tick at which the note
    ends (N, T).
    """
    shape = len(on), 2 if config.durations else 1
    time, lasts, own = np.empty((3, *shape), np.int64)
    rows = np.zeros((*shape, 4), np.uint16)
    first = int(config.program_in_notes)
    if first:
        rows[:, :, 0] = _programs(notes, tables)[:, np.newaxis]
    time[:, 0], rows[:, 0, first], own[:, 0] = notes.time, on, first + 1
    if config.velocities:
        rows[:, 0, first + 1] = tables.velocity[notes.velocity]
        own[:, 0] += 1
    if config.durations:
        kinds = np.array([program_row(voice.program) << 7 for voice in notes.voices], np.int16)
        kind = np.repeat(kinds, [voice.notes for voice in notes.voices])
        time[:, 1], own[:, 1] = notes.time + notes.duration, first + 1
        rows[:, 1, first] = tables.off.ravel()[kind + notes.pitch]
        lasts[:] = time[:, 1:]
    return time, rows, own, lasts

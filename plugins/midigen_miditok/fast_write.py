"""Ids from ordered events: the place of every token is computed, then each column is written."""

import numpy as np
from midigen_remi.config import RemiConfig
from midigen_remi.encode_events import Events, Heads, Places

from midigen_miditok.fast_tables import EventTables
from midigen_miditok.fast_time import between, find_gaps


def head_rows(heads: Heads) -> np.ndarray:
    """Return uint16 (H, 4): the token of each head, in the first column."""
    rows = np.zeros((len(heads.seq), 4), np.uint16)
    rows[: heads.signatures, 0] = heads.signature_id[: heads.signatures]
    rows[heads.signatures :, 0] = heads.tempo
    return rows


def write_tsd(
    events: Events,
    places: Places,
    heads: Heads,
    rows: np.ndarray,
    lasts: np.ndarray,
    config: RemiConfig,
    tables: EventTables,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ids of all sequences and where each begins: `midigen_remi.encode_batch.Write`."""
    own = np.full(len(rows), rows.shape[1])
    if rows.shape[1] < 4:
        rows = np.pad(rows, ((0, 0), (0, 4 - rows.shape[1])))
    head = np.flatnonzero(events.source < len(heads.seq))
    rows[head] = head_rows(heads)[events.source[head]]
    own[head] = 1
    return write_events(events, places, heads, rows, own, lasts, config, tables)


def write_structured(
    events: Events,
    places: Places,
    heads: Heads,
    rows: np.ndarray,
    lasts: np.ndarray,
    config: RemiConfig,
    tables: EventTables,
) -> tuple[np.ndarray, np.ndarray]:
    """Do the same where every note has exactly one TimeShift before it, and nothing else is."""
    gap = np.minimum(between(events), len(tables.closest) - 1)
    ids = np.column_stack((tables.closest[gap], rows))
    first = np.append(events.first, len(rows))
    return ids.ravel(), first * ids.shape[1]


def write_events(
    events: Events,
    places: Places,
    heads: Heads,
    rows: np.ndarray,
    own: np.ndarray,
    lasts: np.ndarray,
    config: RemiConfig,
    tables: EventTables,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ids of all sequences, one behind the other, and where each begins (S + 1,).

    rows: uint16 (E, 4), the tokens of each event; own: (E,) how many they are. With program changes
    the first is a Program that is written only where it changes. lasts: (E,) the tick at which each
    event ends.
    """
    if config.changes and config.one_stream:
        _drop_repeated_programs(events, heads, rows, own)
    gaps = find_gaps(events, places, heads, lasts, config, tables)
    end = np.cumsum(gaps.count + own)
    at = end - own
    size = int(end[-1])
    ids = np.empty(size + 4, np.uint16)
    # Four tokens are one word, and `words` is every place that a word can have. What a word has too
    # many is overwritten: by the next event, which is written later, and by the tokens of time.
    words = np.ndarray(size + 1, np.uint64, ids, strides=ids.strides)
    words[at] = rows.view(np.uint64)[:, 0]
    at -= gaps.count
    gaps.write(ids, at, tables)
    return ids[:size], np.append(at[events.first], size)


def _drop_repeated_programs(
    events: Events, heads: Heads, rows: np.ndarray, own: np.ndarray
) -> None:
    """Take the Program from the notes of a sequence whose last note had the same."""
    note = np.flatnonzero(events.source >= len(heads.seq))
    program, seq = rows[note, 0], events.seq[note]
    same = note[1:][(program[1:] == program[:-1]) & (seq[1:] == seq[:-1])]
    rows[same, :3] = rows[same, 1:]
    own[same] -= 1

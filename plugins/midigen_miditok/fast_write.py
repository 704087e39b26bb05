"""Ids from ordered events: the place of every token is computed, then each column is written."""

import numpy as np
from midigen_remi.config import RemiConfig
from midigen_remi.encode_events import Events, Heads, Places

from midigen_miditok.fast_tables import EventTables
from midigen_miditok.fast_time import between, find_gaps


def head_ids(heads: Heads) -> np.ndarray:
    """Return uint16 (H,), the tokens of the heads."""
    return np.concatenate((heads.signature_id[: heads.signatures], heads.tempo))


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
    head = np.flatnonzero(events.source < len(heads.seq))
    rows[head, -1] = head_ids(heads)[events.source[head]]
    own = np.full(len(rows), rows.shape[1])
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

    rows: uint16 (E, k), the tokens of each event, on the right; own: (E,) how many they are. With
    program changes the first is a Program that is written only where it changes. lasts: (E,) the
    tick at which each event ends.
    """
    if config.changes and config.one_stream:
        _drop_repeated_programs(events, heads, rows, own)
    gaps = find_gaps(events, places, heads, lasts, config, tables)
    end = np.cumsum(gaps.count + own)
    begin = end - own
    begin -= gaps.count
    size = int(end[-1])
    ids = np.empty(size + 1, np.uint16)
    width = rows.shape[1]
    for column in range(width):
        ids[np.where(own < width - column, size, end - (width - column))] = rows[:, column]
    gaps.write(ids, begin, tables)
    return ids[:size], np.append(begin[events.first], size)


def _drop_repeated_programs(
    events: Events, heads: Heads, rows: np.ndarray, own: np.ndarray
) -> None:
    """Take the Program from the notes of a sequence whose last note had the same, in `own`."""
    note = np.flatnonzero(events.source >= len(heads.seq))
    program, seq = rows[note, rows.shape[1] - own[note]], events.seq[note]
    same = (program[1:] == program[:-1]) & (seq[1:] == seq[:-1])
    own[note[1:][same]] -= 1

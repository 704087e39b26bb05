"""Ids from ordered events: every token's place is computed, then each kind is written at once."""

import numpy as np

from midigen_remi.config import RemiConfig
from midigen_remi.encode_events import Events, Heads, Places, ranges
from midigen_remi.encode_rests import Rests, find_rests
from midigen_remi.encode_tables import Tables


def write_ids(
    events: Events,
    places: Places,
    heads: Heads,
    rows: np.ndarray,
    lasts: np.ndarray,
    config: RemiConfig,
    tables: Tables,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ids of all sequences, one behind the other, and where each begins (S + 1,).

    rows: uint16 (E, k), the tokens of each note in the order of events (anything for heads); with
    program changes the first column is a Program token that is written only where it changes.
    lasts: (E,) the tick at which each event ends, for rests.
    """
    signature = np.flatnonzero(events.source < heads.signatures)
    head = np.flatnonzero(events.source < len(heads.seq))
    tempo = head[events.source[head] >= heads.signatures]

    fresh = np.empty(len(events.time), bool)
    fresh[0] = True
    np.not_equal(events.time[1:], events.time[:-1], out=fresh[1:])
    fresh[events.first] = True
    fresh[signature[:-1] + 1] = True
    fresh[np.minimum(signature[-1:] + 1, len(fresh) - 1)] = True
    fresh[signature] = False

    before = np.empty_like(places.bar)
    before[1:] = places.bar[:-1]
    before[events.first] = -1
    rests = None
    if config.rests:
        rests = find_rests(events, places, heads, lasts, tables)
        before[rests.event] = np.maximum(before[rests.event], rests.bar)
    bars = places.bar - before

    bar_width = 2 if config.ts else 1
    own = _own_widths(events, heads, rows, head, tempo, config)
    own[signature] = bars[signature] == 0
    count = own + fresh + bar_width * bars
    if rests is not None:
        count[rests.event] += rests.count
    end = np.cumsum(count)
    ids = np.empty(end[-1] + rows.shape[1], np.uint16)

    skip = int(config.changes and config.one_stream)
    _write_notes(ids, end, rows, head, skip)
    if skip:
        changed = np.flatnonzero(own == rows.shape[1])
        ids[end[changed] - rows.shape[1]] = rows[changed, 0]
    ids[end[tempo] - 1] = heads.tempo[events.source[tempo] - heads.signatures]
    fresh_at = np.flatnonzero(fresh)
    ids[(end - own)[fresh_at] - 1] = tables.position + places.position[fresh_at]
    begin = end - count
    if rests is not None:
        _write_rests(ids, begin, rests, tables)
        begin[rests.event] += rests.count
    _write_bars(ids, begin, bars, places, signature, heads, bar_width, tables)
    ids[end[signature] - 1] = heads.signature_id[places.section[signature]]
    starts = end[events.first] - count[events.first]
    return ids[: end[-1]], np.append(starts, end[-1])


def _own_widths(
    events: Events,
    heads: Heads,
    rows: np.ndarray,
    head: np.ndarray,
    tempo: np.ndarray,
    config: RemiConfig,
) -> np.ndarray:
    """Return how many tokens each event has behind its Position."""
    width = rows.shape[1]
    own = np.full(len(events.time), width)
    if config.changes and config.one_stream:
        is_note = np.ones(len(own), bool)
        is_note[head] = False
        note = np.flatnonzero(is_note)
        program, seq = rows[note, 0], events.seq[note]
        same = (program[1:] == program[:-1]) & (seq[1:] == seq[:-1])
        own[note[1:][same]] = width - 1
        own[head] = 0
    own[tempo] = 1
    return own


def _write_notes(
    ids: np.ndarray, end: np.ndarray, rows: np.ndarray, head: np.ndarray, skip: int
) -> None:
    """Write the columns of `rows` from `skip` on; those of heads land behind the last id."""
    width = rows.shape[1]
    at = end - width
    at[head] = end[-1]
    for column in range(skip, width):
        ids[at + column] = rows[:, column]


def _write_rests(ids: np.ndarray, begin: np.ndarray, rests: Rests, tables: Tables) -> None:
    ids[ranges(begin[rests.event], rests.count)] = tables.rest + rests.index


def _write_bars(
    ids: np.ndarray,
    begin: np.ndarray,
    bars: np.ndarray,
    places: Places,
    signature: np.ndarray,
    heads: Heads,
    width: int,
    tables: Tables,
) -> None:
    """Write Bar tokens, each with its TimeSig where the vocabulary has them.

    The bars before a change of signature are those of the section before it; the last, its own, is
    corrected by the caller.
    """
    opens = np.flatnonzero(bars)
    number = bars[opens]
    at = np.repeat(begin[opens], number) + width * ranges(np.zeros_like(number), number)
    ids[at] = tables.bar
    if width == 2:
        section = places.section[opens]
        section = section - np.isin(opens, signature, assume_unique=True)
        ids[at + 1] = np.repeat(heads.signature_id[section], number)

"""Ids from ordered events: every token's place is computed, then each kind is written at once."""

from dataclasses import dataclass

import numpy as np

from midigen_remi.config import RemiConfig
from midigen_remi.encode_events import Events, Heads, Places, ranges
from midigen_remi.encode_rests import Rests, find_rests
from midigen_remi.encode_tables import Tables


@dataclass(slots=True)
class Layout:
    """Where the tokens of E events go: rests, bars, a position where the onset is new, its own.

    end, own: int64 (E,), behind the event's last token, and how many are its own. begin, bars:
    int64 (E,), behind its rests, and how many bars it opens. fresh: the events with a Position.
    first: int64 (S,), where each sequence begins.
    """

    end: np.ndarray
    own: np.ndarray
    begin: np.ndarray
    bars: np.ndarray
    fresh: np.ndarray
    first: np.ndarray


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
    head = np.flatnonzero(events.source < len(heads.seq))
    is_signature = events.source[head] < heads.signatures
    signature, tempo = head[is_signature], head[~is_signature]
    rests = find_rests(events, places, heads, lasts, tables) if config.rests else None
    own = _own_widths(events, rows, head, tempo, config)
    layout = _lay_out(events, places, own, signature, rests, config)

    size = int(layout.end[-1])
    ids = np.empty(size + 4, np.uint16)
    _write_notes(ids, layout, rows, head, config)
    ids[layout.end[tempo] - 1] = heads.tempo[events.source[tempo] - heads.signatures]
    position = places.position[layout.fresh]
    position += tables.position
    ids[layout.end[layout.fresh] - layout.own[layout.fresh] - 1] = position
    if rests is not None:
        ids[ranges(layout.begin[rests.event] - rests.count, rests.count)] = (
            tables.rest + rests.index
        )
    _write_bars(ids, layout, places, heads, config, tables)
    ids[layout.end[signature] - 1] = heads.signature_id[: len(signature)]
    return ids[:size], np.append(layout.first, size)


def _lay_out(
    events: Events,
    places: Places,
    own: np.ndarray,
    signature: np.ndarray,
    rests: Rests | None,
    config: RemiConfig,
) -> Layout:
    """Count the tokens of every event and place them one behind the other.

    A change of signature has no position. Its TimeSig token is that of the bar that it opens, and
    its own only where a rest has reached this bar already.
    """
    is_fresh = np.ones(len(own), bool)
    np.not_equal(events.onset[1:], events.onset[:-1], out=is_fresh[1:])
    is_fresh[signature[signature + 1 < len(own)] + 1] = True
    is_fresh[signature] = False

    bars = places.bar.copy()
    bars[1:] -= places.bar[:-1]
    bars[events.first] = places.bar[events.first] + 1
    if rests is not None:
        before = places.bar[rests.event] - bars[rests.event]
        bars[rests.event] -= np.maximum(rests.bar - before, 0)
    own[signature] = bars[signature] == 0

    count = bars * (2 if config.ts else 1)
    count += is_fresh
    count += own
    if rests is not None:
        count[rests.event] += rests.count
    end = np.cumsum(count)
    begin = end - count
    first = begin[events.first]
    if rests is not None:
        begin[rests.event] += rests.count
    return Layout(end, own, begin, bars, np.flatnonzero(is_fresh), first)


def _own_widths(
    events: Events, rows: np.ndarray, head: np.ndarray, tempo: np.ndarray, config: RemiConfig
) -> np.ndarray:
    """Return how many tokens each event has behind its Position; 0 for signatures."""
    width = rows.shape[1]
    own = np.full(len(events.onset), width)
    own[head] = 0
    own[tempo] = 1
    if config.changes and config.one_stream:
        is_note = np.ones(len(own), bool)
        is_note[head] = False
        note = np.flatnonzero(is_note)
        program, seq = rows[note, 0], events.seq[note]
        same = (program[1:] == program[:-1]) & (seq[1:] == seq[:-1])
        own[note[1:][same]] = width - 1
    return own


def _write_notes(
    ids: np.ndarray, layout: Layout, rows: np.ndarray, head: np.ndarray, config: RemiConfig
) -> None:
    """Write `rows`; those of heads land behind the last id."""
    width = rows.shape[1]
    at = layout.end - width
    at[head] = layout.end[-1]
    if config.changes and config.one_stream:
        changed = np.flatnonzero(layout.own == width)
        for column in range(1, width):
            ids[at + column] = rows[:, column]
        ids[at[changed]] = rows[changed, 0]
    elif width == 4:
        # Four tokens are one word, and `words` is every place that a word can have: a third faster.
        words = np.ndarray(len(ids) - 3, np.uint64, ids, strides=ids.strides)
        words[at] = rows.view(np.uint64)[:, 0]
    else:
        for column in range(width):
            ids[at + column] = rows[:, column]


def _write_bars(
    ids: np.ndarray,
    layout: Layout,
    places: Places,
    heads: Heads,
    config: RemiConfig,
    tables: Tables,
) -> None:
    """Write Bar tokens, each with its TimeSig where the vocabulary has them.

    The bars before a change of signature are those of the section before it; the last, its own, is
    corrected by the caller.
    """
    opens = np.flatnonzero(layout.bars)
    number = layout.bars[opens]
    bar_width = 2 if config.ts else 1
    at = np.repeat(layout.begin[opens], number) + bar_width * ranges(number * 0, number)
    ids[at] = tables.bar
    if config.ts:
        section = np.searchsorted(places.sections, opens, side="left") - 1
        ids[at + 1] = np.repeat(heads.signature_id[section], number)

"""Rest tokens: where nothing sounds for long enough, as MidiTok's REMI finds them."""

from dataclasses import dataclass

import numpy as np

from midigen_remi.encode_events import Events, Heads, Places
from midigen_remi.encode_tables import Tables


@dataclass(slots=True)
class Rests:
    """R events that come after a rest.

    event, count, end, bar: int64 (R,): the event, its number of Rest tokens, the tick and the bar
    that the rest ends in. index: the places of all those tokens among the vocabulary's rests, in
    their order.
    """

    event: np.ndarray
    count: np.ndarray
    end: np.ndarray
    bar: np.ndarray
    index: np.ndarray


def find_rests(
    events: Events, places: Places, heads: Heads, lasts: np.ndarray, tables: Tables
) -> Rests:
    """Return the rests before each event.

    A rest lasts from the latest end of all notes so far (a tempo or signature counts as a note of
    no length) to the next event, in the units of the section that the event is still in: a change
    of signature is in the one that it ends.
    """
    silent_from = _latest_end(events, lasts)
    section = places.section_of(np.arange(len(events.time)))
    if heads.signatures:
        section[np.setdiff1d(places.sections, events.first)] -= 1
    shift = heads.shift[section]
    gap = events.time - silent_from
    event = np.flatnonzero(gap >= tables.rest_ticks[shift, 0])
    left, shift, section = gap[event], shift[event], section[event]
    count, index = _split(left, shift, tables.rest_ticks)
    reached = silent_from[event] + _total(count, index, shift, tables.rest_ticks)
    bar = heads.bar[section] + (reached - heads.start[section]) // heads.ticks[section]
    return Rests(event, count, reached, bar, index)


def _latest_end(events: Events, lasts: np.ndarray) -> np.ndarray:
    """Return for each event the latest end of the events before it in its sequence, or 0."""
    bits = int(lasts.max()).bit_length()
    reach = np.maximum.accumulate(events.seq << bits | lasts) & (1 << bits) - 1
    latest = np.append(0, reach[:-1])
    latest[events.first] = 0
    return latest


def _split(
    left: np.ndarray, shift: np.ndarray, rest_ticks: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of rests in each gap and their indices, longest first."""
    left = left.copy()
    who, what = [], []
    active = np.arange(len(left))
    while len(active):
        index = np.empty(len(active), np.int64)
        for s in np.unique(shift[active]):
            here = shift[active] == s
            index[here] = np.searchsorted(rest_ticks[s], left[active][here], side="right") - 1
        who.append(active)
        what.append(index)
        left[active] -= rest_ticks[shift[active], index]
        active = active[left[active] >= rest_ticks[shift[active], 0]]
    none = np.zeros(0, np.int64)
    gap, index = np.concatenate([none, *who]), np.concatenate([none, *what])
    return np.bincount(gap, minlength=len(left)), index[np.argsort(gap, kind="stable")]


def _total(
    count: np.ndarray, index: np.ndarray, shift: np.ndarray, rest_ticks: np.ndarray
) -> np.ndarray:
    """Return the ticks of each gap that its rests cover."""
    ticks = rest_ticks[np.repeat(shift, count), index]
    covered = np.append(0, np.cumsum(ticks))
    ends = np.cumsum(count)
    return covered[ends] - covered[ends - count]

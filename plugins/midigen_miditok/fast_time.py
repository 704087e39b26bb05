"""TimeShift and Rest tokens before each event."""

from dataclasses import dataclass

import numpy as np
from midigen_remi.config import RemiConfig
from midigen_remi.encode_events import Events, Heads, Places, ranges
from midigen_remi.encode_rests import Rests, find_rests

from midigen_miditok.fast_tables import EventTables


@dataclass(slots=True)
class Gaps:
    """The time between E events, in tokens; M of them come later than the one before.

    count: int64 (E,), the tokens before each event. moved: int64 (M,), the events that time passes
    before. long: int64 (M,), how often the longest TimeShift. way: int64 (M,), the columns of
    `EventTables.chain` that say what is left. rests: what comes before all this.
    """

    count: np.ndarray
    moved: np.ndarray
    long: np.ndarray
    way: np.ndarray
    rests: Rests | None

    def write(self, ids: np.ndarray, begin: np.ndarray, tables: EventTables) -> None:
        """Write the tokens of time to `ids`, from `begin` (E,) on."""
        at = begin[self.moved]
        if self.rests is not None:
            start = begin[self.rests.event]
            ids[ranges(start, self.rests.count)] = tables.rest + self.rests.index
            at += _spread(self.rests, len(begin))[self.moved]
        if self.long.any():
            ids[ranges(at, self.long)] = tables.longest_id
            at += self.long
        way, steps = self.way, tables.steps[self.way]
        for step, chain in enumerate(tables.chain):
            if steps.min(initial=len(tables.chain)) <= step:
                there = np.flatnonzero(steps > step)
                at, way, steps = at[there], way[there], steps[there]
            ids[at + step] = chain[way]


def find_gaps(
    events: Events,
    places: Places,
    heads: Heads,
    lasts: np.ndarray,
    config: RemiConfig,
    tables: EventTables,
) -> Gaps:
    """Return the time between events; `lasts`: (E,) the tick at which each ends, for rests.

    A shift of time is in the units of the section that the event is still in: a change of signature
    is in the one that it ends.
    """
    gap = between(events)
    rests = find_rests(events, places, heads, lasts, tables) if config.rests else None
    if rests is not None:
        gap[rests.event] = events.time[rests.event] - rests.end
    moved = np.flatnonzero(gap)
    left = gap[moved]
    shift: np.ndarray | int = 0
    if heads.shift.any():
        section = places.section_of(moved)
        section -= np.isin(moved, places.sections)
        shift = heads.shift[section]
    longest = tables.longest[shift]
    long = left // longest
    left -= long * longest
    way = left + shift * int(tables.longest[-1])
    count = np.zeros(len(gap), np.int64)
    count[moved] = long + tables.steps[way]
    if rests is not None:
        count += _spread(rests, len(gap))
    return Gaps(count, moved, long, way, rests)


def between(events: Events) -> np.ndarray:
    """Return int64 (E,), the ticks from the event before, in the first of a sequence from 0."""
    gap = np.diff(events.time, prepend=0)
    gap[events.first] = events.time[events.first]
    return gap


def _spread(rests: Rests, events: int) -> np.ndarray:
    """Return int64 (E,), the Rest tokens before each event."""
    count = np.zeros(events, np.int64)
    count[rests.event] = rests.count
    return count

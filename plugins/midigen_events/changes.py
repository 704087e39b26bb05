"""Everything but notes: signatures, keys, tempos, patches and controllers, in steps of time."""

from dataclasses import dataclass, fields, replace

import numpy as np

from midigen.smf import CONTROL, KEY_SIGNATURE, PROGRAM, TEMPO, TIME_SIGNATURE, Events
from midigen_events import vocabulary as v
from midigen_events.notes import steps

_A_MINUTE = 60_000_000
"""Microseconds."""
_LEAST = 4
"""A tempo or a controller's value that differs by less from the one before it is not written."""


@dataclass(slots=True)
class Changes:
    """K changes. All arrays are (K,) int64.

    kind: the id of its event type. chunk: its track in `midigen.smf.Events`. track: the number that
    it gets. time: in steps. rank: its place among the events. a, b, c: its own parameters, counted
    from 0: numerator, denominator; sf, mi; bpm; channel, patch; channel, controller, value.
    """

    kind: np.ndarray
    chunk: np.ndarray
    track: np.ndarray
    time: np.ndarray
    rank: np.ndarray
    a: np.ndarray
    b: np.ndarray
    c: np.ndarray

    def at(self, places: np.ndarray) -> "Changes":
        """Return the changes at these places, or where a bool array (K,) is true."""
        return Changes(*(getattr(self, field.name)[places] for field in fields(self)))

    def but(self, **columns: np.ndarray) -> "Changes":
        """Return the same with other columns."""
        return replace(self, **columns)

    def last(self, is_first: np.ndarray) -> "Changes":
        """Return the last change of every run that begins where `is_first`, (K,) bool, is true.

        Each takes the place of the first of its run.
        """
        starts = np.flatnonzero(is_first)
        return self.at(np.append(starts[1:], len(is_first))[: len(starts)] - 1).but(
            rank=self.rank[starts]
        )

    def subject(self) -> np.ndarray:
        """Return (K,) what changes: a number for each kind, and its channel and controller."""
        has_channel = (self.kind == v.PATCH_CHANGE) | (self.kind == v.CONTROL_CHANGE)
        controller = np.where(self.kind == v.CONTROL_CHANGE, self.b, 0)
        return (self.kind << 4 | np.where(has_channel, self.a, 0)) << 7 | controller


def joined(*some: Changes) -> Changes:
    """Return changes end to end."""
    names = [field.name for field in fields(Changes)]
    return Changes(*(np.concatenate([getattr(each, name) for each in some]) for name in names))


def made(kind: int, chunk: np.ndarray, **columns: "np.ndarray | int") -> Changes:
    """Return changes of a kind in these tracks (K,); columns that are not given are 0."""
    zeros = np.zeros(len(chunk), dtype=np.int64)
    names = ("track", "time", "rank", "a", "b", "c")
    return Changes(zeros + kind, chunk, *(zeros + columns.get(name, 0) for name in names))


def read_changes(events: Events, tpq: np.ndarray) -> tuple[Changes, np.ndarray]:
    """Return the changes of all tracks, and the tracks with time signatures that do not fit.

    tpq: (C,) of each track.
    """
    signatures, left_out = _signatures(events)
    found = joined(signatures, _keys(events), _tempos(events), _patches(events), _controls(events))
    time = steps(events.tick[found.rank], tpq[found.chunk])
    found = found.but(time=time, track=events.track[found.chunk])
    return _replaced(found), left_out


def _replaced(changes: Changes) -> Changes:
    """Return the changes: of several of one subject in one track and step, the last."""
    subject = changes.subject()
    order = np.lexsort((changes.rank, changes.time, subject, changes.chunk))
    ordered, subject = changes.at(order), subject[order]
    return ordered.last(differs(ordered.chunk, subject, ordered.time))


def differs(*columns: np.ndarray) -> np.ndarray:
    """Return (K,) where any of the columns (K,) is not what it was at the place before."""
    differs = np.zeros(len(columns[0]), dtype=bool)
    differs[:1] = True
    for column in columns:
        differs[1:] |= column[1:] != column[:-1]
    return differs


def _signatures(events: Events) -> tuple[Changes, np.ndarray]:
    """Return the time signatures that the vocabulary has, and the tracks of those it lacks."""
    places, held = events.meta(TIME_SIGNATURE, 2)
    numerator, denominator = held[:, 0] - 1, held[:, 1] - 1
    fits = (numerator >= 0) & (numerator < v.BLOCKS["numerator"].size)
    fits &= (denominator >= 0) & (denominator < v.BLOCKS["denominator"].size)
    chunk = events.chunk[places]
    found = made(v.TIME_SIGNATURE, chunk, rank=places, a=numerator, b=denominator)
    return found.at(fits), chunk[~fits]


def _keys(events: Events) -> Changes:
    places, held = events.meta(KEY_SIGNATURE, 2)
    sf = (held[:, 0] + 128) % 256 - 128 + 7
    fits = (sf >= 0) & (sf < v.BLOCKS["sf"].size) & (held[:, 1] < v.BLOCKS["mi"].size)
    chunk = events.chunk[places]
    return made(v.KEY_SIGNATURE, chunk, rank=places, a=sf, b=held[:, 1]).at(fits)


def _tempos(events: Events) -> Changes:
    places, held = events.meta(TEMPO, 3)
    length = held[:, 0] << 16 | held[:, 1] << 8 | held[:, 2]
    places, length = places[length > 0], length[length > 0]
    bpm = np.minimum(_A_MINUTE // length, v.BLOCKS["bpm"].size - 1)
    chunk = events.chunk[places]
    return made(v.SET_TEMPO, chunk, rank=places, a=bpm).at(_moved(chunk, bpm))


def _patches(events: Events) -> Changes:
    places, channel = _messages(events, PROGRAM)
    chunk, patch = events.chunk[places], events.data1[places].astype(np.int64)
    order, before = _before(chunk << 4 | channel, patch, -1)
    changes = np.empty(len(places), dtype=bool)
    changes[order] = patch[order] != before
    return made(v.PATCH_CHANGE, chunk, rank=places, a=channel, b=patch).at(changes)


def _controls(events: Events) -> Changes:
    places, channel = _messages(events, CONTROL)
    chunk, controller = events.chunk[places], events.data1[places].astype(np.int64)
    value = events.data2[places].astype(np.int64)
    moved = _moved((chunk << 4 | channel) << 7 | controller, value)
    found = made(v.CONTROL_CHANGE, chunk, rank=places, a=channel, b=controller, c=value)
    return found.at(moved)


def _messages(events: Events, status: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of the channel messages of a kind, and their channels."""
    places = np.flatnonzero(events.status & 0xF0 == status)
    return places, (events.status[places] & 0xF).astype(np.int64)


def _before(group: np.ndarray, value: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the order by group, and in that order the value before each of the same group.

    `first` stands before the first of a group.
    """
    order = np.argsort(group, kind="stable")
    before = np.concatenate(([first], value[order][:-1]))[: len(order)]
    return order, np.where(differs(group[order]), first, before)


def _moved(group: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Return (K,) the values that are `_LEAST` or more from the last such one of their group.

    0 stands before the first of a group.
    """
    order, before = _before(group, value, 0)
    step = np.abs(value[order] - before)
    moved = np.empty(len(order), dtype=bool)
    moved[order] = step >= _LEAST
    # Where all steps of a group are that wide or none at all, the value before is the last one
    # kept, or equal to it. In other groups small steps add up.
    creeping = np.unique(group[order[(step > 0) & (step < _LEAST)]])
    ordered = group[order]
    starts = np.searchsorted(ordered, creeping).tolist()
    stops = np.searchsorted(ordered, creeping, side="right").tolist()
    for start, stop in zip(starts, stops, strict=True):
        places = order[start:stop]
        moved[places] = _walk(value[places].tolist())
    return moved


def _walk(values: list[int]) -> list[bool]:
    """Return the same of the values of one group."""
    last, moved = 0, []
    for value in values:
        moved.append(abs(value - last) >= _LEAST)
        if moved[-1]:
            last = value
    return moved

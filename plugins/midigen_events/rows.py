"""Ids back to events: each begins at the id of a type, and is read as far as it is in order."""

from dataclasses import dataclass, fields

import numpy as np

from midigen_events import vocabulary as v

_PARAMETERS = v.UNIT - 1
_CHANNEL = 3
"""The column of the channel in `Rows.values`."""
_KINDS = v.NOTE + len(v.TYPES)


def _bounds() -> tuple[np.ndarray, np.ndarray]:
    """Return (9, 7): the first and the last id that may follow a type at each place."""
    firsts = np.full((_KINDS, _PARAMETERS), v.PAD)
    lasts = firsts.copy()
    for kind, names in enumerate(v.TYPES.values(), v.NOTE):
        for place, name in enumerate(names):
            block = v.BLOCKS[name]
            firsts[kind, place], lasts[kind, place] = block.first, block.first + block.size - 1
    return firsts, lasts


FIRSTS, LASTS = _bounds()
COUNTS = np.array([0] * v.NOTE + [len(names) for names in v.TYPES.values()])
"""The number of parameters of a type."""


@dataclass(slots=True)
class Rows:
    """K events that T ids spell.

    place: (K,) where in the ids. kind: (K,). values: (K, 7), its parameters from 0; what stands
    behind the first that is missing means nothing. length: (K,) how many ids stand in order behind
    the type: parameters, then PAD. whole: (K,) bool, all parameters are there. time: (K,) in steps.
    """

    place: np.ndarray
    kind: np.ndarray
    values: np.ndarray
    length: np.ndarray
    whole: np.ndarray
    time: np.ndarray

    def at(self, places: np.ndarray | slice) -> "Rows":
        """Return the events at these places, or where a bool array (K,) is true."""
        return Rows(*(getattr(self, field.name)[places] for field in fields(self)))

    @classmethod
    def none(cls) -> "Rows":
        """Return no events."""
        return read_rows(np.empty(0, dtype=np.int64))


def read_rows(ids: np.ndarray) -> Rows:
    """Read ids (T,) int64 in 0..V-1."""
    place = np.flatnonzero((ids >= v.NOTE) & (ids < _KINDS))
    kind = ids[place]
    padded = np.concatenate((ids, np.full(_PARAMETERS, -1)))
    following = padded[place[:, None] + np.arange(1, v.UNIT)]
    in_order = (following >= FIRSTS[kind]) & (following <= LASTS[kind])
    length = np.logical_and.accumulate(in_order, axis=1).sum(axis=1)
    values = following - FIRSTS[kind]
    # An event that lacks something else still moves time.
    beat = np.cumsum(np.where(length > 0, values[:, 0], 0))
    time = beat * v.STEPS + np.where(length > 1, values[:, 1], 0)
    return Rows(place, kind, values, length, length >= COUNTS[kind], time)


def bar_starts(ids: np.ndarray) -> np.ndarray:
    """Return the indices of `ids` (T,) at which the first event at or behind a bar line begins.

    A bar without events has none. 4/4 holds until a time signature begins a bar of its own. What is
    behind an event changes nothing about it.
    """
    rows = read_rows(ids)
    signatures = np.flatnonzero(rows.whole & (rows.kind == v.TIME_SIGNATURE))
    above, below = rows.values[signatures, 3] + 1, rows.values[signatures, 4] + 1
    length = 4 * v.STEPS * above >> below
    # Before them 4/4 from time 0; one that only repeats what holds begins nothing.
    code = np.concatenate(([4 << 8 | 2], above << 8 | below))
    new = np.flatnonzero(np.diff(code))
    starts = np.concatenate(([0], rows.time[signatures[new]]))
    lengths = np.concatenate(([4 * v.STEPS], length[new]))
    held = np.searchsorted(signatures[new], np.arange(len(rows.place)), side="right")
    since = starts[held]
    line = since + (rows.time - since) // lengths[held] * lengths[held]
    reached = np.maximum.accumulate(line)
    return rows.place[np.diff(reached, prepend=-1) > 0]


def in_force(past: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Return rows (R, 8) of ids that set at once what `past` (T,) has set for `ids`.

    The last time signature, the last tempo, and the last patch of each channel with notes in `ids`,
    but for those that `ids` set anew before the first note.
    """
    before, after = read_rows(past), read_rows(ids)
    notes = np.flatnonzero(after.whole & (after.kind == v.NOTE))
    head = slice(notes[0] if len(notes) else None)
    anew, held = _settings(after.at(head)), _settings(before)
    plays = set(after.values[notes, _CHANNEL].tolist())
    kept = [
        (kind, channel)
        for kind, channel in held
        if (kind, channel) not in anew and (kind != v.PATCH_CHANGE or channel in plays)
    ]
    rows = np.zeros((len(kept), v.UNIT), dtype=np.int64)
    # Signature, tempo, patches: the ids of these types fall.
    for row, key in zip(rows, sorted(kept, key=lambda key: (-key[0], key[1])), strict=True):
        kind, count = key[0], COUNTS[key[0]]
        row[0] = kind
        row[1 : 1 + count] = (FIRSTS[kind] + before.values[held[key]])[:count]
        row[1:3] = FIRSTS[kind, :2]
    return rows


def _settings(rows: Rows) -> dict[tuple[int, int], int]:
    """Return the last place of each signature, tempo and patch, by kind and channel."""
    kinds = (v.TIME_SIGNATURE, v.SET_TEMPO, v.PATCH_CHANGE)
    places = np.flatnonzero(rows.whole & np.isin(rows.kind, kinds))
    kind = rows.kind[places]
    channel = np.where(kind == v.PATCH_CHANGE, rows.values[places, _CHANNEL], 0)
    keys = zip(kind.tolist(), channel.tolist(), strict=True)
    return dict(zip(keys, places.tolist(), strict=True))

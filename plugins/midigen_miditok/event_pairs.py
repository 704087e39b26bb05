"""Which end belongs to which beginning: notes of MIDILike, first in, first out."""

from typing import NamedTuple

import numpy as np


class Pairs(NamedTuple):
    """P notes in the order of their ends, as indices of the beginnings and ends that were given.

    on, off: (P,). open, stray: how many beginnings and ends have no partner.
    """

    on: np.ndarray
    off: np.ndarray
    open: int
    stray: int


def pair(
    on_place: np.ndarray, on_key: np.ndarray, off_place: np.ndarray, off_key: np.ndarray
) -> Pairs:
    """Pair A beginnings and B ends, at distinct places (A,) and (B,), that have the same key.

    Each end belongs to the beginning that waits for longest. One that comes when none waits is
    stray.
    """
    key = np.concatenate((on_key, off_key))
    order = np.lexsort((np.concatenate((on_place, off_place)), key))
    key = key[order]
    is_off = order >= len(on_key)
    new = np.ones(len(key), dtype=bool)
    new[1:] = key[1:] != key[:-1]
    group = np.cumsum(new) - 1
    first = np.flatnonzero(new)

    # Beginnings less ends so far, of the same key. A stray end takes it where it never was before.
    level = _within(np.where(is_off, -1, 1), first, group)
    reach = np.int64(2 * len(key) + 2)
    lowest = np.minimum.accumulate(np.minimum(level, 0) - group * reach) + group * reach
    before = np.append(0, lowest[:-1])
    before[first] = 0
    stray = is_off & (level < before)

    off = np.flatnonzero(is_off & ~stray)
    on = np.flatnonzero(~is_off)
    # Within a key, the n-th of the ends that count belongs to the n-th beginning.
    ends = np.bincount(group[off], minlength=len(first))
    begun = np.bincount(group[on], minlength=len(first))
    number = np.arange(len(off)) - np.repeat(np.cumsum(ends) - ends, ends)
    partner = on[np.repeat(np.cumsum(begun) - begun, ends) + number]
    on_index, off_index = order[partner], order[off] - len(on_key)
    by_end = np.argsort(off_place[off_index])
    return Pairs(
        on_index[by_end],
        off_index[by_end],
        len(on_key) - len(off),
        int(np.count_nonzero(stray)),
    )


def _within(steps: np.ndarray, first: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return the running sums of `steps` that begin anew at each of `first`."""
    total = np.cumsum(steps)
    return total - (total - steps)[first][group]

"""Bars of a piece: MidiTok's clean-up of time signatures, as sections of equal bars.

All ticks here are those of the resampled piece, `tpq` a quarter. It is chosen so that a position of
the finest denominator in the piece is one tick; in a section of denominator d, a position is
``finest / d`` ticks, a power of two.
"""

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from midigen_remi.values import Signatures

if TYPE_CHECKING:
    import numpy as np

Change = tuple[int, int, int]
"""A time signature: (tick, numerator, denominator)."""


class Section(NamedTuple):
    """Bars of one time signature, from `start` to the next section."""

    start: int
    bar: int
    """The number of its first bar."""
    bar_ticks: int
    shift: int
    """log2 of the ticks a position."""
    signature: tuple[int, int]


class Meter(NamedTuple):
    """The bars of one piece."""

    tpq: int
    """Ticks a quarter after resampling; 0 where the finest position is no whole tick."""
    sections: tuple[Section, ...]
    grid: tuple[tuple[int, int], ...]
    """(end, step): where sections differ in their step, onsets are rounded to it. Else empty."""
    lossy: bool
    """True where a time signature is not in the vocabulary and was left out."""


@lru_cache(maxsize=4096)
def read_meter(
    tpq: int, changes: tuple[Change, ...], signatures: Signatures, resolution: int
) -> Meter:
    """Return the bars of a piece with `tpq` ticks a quarter and these time signatures.

    `MusicTokenizer.preprocess_score` and what it calls: signatures that the vocabulary lacks are
    dropped, 4/4 is assumed before the first, ticks are cut (not rounded) to the new scale, and a
    change inside a bar waits for the next bar.
    """
    known = [change for change in changes if change[1:] in signatures]
    lossy = len(known) < len(changes)
    if not known or known[0][0] != 0:
        known.insert(0, (0, 4, 4))
    finest = max(denominator for _, _, denominator in known)
    if resolution * finest % 4:
        return Meter(0, (), (), lossy)
    new_tpq = resolution * finest // 4
    if new_tpq != tpq:
        known = [(int(tick * (new_tpq / tpq)), n, d) for tick, n, d in known]
    sections: list[Section] = []
    bar = 0
    for tick, n, d in _delay_to_bars(known, new_tpq):
        if sections:
            bar += (tick - sections[-1].start) // sections[-1].bar_ticks
        shift = (finest // d).bit_length() - 1
        sections.append(Section(tick, bar, _bar_ticks(n, d, new_tpq), shift, (n, d)))
    return Meter(new_tpq, tuple(sections), _grid(sections), lossy)


def _bar_ticks(numerator: int, denominator: int, tpq: int) -> int:
    return tpq * 4 // denominator * numerator


def _delay_to_bars(changes: list[Change], tpq: int) -> list[Change]:
    """Drop repeated time signatures and move each to the start of a bar.

    The steps and their order are those of `MusicTokenizer._preprocess_time_signatures`: two that
    meet in one tick leave the later, which then may repeat the one before and go as well.
    """
    kept = changes[:1]
    for tick, numerator, denominator in changes[1:]:
        last = kept[-1]
        if (numerator, denominator) == last[1:]:
            continue
        bar_ticks = _bar_ticks(last[1], last[2], tpq)
        tick = last[0] + -(-(max(tick, last[0]) - last[0]) // bar_ticks) * bar_ticks
        if tick == last[0]:
            kept.pop()
        if not kept or kept[-1][1:] != (numerator, denominator):
            kept.append((tick, numerator, denominator))
    return kept


def _grid(sections: list[Section]) -> tuple[tuple[int, int], ...]:
    """Return (end, step) of each run of sections with equal steps; the last has no end (-1)."""
    if len({section.shift for section in sections}) == 1:
        return ()
    runs: list[tuple[int, int]] = []
    for section, following in zip(sections, [*sections[1:], None], strict=True):
        end = following.start if following else -1
        if runs and runs[-1][1] == 1 << section.shift:
            runs.pop()
        runs.append((end, 1 << section.shift))
    return tuple(runs)


def round_to_grid(ticks: "np.ndarray", grid: tuple[tuple[int, int], ...]) -> None:
    """Round onsets (N,) in place to the step of the section that they fall in, ties to even."""
    import numpy as np

    ends = np.array([end for end, _ in grid[:-1]])
    steps = np.array([step for _, step in grid])
    place = np.searchsorted(ends, ticks, side="right")
    start = np.concatenate(([0], ends))[place]
    step = steps[place]
    ticks[:] = start + np.rint((ticks - start) / step).astype(np.int64) * step

"""Time signatures from where bars begin, exact: read back, they give the same bars."""

from collections.abc import Iterator, Sequence

from midigen_barnote.layout import REACH, UNITS_PER_QUARTER

WHOLE = 4 * UNITS_PER_QUARTER
"""Units of a bar where nothing says otherwise: 4/4."""
_MOST = 255
"""The largest numerator that a MIDI file can hold."""

Signature = tuple[int, int, int]
"""Time in units, numerator, denominator."""


def signatures(lines: Sequence[int], end: int) -> Iterator[Signature]:
    """Yield the time signatures, the first at 0, of a piece that ends at `end`.

    lines: where bars begin, ascending, in units, without the first bar, which begins at 0. Bars of
    16 units are 4/4, of 12 are 3/4, of 14 are 7/8, of 15 are 15/16. Markers 31 units apart belong
    to the bar that the first shorter distance ends. The last bar, which no line ends, is as long as
    the one before it, or longer if the piece is.
    """
    bars = _bars(lines)
    start, length = 0, 0
    for bar in bars:
        if bar != length:
            yield start, *_signature(bar)
        start, length = start + bar, bar
    rest = end - start
    if not bars or rest > length:
        bar = max(length or WHOLE, _whole_quarters(rest))
        yield start, *_signature(bar)


def _bars(lines: Sequence[int]) -> list[int]:
    """Return the lengths of the bars that end; a row of markers at the end ends none."""
    bars: list[int] = []
    last = held = 0
    for line in lines:
        gap, last = line - last, line
        held += gap
        if gap < REACH:
            bars += [held] if _fits(held) else [REACH] * (held // REACH) + [gap]
            held = 0
    return bars


def _whole_quarters(units: int) -> int:
    """Return `units` rounded up, as far as a time signature reaches."""
    return min(-(-units // UNITS_PER_QUARTER), _MOST) * UNITS_PER_QUARTER


def _fits(units: int) -> bool:
    return _signature(units)[0] <= _MOST


def _signature(units: int) -> tuple[int, int]:
    """Return the time signature of a bar: as few beats as give its length."""
    for beat, denominator in ((4, 4), (2, 8)):
        if units % beat == 0:
            return units // beat, denominator
    return units, WHOLE

"""Where bar lines lie in a score, in ticks and in seconds."""

from typing import Any

DEFAULT_MSPQ = 500_000
"""Microseconds a quarter where a score gives no tempo (SMF 1.0: 120 quarters a minute)."""


def bar_line(score: Any, bar: int) -> int:
    """Return the tick at which bar `bar`, from 0, of a `symusic.Score` in ticks begins.

    4/4 holds until the first time signature; one inside a bar cuts that bar short.
    """
    start, length = 0, 4 * score.tpq
    for signature in sorted(score.time_signatures, key=lambda signature: signature.time):
        passed = -((start - signature.time) // length)
        if passed > bar:
            break
        bar -= max(0, passed)
        start = max(start, signature.time)
        length = max(1, 4 * score.tpq * signature.numerator // signature.denominator)
    return int(start + bar * length)


def tick_s(score: Any, tick: int) -> float:
    """Return the seconds from the beginning of a score in ticks to `tick`."""
    seconds, last, mspq = 0.0, 0, DEFAULT_MSPQ
    for tempo in sorted(score.tempos, key=lambda tempo: tempo.time):
        if tempo.time >= tick:
            break
        seconds += (tempo.time - last) * mspq / score.tpq / 1e6
        last, mspq = tempo.time, tempo.mspq
    return seconds + (tick - last) * mspq / score.tpq / 1e6


def bar_line_s(score: Any, bar: int) -> float:
    """Return the seconds from the beginning to the line of bar `bar`, from 0."""
    return tick_s(score, bar_line(score, bar))

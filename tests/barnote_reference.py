"""The published description of the 153 ids, note by note in exact fractions: an oracle in tests."""

from fractions import Fraction
from typing import Any


def units(tick: int, tpq: int) -> int:
    """Return a time in sixteenths, halves to the even one."""
    return round(Fraction(4 * tick, tpq))


def last_tick(score: Any) -> int:
    """Return the last time of anything in a score."""
    times = [
        event.time
        for name in ("tempos", "time_signatures", "key_signatures", "markers")
        for event in getattr(score, name)
    ]
    for track in score.tracks:
        times += [note.time + note.duration for note in track.notes]
        times += [event.time for event in (*track.controls, *track.pitch_bends, *track.lyrics)]
    return max(times, default=0)


def bar_lines(score: Any) -> list[int]:
    """Return where bar lines lie, in units."""
    tpq = score.ticks_per_quarter
    starts = [units(s.time, tpq) for s in score.time_signatures]
    stops = [*starts[1:], units(last_tick(score), tpq)]
    lines = []
    for signature, start, stop in zip(score.time_signatures, starts, stops, strict=True):
        place = Fraction(start)
        while place < stop:
            lines.append(round(place))
            place += Fraction(16 * signature.numerator, signature.denominator)
    return lines


def encode(score: Any) -> list[int]:
    """Return the ids of a score whose pitches are in range."""
    tpq = score.ticks_per_quarter
    events = []
    for note in (note for track in score.tracks for note in track.notes):
        start, stop = units(note.time, tpq), units(note.time + note.duration, tpq)
        while start < stop:
            events.append((start, note.pitch, min(stop - start, 32)))
            start += 32
    now, last_onset = 0, max(start for start, *_ in events)
    for line in bar_lines(score):
        while line - now > 31:
            now += 31
            events.append((now, -1, 0))
        if line > now:
            now = line
            events.append((now, -1, 0))
    while last_onset - now > 31:
        now += 31
        events.append((now, -1, 0))
    ids, base = [], 0
    for start, pitch, duration in sorted(events):
        ids.append(1 + start - base)
        if pitch < 0:
            ids.append(0)
            base = start
        else:
            ids += [33 + pitch - 21, 120 + duration]
    return ids

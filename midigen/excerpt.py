"""Some bars of a score as a score of their own, with what is in force where they begin."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from midigen.barlines import bar_line

Event = Any
"""An event of symusic: it has a `time` and can be copied."""


def excerpt(score: Any, first: int, last: int) -> Any:
    """Return bars `first` to `last` (counted from 1, both included) of a `symusic.Score` in ticks.

    A note belongs to the bar in which it begins, and ends where the excerpt does at the latest. The
    tempo, time and key signature, and of each track the controls, bend and pedal that are in force
    stand at the excerpt's start.
    """
    start, end = bar_line(score, first - 1), bar_line(score, last)
    cut = type(score)(score.ticks_per_quarter)
    cut.tempos = _in_force(score.tempos, start, end)
    cut.time_signatures = _in_force(score.time_signatures, start, end)
    cut.key_signatures = _in_force(score.key_signatures, start, end)
    cut.markers = _within(score.markers, start, end)
    cut.tracks = [_track(track, start, end) for track in score.tracks]
    return cut


def _track(track: Any, start: int, end: int) -> Any:
    cut = type(track)(track.name, track.program, track.is_drum)
    cut.notes = _notes(track.notes, start, end)
    cut.controls = _in_force(track.controls, start, end, kind=lambda control: control.number)
    cut.pitch_bends = _in_force(track.pitch_bends, start, end)
    cut.pedals = _pedals(track.pedals, start, end)
    cut.lyrics = _within(track.lyrics, start, end)
    return cut


def _notes(notes: Any, start: int, end: int) -> Any:
    columns = notes.numpy()
    chosen = (columns["time"] >= start) & (columns["time"] < end)
    time, duration = columns["time"][chosen], columns["duration"][chosen]
    return type(notes).from_numpy(
        time - np.int32(start),
        np.minimum(duration, (end - time.astype(np.int64))).astype(np.int32),
        columns["pitch"][chosen],
        columns["velocity"][chosen],
    )


def _in_force(
    events: Iterable[Event], start: int, end: int, kind: Callable[[Event], int] = lambda _: 0
) -> list[Event]:
    """Return the events of [start, end), from `start`; of each kind one that holds there is first.

    That is the last one not behind `start`; of several at one tick the last.
    """
    holding: dict[int, Event] = {}
    later = []
    for event in sorted(events, key=lambda event: event.time):
        if event.time <= start:
            holding[kind(event)] = event
        elif event.time < end:
            later.append(event)
    return _moved([*holding.values(), *later], start)


def _within(events: Iterable[Event], start: int, end: int) -> list[Event]:
    return _moved([event for event in events if start <= event.time < end], start)


def _pedals(pedals: Iterable[Event], start: int, end: int) -> list[Event]:
    """Return what of the pedals lies in [start, end), from `start`."""
    cut = []
    for pedal in pedals:
        down, up = max(pedal.time, start), min(pedal.time + pedal.duration, end)
        if down < up:
            copied = pedal.copy()
            copied.time, copied.duration = down - start, up - down
            cut.append(copied)
    return cut


def _moved(events: Sequence[Event], start: int) -> list[Event]:
    """Return copies that count from `start`; what was before it stands at 0."""
    moved = []
    for event in events:
        copied = event.copy()
        copied.time = max(0, event.time - start)
        moved.append(copied)
    return moved

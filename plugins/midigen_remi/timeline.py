"""Where the tokens of a `remi` sequence stand in time: arrays over its N tokens.

Times are read as MidiTok reads them, whatever the ids are: a Position counts from the bar it stands
in even when it lies outside, a Bar begins one bar behind the one before, and what comes before the
first Bar starts at 0.
"""

from typing import NamedTuple

import numpy as np

from midigen_remi.meaning import Meaning
from midigen_remi.order import Type

_TIMES = (Type.Bar, Type.Position, Type.Rest)


class Timeline(NamedTuple):
    """signature: (N,) place in the signatures. tick, offset: (N,) from 0 and from the bar."""

    signature: np.ndarray
    tick: np.ndarray
    offset: np.ndarray


def last_index(mask: np.ndarray) -> np.ndarray:
    """Return (N,): the last index up to each place at which `mask` is true, -1 before the first."""
    return np.maximum.accumulate(np.where(mask, np.arange(len(mask)), -1))


def signatures(meaning: Meaning, ids: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Return (N,) the signature in force at (and, for a TimeSig, behind) every token.

    The first TimeSig also holds for what comes before it, unless something sounds there.
    """
    marks = kinds == Type.TimeSig
    silent = (Type.Bar, Type.TimeSig, Type.Position, Type.Rest, Type.Tempo, Type.Program)
    silent_kinds = np.isin(kinds, (*silent, Type.Special, Type.KeySig, Type.Chord, Type.PedalOff))
    first = meaning.default_signature
    sounding = np.flatnonzero(~silent_kinds)
    places = np.flatnonzero(marks)
    if len(places) and (not len(sounding) or places[0] < sounding[0]):
        first = int(meaning.value[ids[places[0]]])
    last = last_index(marks)
    return np.where(last >= 0, meaning.value[ids[last]], first)


def timeline(
    meaning: Meaning, ids: np.ndarray, kinds: np.ndarray, signature: np.ndarray, sounds: np.ndarray
) -> Timeline:
    """Place every token in time.

    sounds: (N,) ticks that the note at a place sounds, -1 where none is. Rests begin when all notes
    have ended.
    """
    walk = _with_rests if Type.Rest in meaning.order.present else _without_rests
    starts, offsets = walk(meaning, ids, kinds, signature, sounds)
    last = last_index(np.isin(kinds, _TIMES))
    offset = np.where(last >= 0, offsets[last], 0)
    return Timeline(signature, np.where(last >= 0, starts[last], 0) + offset, offset)


def _without_rests(
    meaning: Meaning, ids: np.ndarray, kinds: np.ndarray, signature: np.ndarray, sounds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return (N,) bar starts and offsets in the bar; they mean something at Bars and Positions."""
    bars = np.flatnonzero(kinds == Type.Bar)
    lengths = np.where(bars > 0, meaning.bar[signature[bars - 1]], 0)
    # With a Position before the first Bar, that Bar is the second one.
    if len(bars) and not (kinds[: bars[0]] == Type.Position).any():
        lengths[0] = 0
    starts = np.concatenate(([0], np.cumsum(lengths)))
    positions = kinds == Type.Position
    offsets = np.where(positions, meaning.value[ids] * meaning.step[signature], 0)
    return starts[np.cumsum(kinds == Type.Bar)], offsets


def _with_rests(
    meaning: Meaning, ids: np.ndarray, kinds: np.ndarray, signature: np.ndarray, sounds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the same, token by token of those that tell time: a rest depends on all before it."""
    starts, offsets = np.zeros((2, len(ids)), dtype=np.int64)
    bar_ticks, steps = meaning.bar.tolist(), meaning.step.tolist()
    bar, start, now, silence = -1, 0, 0, 0
    section_bar, section_start, current = 0, 0, int(signature[0]) if len(ids) else 0
    places = np.flatnonzero(np.isin(kinds, (*_TIMES, Type.TimeSig, Type.Tempo)) | (sounds >= 0))
    told = zip(
        places.tolist(),
        kinds[places].tolist(),
        meaning.value[ids[places]].tolist(),
        meaning.length[signature[places], ids[places]].tolist(),
        sounds[places].tolist(),
        strict=True,
    )
    for place, kind, value, rest, sound in told:
        if kind == Type.Bar:
            bar += 1
            start = now = start + bar_ticks[current] if bar > 0 else now
        elif kind == Type.Position:
            bar = max(bar, 0)
            now = start + value * steps[current]
        elif kind == Type.Rest:
            now = max(silence, now) + rest
            reached = section_bar + (now - section_start) // bar_ticks[current]
            if reached > bar:
                bar = max(bar, 0)
                start += (reached - bar) * bar_ticks[current]
                bar = reached
        elif kind == Type.TimeSig:
            if value != current:
                section_bar, section_start, current = bar, start, value
        else:
            silence = max(silence, now + max(sound, 0))
        starts[place], offsets[place] = start, now - start
    return starts, offsets

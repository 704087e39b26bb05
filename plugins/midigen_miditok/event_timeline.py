"""Where the tokens of a sequence stand in time, and which of them begin bars: arrays over N tokens.

There are no tokens for bars. A bar line is where the time since the last TimeSig (or the beginning,
in 4/4) is a multiple of that signature's bar; a TimeSig always begins a bar and cuts short the one
that it stands in.
"""

import numpy as np
from midigen_remi.timeline import last_index

from midigen_miditok.event_meaning import Meaning
from midigen_miditok.event_order import Type


def signatures(meaning: Meaning, ids: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Return (N,) the signature in force at (and, for a TimeSig, behind) every token."""
    if Type.TimeSig not in meaning.order.present:
        return np.zeros(len(ids), dtype=np.int64)
    last = last_index(kinds == Type.TimeSig)
    return np.where(last >= 0, meaning.value[ids[last]], meaning.default_signature)


def is_steady(meaning: Meaning) -> bool:
    """Return whether time moves by as much as its tokens say, whatever sounds."""
    return Type.Rest not in meaning.order.present or meaning.order.kind == "MIDILike"


def moves(meaning: Meaning, ids: np.ndarray, signature: np.ndarray) -> np.ndarray:
    """Return (N,) the ticks that each token says time moves by."""
    found: np.ndarray = meaning.length[signature, ids] * meaning.is_time[ids]
    return found


def ticks(
    meaning: Meaning, ids: np.ndarray, kinds: np.ndarray, signature: np.ndarray, sounds: np.ndarray
) -> np.ndarray:
    """Return (N,) the tick that each token leads to: where it stands, but for those of time.

    sounds: (N,) ticks that the note at a place sounds, -1 where none is. In TSD a Rest begins when
    all notes have ended.
    """
    move = moves(meaning, ids, signature)
    if is_steady(meaning):
        return np.cumsum(move)
    # A rest depends on all before it, so this goes token by token of those that tell time.
    now, silence, reached = 0, 0, np.zeros(len(ids), dtype=np.int64)
    places = np.flatnonzero((move > 0) | (sounds >= 0))
    told = zip(
        places.tolist(),
        (kinds[places] == Type.Rest).tolist(),
        move[places].tolist(),
        sounds[places].tolist(),
        strict=True,
    )
    for place, is_rest, far, sound in told:
        now = (max(silence, now) if is_rest else now) + far
        silence = max(silence, now + max(sound, 0))
        reached[place] = now
    return np.maximum.accumulate(reached)


def bar_starts(
    meaning: Meaning, ids: np.ndarray, signature: np.ndarray, tick: np.ndarray
) -> np.ndarray:
    """Return the indices of the tokens that begin a bar, ascending: 0, and shifts of time.

    A bar begins with the TimeShifts and Rests that lead to or over its line, so that they stay with
    what they lead to. Bars in which nothing stands, because time passes over them, have no token.
    tick: as `ticks` gives it.
    """
    is_time = meaning.is_time[ids]
    # G groups of tokens: shifts of time, if any, and all that stands where they lead to.
    first = np.concatenate(([0], np.flatnonzero(is_time[1:] > is_time[:-1]) + 1))
    last = np.append(first[1:], len(ids)) - 1
    mark = np.full(len(first), -1)
    if Type.TimeSig in meaning.order.present:
        mark = last_index(meaning.types[ids] == Type.TimeSig)[last]
    start = np.where(mark >= 0, tick[mark], 0)
    bar = (tick[last] - start) // meaning.bar[signature[last]]
    # Where each group stands in the bars of the signature that was in force before.
    old = np.maximum(np.arange(len(first)) - 1, 0)
    reached, offset = np.divmod(tick[last] - start[old], meaning.bar[signature[last[old]]])
    new = (reached > bar[old]) | ((mark != mark[old]) & (offset > 0))
    new[0] = True
    return first[new]

"""Where the tokens of a sequence stand in time, and which of them begin bars: arrays over N tokens.

There are no tokens for bars. A bar line is where the time since the last TimeSig (or the beginning,
in 4/4) is a multiple of that signature's bar; a TimeSig always begins a bar and cuts short the one
that it stands in.
"""

import numpy as np
from midigen_remi.timeline import last_index

from midigen_miditok.event_meaning import Meaning
from midigen_miditok.event_order import TIMES, Type


def signatures(meaning: Meaning, ids: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Return (N,) the signature in force at (and, for a TimeSig, behind) every token."""
    last = last_index(kinds == Type.TimeSig)
    return np.where(last >= 0, meaning.value[ids[last]], meaning.default_signature)


def ticks(
    meaning: Meaning, ids: np.ndarray, kinds: np.ndarray, signature: np.ndarray, sounds: np.ndarray
) -> np.ndarray:
    """Return (N,) the tick that each token leads to: where it stands, but for those of time.

    sounds: (N,) ticks that the note at a place sounds, -1 where none is. In TSD a Rest begins when
    all notes have ended.
    """
    moves = np.where(np.isin(kinds, TIMES), meaning.length[signature, ids], 0)
    if Type.Rest not in meaning.order.present or meaning.order.kind == "MIDILike":
        return np.cumsum(moves)
    # A rest depends on all before it, so this goes token by token of those that tell time.
    now, silence, reached = 0, 0, np.zeros(len(ids), dtype=np.int64)
    places = np.flatnonzero((moves > 0) | (sounds >= 0))
    told = zip(
        places.tolist(),
        (kinds[places] == Type.Rest).tolist(),
        moves[places].tolist(),
        sounds[places].tolist(),
        strict=True,
    )
    for place, is_rest, move, sound in told:
        now = (max(silence, now) if is_rest else now) + move
        silence = max(silence, now + max(sound, 0))
        reached[place] = now
    return np.maximum.accumulate(reached)


def bar_starts(
    meaning: Meaning, kinds: np.ndarray, signature: np.ndarray, tick: np.ndarray
) -> np.ndarray:
    """Return the indices of the tokens that are the first to stand behind a bar line, ascending.

    tick: as `ticks` gives it. The first token is one. Bars in which nothing stands, because one
    TimeShift passes over them, have none.
    """
    stands = np.concatenate(([0], tick[:-1]))
    marks = kinds == Type.TimeSig
    last = last_index(marks)
    start = np.where(last >= 0, stands[last], 0)
    bar, offset = np.divmod(stands - start, meaning.bar[signature])
    begins = np.ones(len(kinds), dtype=bool)
    begins[1:] = (bar[1:] != bar[:-1]) | marks[1:]
    # A signature at a bar line that another token stands at already begins no second bar there.
    again = np.flatnonzero(marks[1:] & (stands[1:] == stands[:-1])) + 1
    begins[again[offset[again - 1] == 0]] = False
    return np.flatnonzero(begins)

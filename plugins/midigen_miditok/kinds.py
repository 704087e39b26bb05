"""MidiTok's tokenizer classes: the parameters that each takes, sets or adds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from midigen_remi.config import CODECS

_ALL = tuple(CODECS)
_NOTES = ("res", "velocities", "durations", "notelen", "pitch", "drums", "drumpitch")
_TEMPOS = ("tempos", "temporange", "logtempos")
_CHORDS = ("chords", "chordroot", "chordunknown")
_SPEED = (*_TEMPOS, "mergetempos", "ts")


@dataclass(frozen=True)
class Kind:
    """A class of MidiTok's.

    keys: the parameters of `midigen_remi.config` that it takes. fixed: those with another value
    than `remi`'s default: a new default if the key is in `keys`, else the class knows no other.
    own: the parameters that it alone has. compound: its tokens are events of several ids.
    """

    keys: tuple[str, ...]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    own: tuple[str, ...] = ()
    compound: bool = False


def _without(*keys: str) -> tuple[str, ...]:
    return tuple(key for key in _ALL if key not in keys)


KINDS: dict[str, Kind] = {
    "TSD": Kind(_ALL),
    "MIDILike": Kind(_ALL),
    "Structured": Kind((*_NOTES, "programs", "only", "stream", "dedupe"), {"tempos": 0, "ts": ()}),
    "CPWord": Kind(
        (*_NOTES, *_SPEED, "programs", "only", "stream", "rests", "dedupe", *_CHORDS),
        compound=True,
    ),
    "Octuple": Kind(
        (*_NOTES, *_TEMPOS, "ts", "programs", "only", "stream", "dedupe"),
        # MidiTok advises against signatures here: where one changes in an empty bar, time shifts.
        {"mergetempos": True, "ts": ()},
        ("bars",),
        compound=True,
    ),
    "MuMIDI": Kind(
        (
            *(key for key in _NOTES if key != "drums"),
            *_TEMPOS,
            "mergetempos",
            "only",
            "dedupe",
            *_CHORDS,
        ),
        {"ts": ()},
        ("bars",),
        compound=True,
    ),
    "MMM": Kind(
        _without("programs", "stream", "changes", "controls", "controlbins"),
        {"stream": "tracks", "changes": True},
        ("base",),
    ),
    "PerTok": Kind(
        _without("rests", "pedals", "intervals", "intervaldist"),
        # MidiTok takes 6/8 for twelve quarters here, and loses time where signatures change.
        {"res": ((12, 4), (4, 3)), "ts": ()},
        ("tpq", "microtimings", "microrange", "positions"),
    ),
    "BEAT": Kind(
        ("velocities", "pitch", "drums", "drumpitch", *_SPEED, "only", "dedupe", "keys"),
        {"res": ((1, 4),)},
    ),
    # Only from a tokenizer.json: `remi` is the plugin for it.
    "REMI": Kind(_ALL),
}

ALL_OR_NONE = ("CPWord", "Octuple", "MuMIDI")
"""Where `durations` is all or none: MidiTok has no way to say it of some programs."""

"""Configurations of `remi` to test, each beside the REMI that MidiTok makes of it."""

import warnings
from functools import cache
from typing import Any

from midigen_remi import Remi

from midigen.spec import parse_params

COVERED = [
    "",
    "ts=miditok,tempos=0,programs=0",
    "res=12",
    "res=1x1",
    "res=7",
    "res=2x4+2x3",
    "res=4x12+8x8",
    "velocities=16",
    "velocities=0",
    "velocities=1",
    "tempos=2",
    "tempos=1000,temporange=5-1000",
    "tempos=100,logtempos=1,temporange=30-300",
    "mergetempos=1",
    "mergetempos=1,tempos=3,temporange=100-140",
    "rests=1",
    "rests=2x2,res=4x4+4x2",
    "rests=1,stream=tracks",
    "rests=1,ts=0",
    "rests=1,changes=1,tempos=0",
    "pitch=48-72",
    "drums=0",
    "drums=0,pitch=30-50",
    "drumpitch=35-40",
    "changes=1",
    "changes=1,stream=tracks",
    "stream=tracks",
    "programs=0",
    "only=0-3+drums",
    "only=5,rests=1",
    "ts=0",
    "ts=0,tempos=0",
    "ts=4/4+3/4",
    "ts=2/2+4/4+1/1+3/32",
    "dedupe=1",
    "dedupe=1,rests=1",
    "dedupe=1,stream=tracks,velocities=0",
    "durations=none",
    "durations=none,velocities=0",
]
"""Parameters of what the array code encodes itself ..."""

LEFT_TO_MIDITOK = [
    "chords=1",
    "chords=1,chordroot=1,chordunknown=1",
    "pedals=1",
    "pedals=duration,stream=tracks",
    "programs=0,pedals=1",
    "bends=32",
    "keys=1",
    "controls=all",
    "controls=1+7+64-65,controlbins=16",
    "intervals=16",
    "intervals=5,intervaldist=2,programs=0",
    "durations=0-7+drums",
    "dedupe=1,durations=none",
]
"""... and of what it leaves to MidiTok."""


@cache
def pair(params: str) -> tuple[Remi, Any]:
    """Return our tokenizer of these parameters and the REMI that MidiTok makes of them."""
    from miditok import REMI, TokenizerConfig

    ours = Remi(**parse_params(params))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        theirs = REMI(TokenizerConfig(**ours.config.miditok_arguments()))
    return ours, theirs

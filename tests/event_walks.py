"""Tokenizers of TSD, MIDILike and Structured to test, and what MidiTok makes of the same ids."""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from remi_walks import content
from symusic import Score

from midigen.errors import Reject
from midigen.spec import parse_params

_TSD = (
    "",
    "ts=miditok,tempos=0,programs=0",
    "res=12",
    "res=1x1",
    "res=2x4+2x3",
    "res=2x4+2x8",
    "velocities=16",
    "velocities=0",
    "tempos=2",
    "mergetempos=1",
    "rests=1",
    "rests=2x2,res=4x4+4x2",
    "rests=1,stream=tracks",
    "rests=1,ts=0",
    "rests=1,changes=1,tempos=0",
    "pitch=48-72",
    "drums=0",
    "drumpitch=35-40",
    "changes=1",
    "changes=1,stream=tracks",
    "stream=tracks",
    "programs=0",
    "programs=0,drums=0",
    "only=0-3+drums",
    "ts=0",
    "ts=0,tempos=0",
    "ts=2/2+4/4+1/1+3/32",
    "dedupe=1",
    "dedupe=1,rests=1,stream=tracks",
    "durations=none",
    "durations=none,velocities=0,changes=1",
)
_STRUCTURED = (
    "",
    "res=12",
    "res=1x1",
    "res=2x4+2x8",
    "velocities=0",
    "pitch=48-72",
    "drums=0",
    "stream=tracks",
    "programs=0",
    "only=0-3+drums",
    "dedupe=1",
    "durations=none",
)


def _of(kind: str, params: Sequence[str]) -> list[str]:
    return [f"class={kind}{',' * bool(found)}{found}" for found in params]


ARRAYS = [*_of("TSD", _TSD), *_of("MIDILike", _TSD), *_of("Structured", _STRUCTURED)]
"""Parameters of what the array code encodes and decodes itself ..."""

_OTHERS = (
    "chords=1",
    "pedals=1",
    "pedals=duration,durations=none,programs=0",
    "bends=32,changes=1",
    "keys=1,rests=1",
    "controls=1+7+10",
    "intervals=16",
    "intervals=5,intervaldist=2,programs=0",
    "durations=0-63",
    "durations=0-63,programs=0",
)
LEFT_TO_MIDITOK = [*_of("TSD", _OTHERS), *_of("MIDILike", _OTHERS), "class=Structured,durations=5"]
"""... and of what it leaves to MidiTok."""


@cache
def tokenizer(params: str) -> Any:
    """Return our tokenizer of these parameters."""
    from midigen_miditok import MidiTok

    return MidiTok(**parse_params(params))


@cache
def grammar(params: str) -> Any:
    return tokenizer(params).grammar()


def encoded(
    params: str, paths: Sequence[Path]
) -> Iterator[tuple[Path, list[Any], list[int] | None]]:
    """Yield the parts and programs of the files that have a note in the vocabulary."""
    for path in paths:
        try:
            found = tokenizer(params).encode(Score(path))
        except Reject as reject:
            assert reject.reason == "no_notes"
        else:
            yield path, found.parts, found.programs


@cache
def miditok(params: str) -> Any:
    """Return the tokenizer that MidiTok makes of the same parameters."""
    import miditok

    config = tokenizer(params).config
    return getattr(miditok, config.kind)(miditok.TokenizerConfig(**config.miditok_arguments()))


@cache
def _decoder(params: str) -> Any:
    """Return the same with the whole range of pitches: else it drops drums that it has encoded."""
    import miditok

    config = tokenizer(params).config
    arguments = config.miditok_arguments()
    made = getattr(miditok, config.kind)(miditok.TokenizerConfig(**arguments))
    made.config.pitch_range = (0, 127)
    return made


def miditok_content(
    params: str, parts: Sequence[Any], programs: Sequence[int] | None = None
) -> dict[str, Any]:
    """Return what MidiTok's `decode` makes of the parts, as plain values."""
    from miditok import TokSequence

    sequences = [TokSequence(ids=[int(i) for i in part]) for part in parts]
    if tokenizer(params).config.one_stream:
        return content(_decoder(params).decode(sequences[0]))
    known = programs and [(max(p, 0), p == -1) for p in programs]
    return content(_decoder(params).decode(sequences, programs=known))

"""Walks through `remi` grammars, and what MidiTok makes of the same ids, for tests and checks."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import cache
from typing import Any

import numpy as np

from midigen.spec import parse_params

ARRAYS = (
    "",
    "programs=0,tempos=0,ts=miditok",
    "res=12",
    "velocities=16",
    "velocities=0",
    "rests=1",
    "pitch=48-72",
    "drums=0",
    "changes=1",
    "stream=tracks",
    "stream=tracks,changes=1",
    "durations=none",
    "durations=0-127",
    "programs=0",
    "rests=1,programs=0,tempos=0,ts=0",
)
"""Configurations that the array decoder covers."""
MIDITOK = (
    "chords=1",
    "chordroot=1,chords=1,programs=0",
    "pedals=1",
    "durations=none,pedals=duration,programs=0",
    "bends=32,changes=1",
    "keys=1,rests=1",
    "controls=1+7+10",
    "intervals=16",
    "bends=32,changes=1,chords=1,controls=7,intervals=12,keys=1,pedals=1,rests=1,stream=tracks",
)
"""Configurations that MidiTok decodes."""


@cache
def remi(spec: str) -> Any:
    """Return our tokenizer of ``remi:spec``."""
    from midigen_remi import Remi

    return Remi(**parse_params(spec))


@cache
def grammar(spec: str) -> Any:
    return remi(spec).grammar()


@cache
def miditok(spec: str) -> Any:
    """Return MidiTok's REMI of the same configuration."""
    from miditok import REMI, TokenizerConfig

    return REMI(TokenizerConfig(**remi(spec).config.miditok_arguments()))


@cache
def miditok_decoder(spec: str) -> Any:
    """Return the same with the whole range of pitches.

    With the configuration's range it drops drum notes that it has encoded.
    """
    made = deepcopy(miditok(spec))
    made.config.pitch_range = (0, 127)
    return made


def sampled(
    grammar: Any,
    rng: np.random.Generator,
    length: int,
    expand: Callable[[int], Sequence[int]] = lambda id: (id,),
) -> list[int]:
    """Return at least `length` base ids, drawn with random logits, and the way to a valid end."""
    state, ids = grammar.start(), list[int]()
    while len(ids) < length:
        allowed = np.flatnonzero(grammar.mask(state))
        id = int(allowed[rng.gumbel(size=len(allowed)).argmax()])
        ids += expand(id)
        state = grammar.step(state, id)
    return ids + grammar.closing(state)


def accepts(grammar: Any, ids: Sequence[int]) -> bool:
    """Return whether the grammar takes every id, and an end behind the last."""
    state = grammar.start()
    for id in ids:
        if not grammar.mask(state)[id]:
            return False
        state = grammar.step(state, id)
    return bool(grammar.accepting(state))


def spoiled(ids: Sequence[int], size: int, rng: np.random.Generator) -> list[int]:
    """Return `ids` with one of them left out, changed or added, or without the rest behind one."""
    place, other = int(rng.integers(len(ids))), int(rng.integers(size))
    end = min(len(ids), place + 30)
    head, tail = list(ids[:place]), list(ids[place + 1 : end])
    return [head + tail, [*head, other, *tail], [*head, other, ids[place], *tail], head][
        rng.integers(4)
    ]


def content(score: Any) -> dict[str, Any]:
    """Return what a score holds, as plain values: notes in their order, by track."""
    tracks = []
    for track in score.tracks:
        columns = track.notes.numpy()
        notes = zip(
            *(columns[name].tolist() for name in ("time", "duration", "pitch", "velocity")),
            strict=True,
        )
        tracks.append((-1 if track.is_drum else track.program, list(notes)))
    return {
        "tpq": score.ticks_per_quarter,
        "tracks": tracks,
        "tempos": [(tempo.time, tempo.mspq) for tempo in score.tempos],
        "signatures": [(s.time, s.numerator, s.denominator) for s in score.time_signatures],
    }


def miditok_content(
    spec: str, parts: Sequence[Sequence[int]], programs: Sequence[int] | None = None
) -> dict[str, Any]:
    """Return what MidiTok's `decode` makes of the parts."""
    from miditok import TokSequence

    sequences = [TokSequence(ids=[int(i) for i in part]) for part in parts]
    if remi(spec).config.one_stream:
        return content(miditok_decoder(spec).decode(sequences[0]))
    known = programs and [(max(p, 0), p == -1) for p in programs]
    return content(miditok_decoder(spec).decode(sequences, programs=known))

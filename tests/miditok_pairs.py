"""Tokenizers of `miditok` and what MidiTok has for the same, described once more on their own."""

import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from remi_walks import content

from midigen.spec import parse_params

SONG = {
    "use_programs": True,
    "use_tempos": True,
    "use_time_signatures": True,
    "one_token_stream_for_programs": True,
    "time_signature_range": {
        2: [1, 2, 3, 4],
        4: [1, 2, 3, 4, 5, 6, 7, 8, 9],
        8: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15],
        16: [3, 4, 6, 7, 9, 12],
    },
}
UNSIGNED = SONG | {"use_time_signatures": False}
BARS = UNSIGNED | {"max_bar_embedding": 256}
TRACKS = {"one_token_stream_for_programs": False}
NO_PROGRAMS = {"use_programs": False}
BARE = {"use_velocities": False, "use_note_duration_programs": []}
GRIDS = UNSIGNED | {
    "beat_res": {(0, 12): 4, (0, 4): 3},
    "ticks_per_quarter": 320,
    "use_microtiming": True,
    "num_microtiming_bins": 30,
    "max_microtiming_shift": 0.125,
}
ALL_ELSE = {
    "use_chords": True,
    "use_key_signatures": True,
    "use_pitch_bends": True,
    "pitch_bend_range": (-8192, 8191, 32),
    "use_control_changes": True,
    "control_change_numbers": [7, 10],
}

CONFIGS: dict[str, dict[str, Any]] = {
    "rests=1": SONG | {"use_rests": True},
    "class=MIDILike": SONG,
    "class=Structured": UNSIGNED | {"use_tempos": False},
    "class=CPWord": SONG,
    "class=CPWord,rests=1,ts=0": UNSIGNED | {"use_rests": True},
    "chords=1,class=CPWord,programs=0": SONG | {"use_chords": True} | NO_PROGRAMS,
    "class=CPWord,durations=none,stream=tracks,tempos=0,velocities=0": SONG
    | {"use_tempos": False}
    | TRACKS
    | BARE,
    "class=CPWord,drums=0,res=12x12,rests=1,ts=0": UNSIGNED
    | {"use_pitchdrum_tokens": False, "beat_res": {(0, 12): 12}, "use_rests": True},
    "class=Octuple": BARS,
    "class=Octuple,ts=default": SONG | {"max_bar_embedding": 256},
    "bars=60,class=Octuple,programs=0": BARS | {"max_bar_embedding": 60} | NO_PROGRAMS,
    "class=Octuple,durations=none,stream=tracks,tempos=0,velocities=0": BARS
    | {"use_tempos": False}
    | TRACKS
    | BARE,
    "class=MuMIDI": BARS,
    "chords=1,class=MuMIDI,tempos=0,velocities=0": BARS
    | {"use_chords": True, "use_tempos": False, "use_velocities": False},
    "class=MMM": SONG | {"base_tokenizer": "REMI"},
    "base=TSD,class=MMM": SONG | {"base_tokenizer": "TSD"},
    "base=MIDILike,class=MMM": SONG | {"base_tokenizer": "MIDILike"},
    "class=MMM,intervals=16,pedals=1,rests=1": SONG
    | {
        "base_tokenizer": "REMI",
        "use_pitch_intervals": True,
        "use_sustain_pedals": True,
        "use_rests": True,
    },
    "class=BEAT": SONG,
    "class=BEAT,drums=0,keys=1,tempos=0,velocities=0": SONG
    | {"use_pitchdrum_tokens": False, "use_key_signatures": True}
    | {"use_tempos": False, "use_velocities": False},
    "class=PerTok": GRIDS,
    "class=PerTok,microtimings=0,positions=1,programs=0": GRIDS
    | {"use_microtiming": False, "use_position_toks": True}
    | NO_PROGRAMS,
    "changes=1,class=PerTok,ts=default": GRIDS
    | {"program_changes": True, "use_time_signatures": True},
    "bends=32,chords=1,class=PerTok,controls=7+10,keys=1": GRIDS | ALL_ELSE,
    "class=PerTok,durations=0-60,stream=tracks,velocities=0": GRIDS
    | {"use_velocities": False, "use_note_duration_programs": list(range(61))}
    | TRACKS,
}
"""Parameters of a spec, and arguments of MidiTok's `TokenizerConfig`."""


def kind_of(params: str) -> str:
    """Return MidiTok's class."""
    return parse_params(params).get("class", "TSD")


@cache
def ours(params: str) -> Any:
    """Return our tokenizer of ``miditok:params``."""
    from midigen_miditok import MidiTok

    return MidiTok(**parse_params(params))


@cache
def grammar(params: str) -> Any:
    return ours(params).grammar()


@cache
def theirs(params: str) -> Any:
    """Return MidiTok's tokenizer of the same configuration."""
    import miditok

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        arguments = miditok.TokenizerConfig(**CONFIGS[params])
        return getattr(miditok, kind_of(params))(arguments)


def their_tokens(params: str, score: Any) -> list[list[str]]:
    """Return the tokens of each sequence that MidiTok makes of a score, in one line each."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = theirs(params).encode(score.copy())
    width = ours(params).unit
    lines = []
    for sequence in found if isinstance(found, list) else [found]:
        if width == 1:
            lines.append(sequence.tokens)
            continue
        # Events that MidiTok leaves short are filled up with PAD.
        events = [
            [*map(str, event)] + ["PAD_None"] * (width - len(event)) for event in sequence.tokens
        ]
        lines.append([f"{k}.{token}" for event in events for k, token in enumerate(event)])
    return lines


def our_tokens(params: str, parts: Sequence[np.ndarray]) -> list[list[str]]:
    tokens = ours(params).vocab.tokens
    return [[tokens[i] for i in part] for part in parts]


def their_content(
    params: str, parts: Sequence[np.ndarray], programs: Sequence[int] | None
) -> dict[str, Any]:
    """Return what MidiTok's `decode` makes of parts.

    With the whole range of pitches: with the configuration's it drops drum notes that it has
    encoded. Repeated entries of tempo and signature are left out.
    """
    from miditok import TokSequence

    tokenizer = theirs(params)
    sequences = [TokSequence(tokens=_nested(params, part)) for part in parts]
    decoders = [tokenizer, getattr(tokenizer, "base_tokenizer", tokenizer)]
    ranges = [decoder.config.pitch_range for decoder in decoders]
    for sequence in sequences:
        tokenizer.complete_sequence(sequence)
    try:
        for decoder in decoders:
            decoder.config.pitch_range = (0, 127)
        if ours(params).config.one_stream:
            found = content(tokenizer.decode(sequences[0]))
        else:
            known = programs and [(max(p, 0), p == -1) for p in programs]
            found = content(tokenizer.decode(sequences, programs=known))
    finally:
        for decoder, pitch_range in zip(decoders, ranges, strict=True):
            decoder.config.pitch_range = pitch_range
    return without_repeats(found)


def _nested(params: str, part: np.ndarray) -> list[Any]:
    """Return a part's tokens as MidiTok has them: lists where tokens are events."""
    width, (tokens,) = ours(params).unit, our_tokens(params, [part])
    if width == 1:
        return tokens
    plain = [token.partition(".")[2] for token in tokens]
    events = [plain[i : i + width] for i in range(0, len(plain), width)]
    return [[token for token in event if token != "PAD_None"] for event in events]


def without_repeats(found: dict[str, Any]) -> dict[str, Any]:
    """Return a score's content without tempos and signatures that repeat the one before."""
    changes = {name: _changes(found[name]) for name in ("tempos", "signatures")}
    # MidiTok's BEAT has tracks of programs that are named and do not sound.
    return found | changes | {"tracks": [track for track in found["tracks"] if track[1]]}


def _changes(entries: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    return [entry for i, entry in enumerate(entries) if i == 0 or entry[1:] != entries[i - 1][1:]]

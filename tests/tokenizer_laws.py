"""What tests and checks of all tokenizers share: specs, material, what a value comes down to."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from midigen_miditok.config import CLASSES
from remi_walks import accepts, sampled
from symusic import Score
from tune_reader import read_tune

from midigen import registry
from midigen.batches import encode_many
from midigen.constrain import Lifted
from midigen.errors import Reject
from midigen.merges import breaks_of, learn
from midigen.modelvocab import ModelVocab
from midigen.protocols import Encoded

HERE = Path(__file__).parent
MORE = (
    "remi:programs=0,tempos=0,ts=0",
    "remi:stream=tracks",
    "remi:bends=32,chords=1,keys=1,pedals=1",
    "remi:pedal=extend",
    "miditok:class=TSD,programs=0",
    "miditok:class=MIDILike,programs=0",
    "miditok:class=MMM,base=TSD",
    "barnote:outside=fold,short=keep",
    "events:optimise=0",
    "pitch:chords=top",
)
"""Specs beside the plain names of all installed tokenizers and the classes of MidiTok."""
OF_MIDITOK = tuple(f"miditok:class={name}" for name in CLASSES[1:])
SPECS = (*registry.installed("tokenizers"), *OF_MIDITOK, *MORE)
MERGES = 300


@cache
def tokenizer(spec: str) -> Any:
    return registry.tokenizer(spec)


@cache
def grammar(spec: str) -> Any:
    return tokenizer(spec).grammar()


def is_music(spec: str) -> bool:
    return bool(tokenizer(spec).medium == "score")


@cache
def tunes() -> tuple[bytes, ...]:
    """Return the tunes of ``tests/tunes`` as MIDI files."""
    return tuple(read_tune(path) for path in sorted((HERE / "tunes").glob("*.abc")))


def inputs(spec: str) -> list[Any]:
    """Return what a tokenizer reads: the tunes as scores, or the text that they are written in."""
    if is_music(spec):
        return [Score.from_midi(data) for data in tunes()]
    return [path.read_bytes() for path in sorted((HERE / "tunes").glob("*.abc"))]


@cache
def encoded(spec: str) -> tuple[Encoded, ...]:
    """Return the `inputs` encoded. Of the tunes one has drums alone, which not every one reads."""
    found = encode_many(tokenizer(spec), inputs(spec))
    refused = [result for result in found if isinstance(result, Reject)]
    if len(refused) > 1 or any(reject.reason != "no_notes" for reject in refused):
        raise refused[0]
    return tuple(result for result in found if isinstance(result, Encoded))


@cache
def parts(spec: str) -> tuple[np.ndarray, ...]:
    """Return every sequence of `encoded`."""
    return tuple(ids.astype(np.int64) for found in encoded(spec) for ids in found.parts)


@cache
def merged_vocab(spec: str) -> ModelVocab:
    """Return the vocabulary of a model with merges learned from the tunes."""
    tok = tokenizer(spec)
    breaks = breaks_of(tok)
    merges = learn([(ids, breaks(ids)) for ids in parts(spec)], len(tok.vocab), MERGES)
    name = f"{tok.spec}#{tok.vocab.fingerprint}"
    return ModelVocab(tok.vocab, name, merges=merges, bar_starts=breaks)


def walks(spec: str, lengths: Sequence[int], seed: int, *, merges: bool) -> Iterator[list[int]]:
    """Yield base ids of at least these lengths, drawn at random under the grammar."""
    rng = np.random.default_rng(seed)
    lifted: Any = grammar(spec)
    expand: Callable[[int], Sequence[int]] = lambda id: (id,)  # noqa: E731
    if merges:
        vocab = merged_vocab(spec)
        lifted, expand = Lifted(grammar(spec), vocab.expansions), vocab.expansion
    for length in lengths:
        yield sampled(lifted, rng, length, expand)


def size(value: Any) -> int:
    """Return how many notes a score has, or bytes a text."""
    return len(value) if isinstance(value, bytes) else int(value.note_num())


def essence(value: Any) -> Any:
    """Return what a score holds, as plain values in an order of their own; a text is itself."""
    if isinstance(value, bytes):
        return value
    tracks = []
    for track in value.tracks:
        columns = track.notes.numpy()
        notes = zip(
            *(columns[name].tolist() for name in ("time", "pitch", "duration", "velocity")),
            strict=True,
        )
        controls = sorted((c.time, c.number, c.value) for c in track.controls)
        pedals = sorted((p.time, p.duration) for p in track.pedals)
        bends = sorted((b.time, b.value) for b in track.pitch_bends)
        program = -1 if track.is_drum else track.program
        if track.note_num() or controls or pedals or bends:
            tracks.append((program, sorted(notes), controls, pedals, bends))
    return {
        "tpq": value.ticks_per_quarter,
        "tracks": sorted(tracks),
        "tempos": [(tempo.time, tempo.mspq) for tempo in value.tempos],
        "signatures": [(s.time, s.numerator, s.denominator) for s in value.time_signatures],
        "keys": [(k.time, k.key, k.tonality) for k in value.key_signatures],
    }


def refusal(spec: str, ids: Sequence[int]) -> str:
    """Say where the grammar refuses ids; empty if it accepts them."""
    rules, tokens = grammar(spec), tokenizer(spec).vocab.tokens
    if accepts(rules, ids):
        return ""
    state = rules.start()
    for place, id in enumerate(ids):
        if not rules.mask(state)[id]:
            near = " ".join(tokens[i] for i in ids[max(0, place - 8) : place + 2])
            return f"id {place} of {len(ids)}, state {state}: {near}"
        state = rules.step(state, id)
    return f"no end: {state}"

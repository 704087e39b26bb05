"""Notes a second of every tokenizer, and of MidiTok's class beside it, on the same MIDI files.

One process; each side reads the files, encodes them and writes the ids as JSON. The sides take
turns chunk by chunk, so that what else runs on the machine hits all. Prints one line of JSON;
seconds are CPU seconds of this process, the median of the rounds. What MidiTok has itself must have
as many tokens on both sides.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

CHUNK = 48


class Line(NamedTuple):
    """A tokenizer's spec, the class of MidiTok's beside it, and how often faster it should be.

    same: whether the tokens are those of that class.
    """

    spec: str
    peer: str = ""
    least: int = 0
    same: bool = False


LINES = (
    Line("remi", "REMI", 25, same=True),
    Line("miditok:class=TSD", "TSD", 25, same=True),
    Line("miditok:class=MIDILike", "MIDILike", 25, same=True),
    Line("miditok:class=Structured", "Structured", 25, same=True),
    Line("events", "REMI", 20),
    Line("barnote", "REMI", 20),
    Line("pitch"),
)

Encode = Callable[[Sequence[Path]], list[list[Any]]]
"""Files to the ids of each: one array or list a sequence, none of a file that is rejected."""


def lines() -> list[Line]:
    """Return those of LINES that are installed, and a line for every other tokenizer of scores."""
    from midigen import registry
    from midigen.spec import parse_spec

    names = registry.installed("tokenizers")
    found = [line for line in LINES if parse_spec(line.spec).name in names]
    known = {parse_spec(line.spec).name for line in found}
    others = [name for name in names if name not in known]
    return found + [Line(n) for n in others if registry.tokenizer(n).medium == "score"]


def ours(spec: str) -> Encode:
    from symusic import Score

    from midigen import registry
    from midigen.errors import Reject
    from midigen.protocols import BatchTokenizer, MidiTokenizer

    tokenizer = registry.tokenizer(spec)

    def one_by_one(scores: Sequence[Any]) -> Iterator[Any]:
        for score in scores:
            try:
                yield tokenizer.encode(score)
            except Reject as reject:
                yield reject

    def encode(paths: Sequence[Path]) -> list[list[Any]]:
        if isinstance(tokenizer, MidiTokenizer):
            results: Any = tokenizer.encode_midi_many([path.read_bytes() for path in paths])
        else:
            scores = [Score(path) for path in paths]
            many = isinstance(tokenizer, BatchTokenizer)
            results = tokenizer.encode_many(scores) if many else one_by_one(scores)
        return [[] if isinstance(found, Reject) else found.parts for found in results]

    return encode


def miditok(kind: str) -> Encode:
    """Return MidiTok's class, told what our tokenizer of the same name is told by default."""
    import miditok
    from midigen_miditok.config import read_config
    from midigen_remi.config import RemiConfig
    from symusic import Score

    config: Any = RemiConfig() if kind == "REMI" else read_config({"class": kind})
    tokenizer = getattr(miditok, kind)(miditok.TokenizerConfig(**config.miditok_arguments()))
    return lambda paths: [[tokenizer.encode(score).ids] for score in map(Score, paths)]


def run(encode: Encode, paths: Sequence[Path]) -> tuple[float, int]:
    """Return the CPU seconds that files take, and their tokens."""
    import orjson

    start = time.process_time()
    tokens = 0
    for parts in encode(paths):
        for ids in parts:
            orjson.dumps(ids, option=orjson.OPT_SERIALIZE_NUMPY)
            tokens += len(ids)
    return time.process_time() - start, tokens


def accepted(paths: Sequence[Path], sides: dict[str, Encode]) -> list[Path]:
    """Return the files that every side takes."""
    kept = list(paths)
    for encode in sides.values():
        kept = [path for path, parts in zip(kept, encode(kept), strict=True) if parts]
    return kept


def measure(
    paths: Sequence[Path], sides: dict[str, Encode], count: int
) -> tuple[dict[str, float], dict[str, int]]:
    """Return the CPU seconds of each side, the median of so many rounds, and its tokens."""
    seconds: dict[str, list[float]] = {side: [0.0] * count for side in sides}
    tokens = dict.fromkeys(sides, 0)
    for number in range(count):
        tokens = dict.fromkeys(sides, 0)
        for start in range(0, len(paths), CHUNK):
            for side, encode in sides.items():
                took, written = run(encode, paths[start : start + CHUNK])
                seconds[side][number] += took
                tokens[side] += written
    return {side: statistics.median(took) for side, took in seconds.items()}, tokens


def bench(folder: Path, count: int = 5, every: int = 3) -> dict[str, Any]:
    """Measure `count` rounds over every so many of the files in a folder, or its pop909 corpus."""
    from symusic import Score

    asked = lines()
    tokenizers = {line.spec: ours(line.spec) for line in asked}
    pop909 = folder / "corpus" / "pop909"
    found = sorted((pop909 if pop909.is_dir() else folder).rglob("*.mid"))[::every]
    paths = accepted(found, tokenizers)
    notes = sum(Score(path).note_num() for path in paths)
    peers = {kind: miditok(kind) for kind in dict.fromkeys(line.peer for line in asked) if kind}
    seconds, tokens = measure(paths, tokenizers | peers, count)
    for line in asked:
        if line.same and tokens[line.spec] != tokens[line.peer]:
            raise RuntimeError(
                f"{line.spec}: {tokens[line.spec]} tokens, {line.peer}: {tokens[line.peer]}"
            )
    rows = [
        {
            "tokenizer": line.spec,
            "tokens/note": round(tokens[line.spec] / notes, 2),
            "notes/s": round(notes / seconds[line.spec]),
            "MidiTok's": line.peer or "-",
            "its notes/s": round(notes / seconds[line.peer]) if line.peer else "-",
            "ratio": round(seconds[line.peer] / seconds[line.spec], 1) if line.peer else "-",
            "at least": line.least or "-",
        }
        for line in asked
    ]
    return {"files": len(paths), "rejected": len(found) - len(paths), "notes": notes, "rows": rows}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5, help="their median counts (default: 5)")
    parser.add_argument("--every", type=int, default=3, metavar="N", help="every Nth file (3)")
    options = parser.parse_args()
    result = bench(options.folder, options.rounds, options.every)
    print(json.dumps({"bench": "tokenizers"} | result))
    return 0


if __name__ == "__main__":
    sys.exit(main())

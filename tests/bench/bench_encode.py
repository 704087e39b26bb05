"""Notes a second: `remi` against MidiTok's REMI, one process, on the MIDI files of a folder.

Of a folder with the project's corpora, only ``corpus/pop909`` is read. Both sides parse the same
files, encode them with the default configuration and write the ids as JSON. They take turns chunk
by chunk, so that what else runs on the machine hits both. Prints one line of JSON; seconds are CPU
seconds of this process, the median of the rounds.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

CHUNK = 48
STAGES = ("parse", "encode", "json")

Encode = Callable[[Sequence[Any]], list[Any]]
"""Scores to what `orjson` writes: the ids of each."""


def ours() -> Encode:
    from midigen_remi import Remi

    tokenizer: Any = Remi()
    return lambda scores: [result.parts[0] for result in tokenizer.encode_many(scores)]


def miditok() -> Encode:
    from midigen_remi.config import RemiConfig
    from miditok import REMI, TokenizerConfig

    tokenizer = REMI(TokenizerConfig(**RemiConfig().miditok_arguments()))
    return lambda scores: [tokenizer.encode(score).ids for score in scores]


def run(paths: Sequence[Path], encode: Encode, seconds: dict[str, float]) -> tuple[int, int]:
    """Parse, encode and write `paths`; add the CPU seconds of each stage; return notes, tokens."""
    import orjson
    from symusic import Score

    times = [time.process_time()]
    scores: list[Any] = [Score(path) for path in paths]
    times.append(time.process_time())
    ids = encode(scores)
    times.append(time.process_time())
    for array in ids:
        orjson.dumps(array, option=orjson.OPT_SERIALIZE_NUMPY)
    times.append(time.process_time())
    for stage, start, end in zip(STAGES, times, times[1:], strict=False):
        seconds[stage] += end - start
    return sum(score.note_num() for score in scores), sum(len(array) for array in ids)


def rounds(
    paths: Sequence[Path], sides: dict[str, Encode], count: int
) -> Iterator[tuple[dict[str, dict[str, float]], int, int]]:
    """Yield the seconds of each side and stage, the notes and the tokens of each round."""
    for _ in range(count):
        seconds = {side: dict.fromkeys(STAGES, 0.0) for side in sides}
        notes = tokens = 0
        for start in range(0, len(paths), CHUNK):
            chunk = paths[start : start + CHUNK]
            counts = {run(chunk, encode, seconds[side]) for side, encode in sides.items()}
            if len(counts) > 1:
                raise RuntimeError(f"the sides disagree on notes or tokens: {counts}")
            notes, tokens = (a + b for a, b in zip((notes, tokens), counts.pop(), strict=True))
        yield seconds, notes, tokens


def bench(folder: str | Path, count: int = 5, sample: int | None = None) -> dict[str, Any]:
    """Return notes a second of both sides and their ratio, in all and of encoding alone."""
    pop909 = Path(folder) / "corpus" / "pop909"
    paths = sorted((pop909 if pop909.is_dir() else Path(folder)).rglob("*.mid"))[:sample]
    sides = {"remi": ours(), "miditok": miditok()}
    for encode in sides.values():
        run(paths[:1], encode, dict.fromkeys(STAGES, 0.0))
    found = list(rounds(paths, sides, count))
    _, notes, tokens = found[0]
    result: dict[str, Any] = {"files": len(paths), "notes": notes, "tokens": tokens}
    for label, stages in (("all", STAGES), ("encode", ("encode",))):
        median = {
            side: statistics.median(sum(seconds[side][s] for s in stages) for seconds, *_ in found)
            for side in sides
        }
        result[label] = {
            **{f"{side}_notes_per_s": round(notes / median[side]) for side in sides},
            "remi_tokens_per_s": round(tokens / median["remi"]),
            "ratio": round(median["miditok"] / median["remi"], 1),
        }
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5, help="their median counts (default: 5)")
    parser.add_argument("--sample", type=int, metavar="N", help="only the first N files")
    options = parser.parse_args()
    print(json.dumps({"bench": "encode", **bench(options.folder, options.rounds, options.sample)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

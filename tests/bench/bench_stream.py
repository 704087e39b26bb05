"""Tokens a second through the stream commands, whole processes with pipes, reading and JSON.

Takes the MIDI files of a folder, makes records of them with the default tokenizer, and sends the
stream through each command in turn, round after round, so that what else runs on the machine hits
all. Prints one line of JSON; seconds are CPU seconds of the process, start included, the median of
the rounds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

CHUNK = 48
COMMANDS = {
    "tokfilter": ["tokfilter", "--min-notes", "1"],
    "tokfilter_program": ["tokfilter", "--program", "piano", "--drums", "--invert"],
    "tokaug": ["tokaug", "--shift", "6"],
    "tokaug_all": ["tokaug", "--shift", "6", "--copies", "all"],
    "toklabel": ["toklabel", "--set", "genre=pop"],
}


class Took(NamedTuple):
    cpu_s: float
    wall_s: float
    bytes_out: int


def records(paths: Sequence[Path]) -> Iterator[tuple[bytes, int, int]]:
    """Yield a line, its tokens and its notes for every file that can be encoded."""
    import orjson
    from midigen_remi import Remi
    from symusic import Score

    from midigen.errors import Reject
    from midigen.record import counts, short_hash

    tokenizer = Remi()
    tok = f"{tokenizer.spec}#{tokenizer.vocab.fingerprint}"
    for start in range(0, len(paths), CHUNK):
        chunk = paths[start : start + CHUNK]
        scores: list[Any] = [Score(path) for path in chunk]
        for path, score, result in zip(chunk, scores, tokenizer.encode_many(scores), strict=True):
            if isinstance(result, Reject):
                continue
            id, notes = short_hash(path.read_bytes()), score.note_num()
            record = {
                "v": 1,
                "id": id,
                "group": id,
                "src": str(path),
                "tok": tok,
                "ids": result.parts[0],
                "n": counts(notes, 1, 1.0, len(score.tracks)),
                "meta": {},
                "aug": {},
            }
            line = orjson.dumps(record, option=orjson.OPT_SERIALIZE_NUMPY)
            yield line + b"\n", len(result.parts[0]), notes


def run(command: Sequence[str], stream: Path) -> Took:
    """Send `stream` through an installed command and read what it writes."""
    program = Path(sys.executable).parent / command[0]
    before, start = os.times(), time.perf_counter()
    with stream.open("rb") as file:
        argv = [str(program), "--quiet", *command[1:]]
        out = subprocess.run(argv, stdin=file, stdout=subprocess.PIPE, check=True).stdout
    after = os.times()
    cpu_s = after.children_user - before.children_user
    cpu_s += after.children_system - before.children_system
    return Took(cpu_s, time.perf_counter() - start, len(out))


def bench(folder: Path, rounds: int = 5, sample: int = 909) -> dict[str, Any]:
    """Return what went in, and for each command how fast."""
    paths = sorted(folder.rglob("*.mid"))[:sample]
    with tempfile.TemporaryDirectory() as scratch:
        stream = Path(scratch) / "tokens.jsonl"
        lines = list(records(paths))
        stream.write_bytes(b"".join(line for line, *_ in lines))
        tokens, notes = sum(line[1] for line in lines), sum(line[2] for line in lines)
        found: dict[str, list[Took]] = {name: [] for name in COMMANDS}
        for _ in range(rounds):
            for name, command in COMMANDS.items():
                found[name].append(run(command, stream))
        size = stream.stat().st_size
    result: dict[str, Any] = {"records": len(lines), "notes": notes, "tokens": tokens}
    for name, times in found.items():
        cpu_s = statistics.median(took.cpu_s for took in times)
        result[name] = {
            "tokens_in_per_s": round(tokens / cpu_s),
            # Records differ in little but their ids: bytes out for bytes in is tokens for tokens.
            "tokens_out_per_s": round(tokens * times[0].bytes_out / size / cpu_s),
            "notes_in_per_s": round(notes / cpu_s),
            "wall_s": round(statistics.median(took.wall_s for took in times), 2),
        }
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5, help="their median counts (default: 5)")
    parser.add_argument("--sample", type=int, metavar="N", default=909, help="the first N files")
    options = parser.parse_args()
    print(json.dumps({"bench": "stream", **bench(options.folder, options.rounds, options.sample)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

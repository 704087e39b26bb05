"""Check `events` against plain Python over mido's messages: `make check-oracle`.

The ids of files, optimised and not, must be those that `events_plain` makes; the grammar must
accept them, and they must decode without a repair. Files that mido does not read are counted. With
``--race``: notes a second, JSON included, against those of MidiTok's REMI on the same files, in one
process and in turns. Exits with 1 if there is a difference.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import orjson

sys.path.insert(0, str(Path(__file__).parent.parent))

from events_plain import encode
from oracle.check_remi import midi_files
from remi_walks import accepts, miditok

from midigen.errors import Reject

SPECS = ("events", "events:optimise=0")
ROUNDS = 5
JSON = orjson.OPT_SERIALIZE_NUMPY


@cache
def events(spec: str) -> Any:
    from midigen.registry import tokenizer

    return tokenizer(spec)


@cache
def grammar() -> Any:
    return events("events").grammar()


def outcome(spec: str, data: bytes, result: Any) -> str:
    """Return what became of a file: ``same``, ``not read by mido``, or what is wrong."""
    try:
        expected = encode(data, optimise=spec == "events")
    except Exception:  # mido raises what it happens to: its own errors, EOFError, OSError ...
        return "not read by mido"
    if isinstance(result, Reject):
        has_notes = any(row[0] == 3 for row in expected)
        return f"rejected: {result}" if has_notes or result.reason != "no_notes" else "same"
    (ids,) = result.parts
    if ids.reshape(-1, 8).tolist() != expected:
        return "other ids"
    if not accepts(grammar(), ids.tolist()):
        return "refused by the grammar"
    repairs = events(spec).decode([ids]).repairs
    return f"repaired: {repairs}" if repairs else "same"


def check_files(paths: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return (spec, path, outcome) of files, read together."""
    files = [Path(path).read_bytes() for path in paths]
    found = []
    for spec in SPECS:
        results = events(spec).encode_midi_many(files)
        for path, data, result in zip(paths, files, results, strict=True):
            found.append((spec, path, outcome(spec, data, result)))
    return found


def compare(paths: Sequence[str], jobs: int, chunk: int = 32) -> int:
    """Compare files, print what was found, return how many differ."""
    work = [paths[i : i + chunk] for i in range(0, len(paths), chunk)]
    counts: Counter[tuple[str, str]] = Counter()
    with get_context("spawn").Pool(jobs) as pool:
        for found in pool.imap_unordered(check_files, work):
            for spec, path, outcome in found:
                is_fine = outcome in ("same", "not read by mido")
                counts[spec, outcome if is_fine else "different"] += 1
                if not is_fine:
                    print(f"{path}: {spec}: {outcome}", file=sys.stderr)
    for (spec, found_as), count in sorted(counts.items()):
        print(f"files, {spec}: {count} {found_as}")
    return sum(count for (_, found_as), count in counts.items() if found_as == "different")


def race(paths: Sequence[str]) -> None:
    """Print notes a second of `events` and of MidiTok's REMI, in turns."""
    from symusic import Score

    files = [Path(path).read_bytes() for path in paths]
    notes = sum(Score.from_midi(data).note_num() for data in files)
    few = files[: max(1, len(files) // 10)]
    few_notes = sum(Score.from_midi(data).note_num() for data in few)

    def ours() -> None:
        for result in events("events").encode_midi_many(files):
            orjson.dumps({"ids": result.parts[0]}, option=JSON)

    def theirs() -> None:
        for data in few:
            orjson.dumps({"ids": miditok("").encode(Score.from_midi(data)).ids})

    ours()
    speeds: dict[str, list[float]] = {"events": [], "REMI": []}
    for _ in range(ROUNDS):
        for name, run, count in (("events", ours, notes), ("REMI", theirs, few_notes)):
            start = time.perf_counter()
            run()
            speeds[name].append(count / (time.perf_counter() - start))
    ours_s, theirs_s = median(speeds["events"]), median(speeds["REMI"])
    print(
        f"speed: events {ours_s:,.0f} notes/s, MidiTok's REMI {theirs_s:,.0f} notes/s,"
        f" {ours_s / theirs_s:.1f} times"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", help="folders with MIDI files, read recursively")
    parser.add_argument("-j", "--jobs", type=int, default=1, help="processes")
    parser.add_argument("--files", type=int, metavar="N", help="only N files, always the same")
    parser.add_argument("--race", metavar="FOLDER", help="files for the comparison of speed")
    options = parser.parse_args()
    paths = midi_files(options.folders, options.files)
    if not paths:
        parser.error(f"no MIDI files in {', '.join(options.folders)}")
    start = time.monotonic()
    wrong = compare(paths, options.jobs)
    if options.race:
        race(midi_files([options.race], None))
    print(f"{wrong} differences, {time.monotonic() - start:.0f} s")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())

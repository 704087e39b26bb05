"""Time midi2tok as a process against a script that uses MidiTok, on the files of a folder.

    bench_pipeline.py FOLDER [--runs N] [--every N] [-j N]

Both read the same list, parse with symusic and write JSON with orjson into a file; imports and
start are in the time. They run in turn, and the median counts. What else ran on the machine is in
the load average that each line shows (how many wanted a core in the last minute).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import orjson

SCRIPT = Path(__file__).parent / "miditok_script.py"


def run(command: list[str | Path], names: bytes, output: Path) -> tuple[float, float]:
    """Run `command` on a list of names; return its seconds and its CPU seconds."""
    before = os.times()
    began = time.perf_counter()
    with output.open("wb") as file:
        subprocess.run(command, input=names, stdout=file, check=True)
    seconds = time.perf_counter() - began
    after = os.times()
    cpu = after.children_user + after.children_system
    return seconds, cpu - before.children_user - before.children_system


def ids_by_file(path: Path) -> dict[str, list[int]]:
    records = map(orjson.loads, path.read_bytes().splitlines())
    return {record["src"]: record["ids"] for record in records}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="of each side")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only each Nth file")
    parser.add_argument("-j", type=int, default=2, metavar="N", help="workers of midi2tok")
    args = parser.parse_args()
    files = sorted(args.folder.rglob("*.mid"))[:: args.every]
    names = "".join(f"{path}\n" for path in files).encode()
    midi2tok = Path(sys.executable).parent / "midi2tok"
    sides: dict[str, list[str | Path]] = {
        "midi2tok": [midi2tok, "--quiet", f"-j{args.j}", "--files-from", "-"],
        "MidiTok": [sys.executable, SCRIPT],
    }
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(args.runs):
            for side, command in sides.items():
                wall, cpu = run(command, names, Path(folder) / side)
                seconds[side].append(wall)
                load = os.getloadavg()[0]
                print(
                    f"{number + 1} {side}: {wall:.2f} s, {cpu:.2f} s of CPU, load {load:.1f}",
                    flush=True,
                )
        records = (Path(folder) / "midi2tok").read_bytes().splitlines()
        notes = sum(orjson.loads(line)["n"]["notes"] for line in records)
        ours, theirs = (ids_by_file(Path(folder) / side) for side in sides)
    median = {side: statistics.median(values) for side, values in seconds.items()}
    result = {
        "bench": f"midi2tok -j{args.j}, process against process",
        "files": len(files),
        "notes": notes,
        "files_with_other_ids": sum(ours.get(name) != ids for name, ids in theirs.items()),
        **{f"{side}_s": round(value, 2) for side, value in median.items()},
        **{f"{side}_notes_per_s": round(notes / value) for side, value in median.items()},
        "ratio": round(median["MidiTok"] / median["midi2tok"], 1),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()

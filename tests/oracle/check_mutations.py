"""Run midi2tok on many damaged MIDI files: none may crash it, hang it or go uncounted.

Damages files (those in the folders, else tunes of the tests), runs the installed midi2tok on them
and prints, for each kind of damage, what became of the files. Exits with 1 if one was not counted,
or was lost to a crash, a hang or a bug.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from mutations import MUTATIONS, mutate
from tune_reader import read_tune

SUFFIXES = (".mid", ".midi", ".kar", ".rmi")
FAULTS = ("crash", "timeout", "error", "uncounted")


def read_bases(folders: Sequence[Path], largest: int) -> list[bytes]:
    """Return the files to damage."""
    if not folders:
        tunes = Path(__file__).parents[1] / "tunes"
        return [read_tune(path) for path in sorted(tunes.glob("*.abc"))]
    names = sorted(path for folder in folders for path in folder.rglob("*"))
    found = [path for path in names if path.suffix.lower() in SUFFIXES]
    return [path.read_bytes() for path in found if 0 < path.stat().st_size <= largest]


def run_batch(command: list[str], files: dict[str, bytes]) -> tuple[dict[str, str], int]:
    """Return what became of each file (its rung or the reason of its reject) and the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            Path(folder, name).write_bytes(data)
        rejects = Path(folder, "rejects.jsonl")
        done = subprocess.run(
            [*command, "--quiet", "--rejects", str(rejects), folder], capture_output=True
        )
        if b"Traceback" in done.stderr:
            sys.stderr.buffer.write(done.stderr)
        outcome = {}
        for line in done.stdout.splitlines():
            record = json.loads(line)
            outcome[Path(record["src"]).name] = record["meta"].get("ingest", "strict")
        for line in rejects.read_bytes().splitlines() if rejects.exists() else ():
            reject = json.loads(line)
            outcome[Path(reject["src"]).name] = reject["reason"]
    return outcome, done.returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path, help="folders with files to damage")
    parser.add_argument("-n", type=int, default=20_000, help="files (default 20,000)")
    parser.add_argument("--seed", type=int, default=0, help="of the first file; the next has +1")
    parser.add_argument("--largest", type=int, default=60_000, help="bytes of a file to damage")
    parser.add_argument("--batch", type=int, default=1_000, help="files a run of midi2tok")
    parser.add_argument("--keep", type=Path, help="folder for the files that were lost")
    parser.add_argument("--tokenizer", default="remi")
    args = parser.parse_args()
    bases = read_bases(args.folders, args.largest)
    midi2tok = str(Path(sys.executable).parent / "midi2tok")
    command = [midi2tok, "--tokenizer", args.tokenizer, "--timeout", "20"]
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    codes: Counter[int] = Counter()
    start = time.monotonic()
    for first in range(args.seed, args.seed + args.n, args.batch):
        seeds = range(first, min(first + args.batch, args.seed + args.n))
        kinds, files = {}, {}
        for seed in seeds:
            name = f"{seed:08}.mid"
            kinds[name], files[name] = mutate(bases[seed % len(bases)], seed)
        outcome, code = run_batch(command, files)
        codes[code] += 1
        for name, data in files.items():
            became = outcome.get(name, "uncounted")
            kind = kinds[name] if "+" not in kinds[name] else "several"
            counts[kind][became] += 1
            if became in FAULTS:
                print(f"{name}: {kinds[name]}: {became}", flush=True)
                if args.keep:
                    args.keep.mkdir(exist_ok=True)
                    (args.keep / name).write_bytes(data)
    total: Counter[str] = sum(counts.values(), Counter())
    for kind in [*(mutation.__name__ for mutation in MUTATIONS), "several"]:
        print(f"{kind:10}", ", ".join(f"{n} {became}" for became, n in counts[kind].most_common()))
    print(f"{'all':10}", ", ".join(f"{n} {became}" for became, n in total.most_common()))
    lost = sum(total[fault] for fault in FAULTS)
    print(f"{total.total()} files of {len(bases)}, exit codes {dict(codes)}, {lost} lost,"
          f" {time.monotonic() - start:.0f} s")  # fmt: skip
    return int(lost > 0 or set(codes) - {0, 1} != set())


if __name__ == "__main__":
    sys.exit(main())

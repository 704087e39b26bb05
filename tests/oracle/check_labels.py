"""Label a stream from tables of a million rows: every label right, memory bounded; prints figures.

    check_labels.py [--rows N] [--records N]

Tables: CSV by MD5 and by path, JSON Lines, scores of a match in JSON, genres in a .cls file. The
commands run as they are installed; what they need is the peak of the process and of its index on
disk. Every second record is of no row.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

MOST_MB = 160
"""Peak memory of the command; without a table it is 40 MB."""
Labels = dict[str, Any]


def md5_of(k: int) -> str:
    return hashlib.md5(b"%d" % k).hexdigest()


def path_of(k: int) -> str:
    return f"{k % 16:x}/{k % 251}/song {k}.mid"


def track_of(k: int) -> str:
    return f"TR{''.join(chr(65 + k // 26**i % 26) for i in range(5))}128F{k:07X}"


def row_of(k: int) -> Labels:
    """Return what the tables say of the k-th piece."""
    genre = ["rock", "folk"] if k % 3 == 0 else "pop"
    return {"artist": f"Artist {k % 5000}", "title": f"Title {k}", "genre": genre}


def csv_lines(key: str, rows: int) -> Iterator[str]:
    yield f"{key},artist,title,genre,year\n"
    for k in range(rows):
        genre = row_of(k)["genre"]
        genres = "|".join(genre) if isinstance(genre, list) else genre
        name = md5_of(k) if key == "md5" else path_of(k)
        yield f"{name},Artist {k % 5000},Title {k},{genres},0\n"


def jsonl_lines(rows: int) -> Iterator[str]:
    for k in range(rows):
        yield orjson.dumps({"md5": md5_of(k), "year": None} | row_of(k)).decode() + "\n"


def match_lines(rows: int) -> Iterator[str]:
    for k in range(rows):
        yield f'{"," if k else "{"}\n"{track_of(k)}": {{"{md5_of(k)}": 0.{5000 + k % 5000}}}'
    yield "\n}\n"


def cls_lines(rows: int) -> Iterator[str]:
    yield "# genres\n"
    for k in range(rows):
        genre = row_of(k)["genre"]
        yield "\t".join([track_of(k), *(genre if isinstance(genre, list) else [genre])]) + "\n"


def record_of(k: int) -> dict[str, Any]:
    """Return the record of the k-th piece: a hundred notes or so."""
    known = {"v": 1, "id": md5_of(k)[:16], "src": f"/data/lmd/{path_of(k)}", "md5": md5_of(k)}
    return known | {"tok": "remi#00000000", "ids": list(range(500)), "meta": {}}


def run(specs: list[str], stream: Path, folder: Path) -> tuple[list[Labels], float, float]:
    """Return the labels, the seconds and the peak memory in MB."""
    program = Path(sys.executable).parent / "toklabel"
    argv = [str(program), "-q", *(word for spec in specs for word in ("--from", spec)), str(stream)]
    with (folder / "out").open("wb") as out:
        start = time.monotonic()
        process = subprocess.Popen(argv, stdout=out, env=os.environ | {"TMPDIR": str(folder)})
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
    if status:
        sys.exit(f"{argv}: exit {os.waitstatus_to_exitcode(status)}")
    unit = 1 if sys.platform == "darwin" else 1024
    with (folder / "out").open("rb") as lines:
        metas = [orjson.loads(line)["meta"] for line in lines]
    return metas, seconds, usage.ru_maxrss * unit / 1e6


def expected(name: str, k: int, rows: int) -> Labels:
    if k >= rows:
        return {}
    if name != "lmd, tagtraum":
        return row_of(k)
    match = float(f"0.{5000 + k % 5000}")
    return {"msd_track_id": track_of(k), "msd_match": match, "genre": row_of(k)["genre"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--records", type=int, default=50_000)
    args = parser.parse_args()
    rows, count = args.rows, args.records
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = {
            "csv by md5": {"csv:md5.csv": csv_lines("md5", rows)},
            "csv by path": {"csv:path.csv": csv_lines("path", rows)},
            "jsonl by md5": {"jsonl:t.jsonl": jsonl_lines(rows)},
            "lmd, tagtraum": {"lmd:m.json": match_lines(rows), "tagtraum:g.cls": cls_lines(rows)},
        }
        # Pieces all over the table, in no order, and as many of no row.
        pieces = [i * 7_368_787 % (2 * rows) for i in range(count)]
        short, whole = folder / "short.jsonl", folder / "whole.jsonl"
        short.write_bytes(orjson.dumps(record_of(0)) + b"\n")
        with whole.open("wb") as stream:
            stream.writelines(orjson.dumps(record_of(k)) + b"\n" for k in pieces)
        failed = False
        for what, tables in files.items():
            specs, size = [], 0
            for spec, lines in tables.items():
                labeler, _, file = spec.partition(":")
                with (folder / file).open("w") as table:
                    table.writelines(lines)
                size += (folder / file).stat().st_size
                specs.append(f"{labeler}:{folder / file}")
            _, loading, _ = run(specs, short, folder)
            metas, seconds, peak = run(specs, whole, folder)
            wrong = sum(m != expected(what, k, rows) for m, k in zip(metas, pieces, strict=True))
            print(
                f"{what}: {rows} rows ({size / 1e6:.0f} MB) read in {loading:.1f} s; then"
                f" {count / (seconds - loading):.0f} records/s; peak {peak:.0f} MB; {wrong} wrong"
            )
            failed |= bool(wrong) or peak > MOST_MB
    sys.exit(failed)


if __name__ == "__main__":
    main()

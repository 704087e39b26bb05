"""Count the copies in a folder of MIDI files that the split would separate: it must be none.

    check_twins.py FOLDER [-j N]

Copies are found apart from midigen: mido reads the files, and two are copies where the same notes
begin at the same places, transposed or not, in whatever order of tracks. Places are compared three
ways: as exact fractions of a quarter, rounded to the nearest sixteenth, and (for information, since
these are other versions of a piece rather than the same) by their order alone.
"""

import argparse
import hashlib
import json
import math
import multiprocessing
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import mido
from mido.midifiles.meta import KeySignatureError

from midigen.split import hash_split

WAYS = ("exact", "sixteenths", "order")
Note = tuple[int, int, bool]


def read_notes(path: Path) -> tuple[list[Note], int]:
    """Return (onset in ticks, pitch, is a drum) of every note that ends, and ticks a quarter."""
    song = mido.MidiFile(path, clip=True)
    notes = []
    for track in song.tracks:
        tick = 0
        open_notes: dict[tuple[int, int], list[int]] = defaultdict(list)
        for message in track:
            tick += message.time
            if message.type not in ("note_on", "note_off"):
                continue
            key = (message.channel, message.note)
            if message.type == "note_on" and message.velocity:
                open_notes[key].append(tick)
            elif open_notes[key]:
                onset = open_notes[key].pop(0)
                notes.append((onset, message.note, message.channel == 9))
    return notes, song.ticks_per_beat


def contents(notes: list[Note], tpq: int) -> dict[str, str]:
    """Return a hash of what stands in the file, one for each way of comparing places."""
    first = min(onset for onset, _, _ in notes)
    lowest = min((pitch for _, pitch, drum in notes if not drum), default=0)
    moved = sorted(
        {(onset - first, pitch if drum else pitch - lowest, drum) for onset, pitch, drum in notes}
    )
    exact = []
    for onset, pitch, drum in moved:
        shared = math.gcd(onset, tpq)
        exact.append((onset // shared, tpq // shared, pitch, drum))
    sixteenths = sorted({((8 * onset + tpq) // (2 * tpq), *rest) for onset, *rest in moved})
    order = [rest for _, *rest in moved]
    return {
        way: hashlib.sha256(repr(value).encode()).hexdigest()
        for way, value in zip(WAYS, (exact, sixteenths, order), strict=True)
    }


def describe(path: Path) -> tuple[Path, dict[str, str] | None]:
    """Return the contents of a file; None if mido cannot read it or it has no notes."""
    try:
        notes, tpq = read_notes(path)
    except (OSError, ValueError, EOFError, KeyError, IndexError, KeySignatureError):
        return path, None
    return path, contents(notes, tpq) if notes else None


def groups_of(files: list[Path]) -> Iterator[tuple[Path, str]]:
    """Yield what midi2tok says is the group of each file."""
    command = [Path(sys.executable).parent / "midi2tok", "--quiet", "-0"]
    names = "\0".join(map(str, files)).encode()
    done = subprocess.run(command, input=names, stdout=subprocess.PIPE, check=True)
    for line in done.stdout.splitlines():
        record = json.loads(line)
        yield Path(record["src"]), record["group"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("-j", type=int, default=2, metavar="N", help="processes that read")
    args = parser.parse_args()
    files = sorted(args.folder.rglob("*.mid"))
    group = dict(groups_of(files))
    same: dict[str, dict[str, list[Path]]] = {way: defaultdict(list) for way in WAYS}
    unread = 0
    with multiprocessing.Pool(args.j) as pool:
        for path, found in pool.imap(describe, files, chunksize=32):
            if found is None or path not in group:
                unread += 1
                continue
            for way, content in found.items():
                same[way][content].append(path)
    print(f"{len(files)} files, {unread} not compared")
    failed = 0
    for way, classes in same.items():
        several = [paths for paths in classes.values() if len(paths) > 1]
        torn = [paths for paths in several if len({group[path] for path in paths}) > 1]
        apart = [paths for paths in torn if len({hash_split(group[path]) for path in paths}) > 1]
        print(
            f"{way}: {sum(map(len, several))} files have a copy, in {len(several)} pieces;"
            f" {len(torn)} pieces have more than one group, {len(apart)} stand on both sides"
        )
        for paths in apart if way != "order" else []:
            print("  apart:", *paths)
        failed += len(torn) if way != "order" else 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

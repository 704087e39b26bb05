"""Run midi2tok on files that break parsers, and compare the notes that begin with mido's.

A file is saved if it gives records, and the same note-ons (pitch, velocity, tick) as mido with
`clip=True`, wherever that reads it. Prints what is not saved, and why. Exits with 1 if a file was
not counted, was lost to a crash, a hang or a bug, or if no more are saved than symusic or mido
read between them.
"""

import argparse
import io
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import mido

from midigen.ingest import ingest
from midigen.sources import SUFFIXES, printable

FAULTS = ("crash", "timeout", "error")

Onsets = Counter[tuple[int, int, int]]
"""Note-ons by (tick, pitch, velocity)."""


def mido_onsets(data: bytes) -> Onsets | None:
    """Return the note-ons that mido reads; None where it cannot read the file."""
    try:
        song = mido.MidiFile(file=io.BytesIO(data), clip=True)
    except Exception:  # mido raises whatever its parser runs into
        return None
    onsets: Onsets = Counter()
    for track in song.tracks:
        tick = 0
        for message in track:
            tick += message.time
            if message.type == "note_on" and message.velocity:
                onsets[tick, message.note, message.velocity] += 1
    return onsets


def our_onsets(data: bytes) -> Onsets:
    notes = (note for track in ingest(data).score.tracks for note in track.notes)
    return Counter((note.time, note.pitch, note.velocity) for note in notes)


def run(folder: Path) -> tuple[dict[str, str], dict[str, str], bytes]:
    """Return the rung of each file that gave records, why others gave none, and stderr."""
    with tempfile.TemporaryDirectory() as scratch:
        rejects = Path(scratch, "rejects.jsonl")
        command = [Path(sys.executable).parent / "midi2tok", "--rejects", rejects, folder]
        done = subprocess.run(command, capture_output=True)
        records = [json.loads(line) for line in done.stdout.splitlines()]
        listed = [json.loads(line) for line in rejects.read_bytes().splitlines()]
    rungs = {record["src"]: record["meta"].get("ingest", "strict") for record in records}
    reasons = {reject["src"]: f"{reject['reason']}: {reject['detail']}" for reject in listed}
    return rungs, reasons, done.stderr


def difference(ours: Onsets, theirs: Onsets, rung: str) -> str:
    """Say how the note-ons differ from mido's."""
    text = f"{rung}, {(theirs - ours).total()} of mido's {theirs.total()} note-ons are not there"
    return f"{text}, {(ours - theirs).total()} of {ours.total()} are not mido's"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--more-than", type=int, default=195, metavar="N", help="must be saved")
    args = parser.parse_args()
    files = sorted(p for p in args.folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    start = time.monotonic()
    rungs, reasons, said = run(args.folder)
    sys.stdout.write(f"{said.decode()}in {time.monotonic() - start:.0f} s\n")
    saved: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    beyond = read = 0
    for path in files:
        name, data = printable(str(path)), path.read_bytes()
        theirs = mido_onsets(data)
        read += theirs is not None and theirs.total() > 0
        if name in reasons:
            why = reasons[name]
        elif name not in rungs:
            why = "uncounted"
        else:
            ours = our_onsets(data)
            if theirs is None or ours == theirs:
                saved[rungs[name]] += 1
                beyond += theirs is None
                continue
            why = "onsets: " + difference(ours, theirs, rungs[name])
        lost[why.partition(":")[0]] += 1
        print(f"not saved: {path.relative_to(args.folder)}: {why}")
    listed = ", ".join(f"{count} {rung}" for rung, count in saved.most_common())
    print(f"{saved.total()} of {len(files)} files saved ({listed}); {read} have notes for mido with"
          f" clip=True, which cannot read {beyond} of those saved")  # fmt: skip
    print(f"{lost.total()} not saved:", ", ".join(f"{n} {why}" for why, n in lost.most_common()))
    failed = lost["uncounted"] or any(lost[fault] for fault in FAULTS) or b"Traceback" in said
    return int(bool(failed) or saved.total() <= args.more_than)


if __name__ == "__main__":
    sys.exit(main())

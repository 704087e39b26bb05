"""Look at samples beside real pieces: ``look.py SAMPLES.jsonl REAL.jsonl [-o ROLLS.png]``,
or at one sample: ``look.py SAMPLE.jsonl -o ROLL.png``.

Prints a table per genre: for each measure the real pieces' 5th, 50th and 95th percentile, the
samples' median, and how many samples lie within the real spread. Draws piano rolls of the first
samples of each genre (right) beside real pieces (left).
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from midigen.jsonl import RecordReader
from midigen.record import Record, meta_values
from midigen.registry import tokenizer
from midigen.rejects import Rejects
from midigen.spec import parse_tok

BARS = 16
MEASURES = ("notes/bar", "pitch range", "polyphony", "bar regularity", "repetition", "programs")


class Piece:
    """The notes of a decoded record's first 16 bars: arrays of sixteenths and pitches."""

    def __init__(self, record: Record, tokenizers: dict[str, Any]) -> None:
        spec = parse_tok(record["tok"]).spec
        if spec not in tokenizers:
            tokenizers[spec] = tokenizer(spec)
        score = tokenizers[spec].decode([record["ids"]]).value
        self.programs = {(t.program, t.is_drum) for t in score.tracks if len(t.notes)}
        rows = [
            np.stack(
                [
                    note["time"] * 4 / score.tpq,
                    np.maximum(note["duration"] * 4 / score.tpq, 0.5),
                    note["pitch"],
                    np.full(len(note["time"]), -1 if track.is_drum else track.program),
                ]
            )
            for track in score.tracks
            for note in [track.notes.numpy()]
        ]
        onset, length, pitch, program = np.concatenate(rows, axis=1) if rows else np.zeros((4, 0))
        signature = score.time_signatures[0] if score.time_signatures else None
        self.bar = 16 * signature.numerator / signature.denominator if signature else 16.0
        start = self.bar * (onset.min() // self.bar) if len(onset) else 0
        keep = onset < start + BARS * self.bar
        self.onset, self.length = onset[keep] - start, length[keep]
        self.pitch, self.program = pitch[keep], program[keep].astype(int)
        self.drum = self.program < 0

    def measures(self) -> tuple[float, ...]:
        """Return the values of MEASURES."""
        bars = self.bar_sets()
        melodic = self.pitch[~self.drum]
        return (
            len(self.onset) / max(1, len(bars)),
            float(np.ptp(melodic)) if len(melodic) else 0.0,
            self.polyphony(),
            _mean(_overlap({p for p, _ in a}, {p for p, _ in b}) for a, b in _pairs(bars)),
            _mean(float(bar in bars[max(0, k - 8) : k]) for k, bar in enumerate(bars) if bar and k),
            float(len(self.programs)),
        )

    def bar_sets(self) -> list[frozenset[tuple[int, int]]]:
        """Return for each bar its set of (position in eighths of a quarter, pitch)."""
        count = int(self.onset.max() // self.bar) + 1 if len(self.onset) else 0
        bars: list[set[tuple[int, int]]] = [set() for _ in range(count)]
        for onset, pitch in zip(self.onset, self.pitch, strict=True):
            bars[int(onset // self.bar)].add((round(onset % self.bar * 2), int(pitch)))
        return [frozenset(bar) for bar in bars]

    def polyphony(self) -> float:
        """Return the mean number of melodic notes that sound at the onsets."""
        onset, end = self.onset[~self.drum], (self.onset + self.length)[~self.drum]
        at = np.unique(onset)
        sounding = np.searchsorted(np.sort(onset), at, "right") - np.searchsorted(
            np.sort(end), at, "right"
        )
        return float(sounding.mean()) if len(at) else 0.0


def _pairs(bars: list[Any]) -> Iterator[tuple[Any, Any]]:
    return ((a, b) for a, b in itertools.pairwise(bars) if a or b)


def _overlap(a: set[int], b: set[int]) -> float:
    return len(a & b) / len(a | b)


def _mean(values: Iterator[float]) -> float:
    kept = list(values)
    return float(np.mean(kept)) if kept else 0.0


def by_genre(path: str) -> dict[str, list[Piece]]:
    """Return the pieces of a stream by their first genre; those without notes are left out."""
    pieces: dict[str, list[Piece]] = defaultdict(list)
    tokenizers: dict[str, Any] = {}
    for record in RecordReader([path], Rejects(strict=True)):
        piece = Piece(record, tokenizers)
        genres = meta_values(record, "genre")
        if len(piece.onset):
            pieces[genres[0] if genres else "any"].append(piece)
    return pieces


def table(samples: dict[str, list[Piece]], real: dict[str, list[Piece]]) -> Iterator[str]:
    """Yield the lines of the comparison, in Markdown."""
    yield "| genre | samples, real | measure | real 5 % | 50 % | 95 % | samples 50 % | inside |"
    yield "|---|---|---|---|---|---|---|---|"
    for genre in sorted(samples.keys() & real.keys()):
        ours = np.array([piece.measures() for piece in samples[genre]])
        theirs = np.array([piece.measures() for piece in real[genre]])
        for k, name in enumerate(MEASURES):
            low, middle, high = np.percentile(theirs[:, k], [5, 50, 95])
            inside = np.mean((ours[:, k] >= low - 1e-9) & (ours[:, k] <= high + 1e-9))
            yield (
                f"| {genre} | {len(ours)}, {len(theirs)} | {name} | {low:.2f} | {middle:.2f} |"
                f" {high:.2f} | {np.median(ours[:, k]):.2f} | {inside:.0%} |"
            )


def draw(samples: dict[str, list[Piece]], real: dict[str, list[Piece]], path: Path) -> None:
    """Draw piano rolls: a row a genre; two real pieces left, two samples right."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    genres = sorted(samples.keys() & real.keys())
    figure, axes = pyplot.subplots(
        len(genres), 4, figsize=(18, 2.2 * len(genres)), squeeze=False, constrained_layout=True
    )
    for row, genre in zip(axes, genres, strict=True):
        shown = [("real", p) for p in (real[genre] * 2)[:2]]
        shown += [("sample", p) for p in (samples[genre] * 2)[:2]]
        for axis, (kind, piece) in zip(row, shown, strict=True):
            colours = np.where(piece.drum, "0.6", "C0" if kind == "real" else "C3")
            axis.barh(
                piece.pitch, piece.length, left=piece.onset, height=1.0, color=colours, linewidth=0
            )
            axis.set_title(f"{genre}: {kind}", fontsize=9)
            axis.set_xticks(np.arange(0, BARS + 1, 4) * piece.bar, range(0, BARS + 1, 4))
            axis.set_xlim(0, BARS * piece.bar)
            axis.set_ylim(24, 100)
    figure.savefig(path, dpi=80)


def draw_one(record: Record, path: Path) -> None:
    """Draw the first 16 bars of a record, a colour a program, drums in grey."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    piece = Piece(record, {})
    figure, axis = pyplot.subplots(figsize=(12, 3.2), constrained_layout=True)
    colours = np.where(piece.drum, "0.6", np.char.mod("C%d", piece.program % 10))
    axis.barh(piece.pitch, piece.length, left=piece.onset, color=colours, height=0.9, linewidth=0)
    axis.set_xticks(np.arange(0, BARS + 1) * piece.bar, range(1, BARS + 2))
    axis.set_xlim(0, BARS * piece.bar)
    axis.set_xlabel("bar")
    axis.set_ylabel("pitch")
    axis.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("samples")
    parser.add_argument("real", nargs="?")
    parser.add_argument("-o", type=Path)
    options = parser.parse_args()
    if options.real is None:
        draw_one(next(iter(RecordReader([options.samples], Rejects(strict=True)))), options.o)
        return
    samples, real = by_genre(options.samples), by_genre(options.real)
    for line in table(samples, real):
        sys.stdout.write(line + "\n")
    if options.o:
        draw(samples, real, options.o)


if __name__ == "__main__":
    main()

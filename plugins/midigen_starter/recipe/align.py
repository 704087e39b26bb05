"""Put POP909's notes on bar lines: ``align.py IN_FOLDER OUT_FOLDER``.

The notes of POP909 lie on a sixteenth grid that is shifted against the files' own beats, and most
files say 1/4 or 2/4 for songs in 4/4. A model of bars needs bars, so each file is written again
with its notes on the grid, the first downbeat on a bar line, and 4/4. Songs that are not in 4/4
(those that have a triple signature) are left out, as are those whose notes follow no grid.

The downbeat is the sixteenth of the bar where the bass moves: summed over the bars, the length of
the low accompaniment notes that begin there. (That harmony changes on bar lines is the cue of Goto
2001, "An audio-based real-time beat tracking system for music with or without drum-sounds".)
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from symusic import Score, TimeSignature

SIXTEENTHS = 16  # in a bar of 4/4
GRID_SHARE = 0.8  # of onsets that must lie within a 32nd of a sixteenth's grid line


def onsets(score: Score) -> np.ndarray:
    """Return the onset ticks of all notes."""
    return np.concatenate([track.notes.numpy()["time"] for track in score.tracks])


def grid_phase(times: np.ndarray, step: int) -> tuple[int, float]:
    """Return the grid's offset in ticks (0..step-1) and the share of onsets within step/4 of it."""
    turn = np.exp(2j * np.pi * times / step).sum()
    phase = round(np.angle(turn) / (2 * np.pi) * step) % step
    distance = np.abs((times - phase + step // 2) % step - step // 2)
    return phase, float(np.mean(distance <= step // 4))


def downbeat(score: Score, phase: int, step: int) -> int:
    """Return the place of the bar line, 0..15: sixteenths from the grid's first line."""
    weight = np.zeros(SIXTEENTHS)
    for track in score.tracks:
        if track.name.upper() == "MELODY":
            continue
        notes = track.notes.numpy()
        low = notes["pitch"] < 55
        place = ((notes["time"][low] - phase + step // 2) // step) % SIXTEENTHS
        length = np.minimum(notes["duration"][low], SIXTEENTHS * step) / step
        weight += np.bincount(place, weights=length, minlength=SIXTEENTHS)
    # Half a bar after a bar line the bass moves too; after a second or fourth beat it does not.
    return int(np.argmax(weight + 0.5 * np.roll(weight, -8)))


def align(score: Score) -> Score | None:
    """Return the score with its notes on the bars of 4/4, or None where that cannot be."""
    triple = any(t.numerator % 3 == 0 for t in score.time_signatures)
    step = score.tpq // 4
    times = onsets(score)
    phase, share = grid_phase(times, step)
    if triple or share < GRID_SHARE:
        return None
    start = phase + downbeat(score, phase, step) * step
    bar = SIXTEENTHS * step
    # Lead-in: the first bar line at or before the first note, with half a step of slack.
    first = start + (int(times.min()) + step // 2 - start) // bar * bar
    moved = score.copy()
    for track in moved.tracks:
        for note in track.notes:
            line = (note.time - first + step // 4) // (step // 2) * (step // 2)
            note.time = max(0, line)
    for tempo in moved.tempos:
        tempo.time = max(0, tempo.time - first)
    moved.tempos.sort()
    last_at_zero = max((i for i, t in enumerate(moved.tempos) if t.time == 0), default=0)
    moved.tempos = moved.tempos[last_at_zero:]
    moved.time_signatures = [TimeSignature(0, 4, 4)]
    return moved


def main() -> None:
    source, target = map(Path, sys.argv[1:3])
    target.mkdir(parents=True, exist_ok=True)
    left_out = []
    for path in sorted(source.glob("*.mid")):
        aligned = align(Score(path))
        if aligned is None:
            left_out.append(path.name)
        else:
            aligned.dump_midi(target / path.name)
    print(f"align: {len(left_out)} left out: {' '.join(left_out)}", file=sys.stderr)


if __name__ == "__main__":
    main()

"""What a score sounds like, as numbers: for telling genres apart, not for learning music.

Only the first `QUARTERS` quarters count, so that whole pieces and short samples are alike.
"""

from typing import Any

import numpy as np

from midigen.programs import FAMILIES

QUARTERS = 64.0
_STEPS = np.array([0.0, 0.2, 0.3, 0.45, 0.6, 0.9, 1.1, 1.6, 2.1, 4.1, np.inf])
"""Bounds of the bins of times in quarters: they hold the usual note values."""
_LEAP = 12
COUNT = 12 + (2 * _LEAP + 1) + 2 * (len(_STEPS) - 1) + len(FAMILIES) + 8


def features(score: Any) -> np.ndarray:
    """Return what a `symusic.Score` in ticks sounds like: (COUNT,) float64.

    Shares of pitch classes above the commonest, of intervals between successive melodic notes, of
    times between onsets, of durations, of families of programs; then share of drums, mean and
    spread of pitches, notes a quarter, notes at an onset, programs, repeated pitches and onsets on
    the beat.
    """
    onset, length, pitch, program = _notes(score)
    drum = program < 0
    melodic = ~drum
    high = pitch[melodic]
    times = np.unique(onset)
    order = np.lexsort((pitch[melodic], onset[melodic]))
    leaps = np.clip(np.diff(high[order]), -_LEAP, _LEAP).astype(int) + _LEAP
    classes = _shares(np.bincount(high.astype(int) % 12, minlength=12))
    families = _shares(np.bincount(program[melodic] // 8, minlength=len(FAMILIES)))
    span = max(1.0, float(onset.max() - onset.min())) if len(onset) else 1.0
    rest = [
        float(drum.mean()) if len(drum) else 0.0,
        float(high.mean()) / 12 if len(high) else 5.0,
        float(high.std()) / 12 if len(high) else 0.0,
        float(np.log1p(len(onset) / span)),
        float(np.log(len(onset) / len(times))) if len(times) else 0.0,
        float(np.log1p(len(np.unique(program)))),
        float((np.diff(high[order]) == 0).mean()) if len(high) > 1 else 0.0,
        float((np.abs(onset - np.round(onset)) < 0.02).mean()) if len(onset) else 0.0,
    ]
    return np.concatenate(
        [
            np.roll(classes, -int(classes.argmax())),
            _shares(np.bincount(leaps, minlength=2 * _LEAP + 1)),
            _shares(np.histogram(np.diff(times), _STEPS)[0]),
            _shares(np.histogram(length, _STEPS)[0]),
            families,
            rest,
        ]
    )


def _notes(score: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return onsets and lengths in quarters, pitches, and programs (-1: drums), of what counts."""
    parts = []
    for track in score.tracks:
        notes = track.notes.numpy()
        own = -1 if track.is_drum else track.program
        columns = (notes["time"], notes["duration"], notes["pitch"])
        parts.append(np.stack([*columns, np.full(len(notes["time"]), own)]).astype(np.float64))
    onset, length, pitch, program = np.concatenate(parts, axis=1) if parts else np.zeros((4, 0))
    onset, length = onset / score.ticks_per_quarter, length / score.ticks_per_quarter
    kept = onset < (onset.min() if len(onset) else 0.0) + QUARTERS
    return onset[kept], length[kept], pitch[kept], program[kept].astype(int)


def _shares(counts: np.ndarray) -> np.ndarray:
    return counts / max(1, counts.sum())

"""`pitch` ids back to a score: a step of the grid each."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import symusic

from midigen_pitch.lexicon import Lexicon

TICKS_PER_QUARTER = 24
BPM = 120
VELOCITY = 100


def decode(lexicon: Lexicon, step: int, parts: "Sequence[np.ndarray | Sequence[int]]") -> Any:
    """Return the `symusic.Score` of any ids, a track a part. step: a part of a whole note."""
    score: Any = symusic.Score(TICKS_PER_QUARTER)
    score.tempos = [symusic.Tempo(0, BPM)]
    score.time_signatures = [symusic.TimeSignature(0, 4, 4)]
    ticks = 4 * TICKS_PER_QUARTER // step
    for part in parts:
        pitch, size = lexicon.pitches(np.asarray(part, dtype=np.int64))
        track: Any = symusic.Track(program=0)
        track.notes = symusic.Note.from_numpy(
            time=np.repeat(np.arange(len(size), dtype=np.int32) * ticks, size),
            duration=np.full(len(pitch), ticks, np.int32),
            pitch=pitch.astype(np.int8),
            velocity=np.full(len(pitch), VELOCITY, np.int8),
            ttype="tick",
        )
        if len(pitch):
            score.tracks.append(track)
    return score

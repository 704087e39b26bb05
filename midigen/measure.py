"""What is measured on a score before it is tokenized: its `group` and its counts `n`.

Everything is array code over many scores at a time: most files are small, and NumPy's price is by
the call.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

from midigen.errors import Reject
from midigen.record import counts

if TYPE_CHECKING:
    import numpy as np

MAX_BARS = 100_000
"""A file that lasts longer holds a broken delta time, not music (at 120 bpm: 55 hours)."""

_DEFAULT_MSPQ = 500_000
_DRUM = 128
# A note's key: file, onset in sixteenths (there are fewer than ticks: 2**31 and some), drum, pitch.
_PITCH_BITS, _ONSET_BITS = 8, 34
_KEY_BITS = _PITCH_BITS + _ONSET_BITS
# An onset rounds up from 0.55 of a sixteenth. At one half, thirty-seconds would lie on the edge,
# and one tick of another file's rounding would move them; no usual division lies at 0.55. Ticks a
# quarter are at most 32,767, so no other onset is as near to the edge as 1/655,340: the second
# term makes the comparison exact in floating point.
_ROUNDING = 0.45 + 0.5 / 655_340


@dataclass(slots=True)
class Measure:
    """The `group` and the `n` of a record."""

    group: str
    n: dict[str, int | float]


def measure(score: Any) -> Measure:
    """Measure one `symusic.Score` in ticks. Raises Reject as `measure_many` gives it."""
    (result,) = measure_many([score])
    if isinstance(result, Reject):
        raise result
    return result


def measure_many(scores: Sequence[Any]) -> list[Measure | Reject]:
    """Measure scores in ticks, in order.

    In the place of a score that cannot be measured stands a Reject: ``no_notes``, ``too_long``
    (more than `MAX_BARS`), ``broken`` (ticks past 2**31).
    """
    import numpy as np

    results: list[Measure | Reject] = [Reject("no_notes", "no notes") for _ in scores]
    notes = _Notes.of(scores)
    if notes is None:
        return results
    sounding = [scores[i] for i in notes.files]
    tpq = np.array([score.ticks_per_quarter for score in sounding], dtype=np.int64)
    rows = zip(
        notes.files,
        _groups(notes, tpq),
        notes.count.tolist(),
        _bars(sounding, notes, tpq),
        _seconds(sounding, notes, tpq),
        notes.tracks.tolist(),
        notes.first.tolist(),
        strict=True,
    )
    for file, group, count, bars, seconds, tracks, first in rows:
        if first < 0:
            results[file] = Reject("broken", "more than 2**31 ticks long")
        elif bars > MAX_BARS:
            results[file] = Reject("too_long", f"{bars} bars; at most {MAX_BARS} are read")
        else:
            results[file] = Measure(group, counts(count, bars, seconds, tracks))
    return results


@dataclass(slots=True)
class _Notes:
    """The notes of F files that have some, in T tracks, N notes in all, end to end.

    files: which of the scores these are. Per file: `count` of notes, `tracks` with notes, `first`
    onset, `onset` of the last note, `end` of the last to end. Per track: `size`, its `file`
    (0..F-1), `lowest` pitch, whether it is `drum`. Per note: `time`, `pitch`.
    """

    files: list[int]
    count: "np.ndarray"
    tracks: "np.ndarray"
    first: "np.ndarray"
    onset: "np.ndarray"
    end: "np.ndarray"
    size: "np.ndarray"
    file: "np.ndarray"
    lowest: "np.ndarray"
    drum: "np.ndarray"
    time: "np.ndarray"
    pitch: "np.ndarray"

    @classmethod
    def of(cls, scores: Sequence[Any]) -> "_Notes | None":
        """Gather the notes; None if there are none at all."""
        import numpy as np

        times, durations, pitches, drums = [], [], [], []
        files: list[int] = []
        file: list[int] = []
        for i, score in enumerate(scores):
            for track in score.tracks:
                array = track.notes.numpy()
                if array["time"].size:
                    times.append(array["time"])
                    durations.append(array["duration"])
                    pitches.append(array["pitch"])
                    drums.append(track.is_drum)
                    if not files or files[-1] != i:
                        files.append(i)
                    file.append(len(files) - 1)
        if not times:
            return None
        size = np.array([len(time) for time in times])
        starts = np.cumsum(size) - size
        first_track = np.searchsorted(file, np.arange(len(files)))
        time, pitch = np.concatenate(times), np.concatenate(pitches)
        end = np.add(time, np.concatenate(durations), dtype=np.int64)
        begins = starts[first_track]
        return cls(
            files,
            np.add.reduceat(size, first_track),
            np.bincount(file),
            np.minimum.reduceat(time, begins).astype(np.int64),
            np.maximum.reduceat(time, begins).astype(np.int64),
            np.maximum.reduceat(end, begins),
            size,
            np.array(file),
            np.minimum.reduceat(pitch, starts).astype(np.int64),
            np.array(drums),
            time,
            pitch,
        )


def _groups(notes: _Notes, tpq: "np.ndarray") -> list[str]:
    """Return the group of each file: a hash of its set of (onset, drum, pitch).

    Onsets are in sixteenths from the first note, pitches in semitones above the lowest that is no
    drum's. Velocities, durations, programs and the order of tracks are not in it.
    """
    import numpy as np

    lowest = np.full(len(notes.files), _DRUM)
    np.minimum.at(lowest, notes.file[~notes.drum], notes.lowest[~notes.drum])
    # What is the same for all notes of a track is worked out by the track.
    base = (notes.file << _KEY_BITS) + np.where(notes.drum, _DRUM, -lowest[notes.file])
    sixteenths = np.repeat((4 / tpq)[notes.file], notes.size)
    sixteenths *= notes.time - np.repeat(notes.first[notes.file], notes.size)
    sixteenths += _ROUNDING
    key = sixteenths.astype(np.int64)
    key <<= _PITCH_BITS
    key += notes.pitch
    key += np.repeat(base, notes.size)
    key.sort()
    distinct = np.empty(len(key), dtype=bool)
    distinct[:1] = True
    np.not_equal(key[1:], key[:-1], out=distinct[1:])
    key = key[distinct]
    bounds = np.searchsorted(key, np.arange(len(notes.files) + 1) << _KEY_BITS).tolist()
    key &= (1 << _KEY_BITS) - 1
    flat = memoryview(cast(Any, key.astype("<i8", copy=False).view(np.uint8)))
    return [
        hashlib.sha256(flat[8 * start : 8 * stop]).hexdigest()[:16]
        for start, stop in pairwise(bounds)
    ]


def _bars(scores: Sequence[Any], notes: _Notes, tpq: "np.ndarray") -> list[int]:
    """Return the number of bars until the last note ends; 4/4 until a signature says otherwise.

    A bar that a change of signature cuts short counts.
    """
    import numpy as np

    changes = [score.time_signatures.numpy() for score in scores]
    file, time, above, below = _rows(changes, time=0, numerator=4, denominator=4)
    same = (file[1:] == file[:-1]) & (above[1:] == above[:-1]) & (below[1:] == below[:-1])
    kept = np.concatenate([[True], ~same])
    file, time, above, below = (column[kept] for column in (file, time, above, below))
    # A note without length sounds in its bar all the same.
    length, starts = _lengths(file, time, np.maximum(notes.end, notes.onset + 1))
    bars = -(-length * below // np.maximum(4 * tpq[file] * above, 1))
    return np.add.reduceat(bars, starts).tolist()


def _seconds(scores: Sequence[Any], notes: _Notes, tpq: "np.ndarray") -> list[float]:
    """Return the end of the last note in seconds under the tempo map; 120 bpm until it begins."""
    import numpy as np

    changes = [score.tempos.numpy() for score in scores]
    file, time, mspq = _rows(changes, time=0, mspq=_DEFAULT_MSPQ)
    length, starts = _lengths(file, time, notes.end)
    return (np.add.reduceat(length * mspq, starts) / (tpq * 1e6)).tolist()


def _rows(changes: "Sequence[dict[str, np.ndarray]]", **defaults: int) -> list["np.ndarray"]:
    """Return the rows of all files end to end, one of `defaults` in front of each file's.

    The first column is the file, 0..F-1.
    """
    import numpy as np

    sizes = np.array([len(change["time"]) + 1 for change in changes])
    file = np.repeat(np.arange(len(changes)), sizes)
    first = np.zeros(len(file), dtype=bool)
    first[np.cumsum(sizes) - sizes] = True
    columns = [file]
    for key, default in defaults.items():
        column = np.full(len(file), default, dtype=np.int64)
        column[~first] = np.concatenate([change[key] for change in changes])
        columns.append(column)
    return columns


def _lengths(
    file: "np.ndarray", time: "np.ndarray", end: "np.ndarray"
) -> tuple["np.ndarray", "np.ndarray"]:
    """Return how many ticks each row holds, until the next of its file or the file's `end`.

    Also where each file's rows start.
    """
    import numpy as np

    starts = np.searchsorted(file, np.arange(len(end)))
    start = np.minimum(time, end[file])
    stop = np.empty_like(start)
    stop[:-1] = start[1:]
    stop[np.append(starts[1:], len(file)) - 1] = end
    return np.maximum(stop - start, 0), starts

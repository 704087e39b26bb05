"""What a tokenizer loses of a score: the decoded one laid beside the original, note by note."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from midigen.lenient import count_onsets
from midigen.pedal import Extended, extend
from midigen.protocols import Encoded, Tokenizer

if TYPE_CHECKING:
    import numpy as np

_NEAR = 0.5
"""Quarters that an onset may be off for a decoded note to be the same as one of the original."""
_DRUMS = -1
_DEFAULT_MSPQ = 500_000


@dataclass(slots=True)
class Error:
    """How far off the notes that were found are, in quarters."""

    total: float = 0.0
    most: float = 0.0

    def add(self, value: float) -> None:
        self.total += value
        self.most = max(self.most, value)

    def join(self, other: "Error") -> None:
        self.total += other.total
        self.most = max(self.most, other.most)


@dataclass(slots=True)
class RoundTrip:
    """What became of the notes of one score, or of several joined.

    lost: notes of the original without one of their pitch near them in the decoded score. added:
    decoded notes without one in the original. programs: notes found that another program plays.
    tempo_drift_s: the most that the clocks of the two scores are apart at the onset of a note.
    unread: notes that begin in the file, but are not in the score. repairs: of the decoder, by
    kind.
    """

    notes: int = 0
    lost: int = 0
    added: int = 0
    programs: int = 0
    onset: Error = field(default_factory=Error)
    duration: Error = field(default_factory=Error)
    tempo_drift_s: float = 0.0
    unread: int = 0
    repairs: Counter[str] = field(default_factory=Counter)

    @property
    def found(self) -> int:
        return self.notes - self.lost

    def join(self, other: "RoundTrip") -> None:
        """Add what became of another score's notes."""
        for name in ("notes", "lost", "added", "programs", "unread"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.onset.join(other.onset)
        self.duration.join(other.duration)
        self.tempo_drift_s = max(self.tempo_drift_s, other.tempo_drift_s)
        self.repairs.update(other.repairs)

    def report(self) -> dict[str, Any]:
        """Return plain JSON values: counts, errors in quarters, the drift in seconds."""
        found = max(self.found, 1)
        return {
            "notes": self.notes,
            "lost": self.lost,
            "added": self.added,
            "programs": self.programs,
            "onset_mean": round(self.onset.total / found, 6),
            "onset_max": round(self.onset.most, 6),
            "duration_mean": round(self.duration.total / found, 6),
            "duration_max": round(self.duration.most, 6),
            "tempo_drift_s": round(self.tempo_drift_s, 6),
            "unread": self.unread,
            "repairs": dict(self.repairs),
        }

    def summary(self) -> str:
        """Return ``round trip: 3 of 1,204 notes lost, 0 added; onsets off by ...``."""
        report = self.report()
        text = f"round trip: {self.lost:,} of {self.notes:,} notes lost, {self.added:,} added"
        for name in ("onset", "duration"):
            mean, most = report[f"{name}_mean"], report[f"{name}_max"]
            text += f"; {name}s off by {mean:.3f} quarters, at most {most:.3f}"
        return f"{text}; tempo drift at most {self.tempo_drift_s:.3f} s"


def take_round_trip(tokenizer: Tokenizer, score: Any, midi: bytes, encoded: Encoded) -> RoundTrip:
    """Decode what was encoded and compare it with `score`, which was parsed from `midi`."""
    decoded = tokenizer.decode(encoded.parts, encoded.programs)
    trip = compare(extend(score) if isinstance(tokenizer, Extended) else score, decoded.value)
    trip.unread = max(count_onsets(midi) - score.note_num(), 0)
    trip.repairs.update(decoded.repairs)
    return trip


def compare(original: Any, decoded: Any) -> RoundTrip:
    """Compare two `symusic.Score`s in ticks, each with its own ticks a quarter.

    A note is found where the other score has one of its pitch within half a quarter, in the order
    of their onsets: one of its program, else of any.
    """
    ours, theirs = _Notes.of(original), _Notes.of(decoded)
    trip = RoundTrip(notes=len(ours.onset), tempo_drift_s=_drift(original, decoded, ours.onset))
    paired: dict[int, int] = {}
    for same_program in (True, False):
        there = theirs.by_key(same_program, set(paired.values()))
        for key, mine in ours.by_key(same_program, paired.keys()).items():
            pairs = _pair(mine, there.get(key, []), ours.onset, theirs.onset)
            if not same_program:
                trip.programs += len(pairs)
            paired |= pairs
    for i, j in paired.items():
        trip.onset.add(abs(ours.onset[i] - theirs.onset[j]))
        trip.duration.add(abs(ours.duration[i] - theirs.duration[j]))
    trip.lost, trip.added = len(ours.onset) - len(paired), len(theirs.onset) - len(paired)
    return trip


@dataclass(slots=True)
class _Notes:
    """The notes of a score by onset and duration, in quarters, with pitch and program."""

    onset: list[float]
    duration: list[float]
    pitch: list[int]
    program: list[int]

    @classmethod
    def of(cls, score: Any) -> "_Notes":
        rows: list[tuple[int, int, int, int]] = []
        for track in score.tracks:
            columns = track.notes.numpy()
            program = _DRUMS if track.is_drum else track.program
            times, durations, pitches = (
                columns[name].tolist() for name in ("time", "duration", "pitch")
            )
            rows += zip(times, durations, pitches, [program] * len(times), strict=True)
        rows.sort()
        tpq = score.ticks_per_quarter
        return cls(
            [row[0] / tpq for row in rows],
            [row[1] / tpq for row in rows],
            [row[2] for row in rows],
            [row[3] for row in rows],
        )

    def by_key(
        self, by_program: bool, without: Collection[int]
    ) -> dict[tuple[int, int], list[int]]:
        """Return the numbers of the notes of each pitch (and program), but those `without`."""
        found: dict[tuple[int, int], list[int]] = defaultdict(list)
        for i, (pitch, program) in enumerate(zip(self.pitch, self.program, strict=True)):
            if i not in without:
                found[pitch, program if by_program else 0].append(i)
        return found


def _pair(
    mine: Sequence[int], there: Sequence[int], onset: Sequence[float], onset_there: Sequence[float]
) -> dict[int, int]:
    """Return which of `there` each of `mine` is; both in the order of their onsets.

    Where one side has more left than the other, a note waits for the nearer partner.
    """
    pairs: dict[int, int] = {}
    i = j = 0
    while i < len(mine) and j < len(there):
        off = onset_there[there[j]] - onset[mine[i]]
        spare = (len(mine) - i) - (len(there) - j)
        if off > _NEAR or (
            spare > 0 and abs(onset_there[there[j]] - onset[mine[i + 1]]) < abs(off)
        ):
            i += 1
        elif off < -_NEAR or (
            spare < 0 and abs(onset_there[there[j + 1]] - onset[mine[i]]) < abs(off)
        ):
            j += 1
        else:
            pairs[mine[i]] = there[j]
            i, j = i + 1, j + 1
    return pairs


def _drift(original: Any, decoded: Any, onsets: Sequence[float]) -> float:
    """Return the most seconds that the two scores' clocks are apart at `onsets`, in quarters."""
    import numpy as np

    places = np.array(onsets)
    apart = np.abs(_seconds(original, places) - _seconds(decoded, places))
    return float(apart.max(initial=0.0))


def _seconds(score: Any, quarters: "np.ndarray") -> "np.ndarray":
    """Return when `quarters` (N,) sound under the score's tempos; 120 a minute until they begin."""
    import numpy as np

    tempos = score.tempos.numpy()
    start = np.concatenate(([0.0], tempos["time"] / score.ticks_per_quarter))
    length = np.concatenate(([_DEFAULT_MSPQ], tempos["mspq"])) / 1e6
    clock = np.concatenate(([0.0], np.cumsum(np.diff(start) * length[:-1])))
    row = np.searchsorted(start, quarters, side="right") - 1
    return clock[row] + (quarters - start[row]) * length[row]

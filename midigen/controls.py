"""What samples may hold: programs, pitches, a key, a tempo: as masks over a model's ids."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from midigen.content import word
from midigen.errors import MidigenError, UsageError
from midigen.keys import Key, read_key
from midigen.pitchnames import pitch_of, read_classes

if TYPE_CHECKING:
    import numpy as np

    from midigen.plan import Plan

_MAJOR = frozenset((0, 2, 4, 5, 7, 9, 11))
_MINOR = frozenset((0, 2, 3, 5, 7, 8, 10, 11))
"""Natural minor and its leading note."""
_PITCHED = ("pitch", "noteon", "note")
_RELATIVE = ("pitchintervaltime", "pitchintervalchord")
_SLOWEST, _FASTEST = 10.0, 1000.0


@dataclass(frozen=True, slots=True)
class Controls:
    """What is asked of the notes of samples; None: anything.

    programs: -1 is drums. pitches: lowest and highest, 0..127, of what is no drum. tempo: quarters
    a minute; said before the first note and never changed.
    """

    programs: frozenset[int] | None = None
    pitches: tuple[int, int] | None = None
    key: Key | None = None
    tempo: float | None = None

    def __bool__(self) -> bool:
        return self != Controls()

    def to_json(self) -> dict[str, Any]:
        """Return what is asked, as `gen` keeps it."""
        found: dict[str, Any] = {}
        if self.programs is not None:
            found["programs"] = sorted(self.programs)
        if self.pitches is not None:
            found["pitches"] = list(self.pitches)
        if self.key is not None:
            found["key"] = str(self.key)
        if self.tempo is not None:
            found["tempo"] = self.tempo
        return found

    def banned(self, plan: "Plan") -> Iterator[int]:
        """Yield the base ids that may not come.

        Raises MidigenError where the vocabulary does not say what is asked, or has nothing of it.
        """
        vocab = plan.vocab.base
        words = [word(kind) for kind in vocab.types]
        if self.programs is not None:
            values = {i: int(vocab.values[i]) for i, w in enumerate(words) if w == "program"}
            yield from self._others("--program", values, self.programs)
        if self.pitches is None and self.key is None:
            return
        if any(w in _RELATIVE for w in words):
            raise MidigenError(f"{plan.vocab.tok} has intervals: no --pitch-range and no --key")
        chords = {
            i: pitches
            for i, w in enumerate(words)
            if w in _PITCHED and (pitches := _pitches(vocab.values[i]))
        }
        classes = {
            i: found
            for i, w in enumerate(words)
            if w == "chord" and (found := read_classes(vocab.values[i]))
        }
        if classes and self.pitches is not None:
            raise MidigenError(f"{plan.vocab.tok} has chords of no register: no --pitch-range")
        yield from (i for i, found in classes.items() if not all(map(self._fits, found)))
        fitting = {i for i, pitches in chords.items() if all(map(self._fits, pitches))}
        if not fitting:
            raise MidigenError(f"{plan.vocab.tok} has no pitches of this range or key")
        yield from chords.keys() - fitting

    def _others(self, option: str, values: dict[int, int], kept: frozenset[int]) -> list[int]:
        if not values:
            raise MidigenError(f"the tokenizer has no tokens that say the program: no {option}")
        if kept.isdisjoint(values.values()):
            raise MidigenError(f"{option}: the tokenizer has none of these programs")
        return [i for i, value in values.items() if value not in kept]

    def _fits(self, pitch: int) -> bool:
        low, high = self.pitches or (0, 127)
        if not low <= pitch <= high:
            return False
        if self.key is None:
            return True
        scale = _MINOR if self.key.is_minor else _MAJOR
        return (pitch - self.key.tonic) % 12 in scale


class Masks:
    """`Controls` over the ids of a model.

    allowed: bool (V,), what may come at all. tempo: the base id of the tempo, None for any.
    """

    def __init__(self, controls: Controls, plan: "Plan") -> None:
        vocab = plan.vocab.base
        banned = set(controls.banned(plan))
        self.tempo: int | None = None
        if controls.tempo is not None:
            tempos = {i: float(vocab.values[i]) for i, t in enumerate(vocab.types) if t == "Tempo"}
            if not tempos:
                raise MidigenError(f"{plan.vocab.tok} has no tokens of tempo: no --tempo")
            wanted = controls.tempo
            self.tempo = min(tempos, key=lambda i: abs(tempos[i] - wanted))
            banned |= tempos.keys() - {self.tempo}
        self.allowed: np.ndarray = ~plan.holding(banned)
        if self.tempo is not None:
            self._before = self._not_before_tempo(plan)

    def _not_before_tempo(self, plan: "Plan") -> "np.ndarray":
        """Return bool (V,): the ids in which a note, or a later place, is before a tempo."""
        import numpy as np

        vocab = plan.vocab
        later = {
            i
            for i, (kind, value) in enumerate(zip(vocab.base.types, vocab.base.values, strict=True))
            if word(kind) in ("program", "pitch", "pitchdrum", "noteon", "drumon", "rest")
            or (kind == "Position" and value != "0")
        }

        def too_late(id: int) -> bool:
            for base in vocab.expansion(id):
                if base == self.tempo:
                    return False
                if base in later:
                    return True
            return False

        return np.array([too_late(id) for id in range(len(vocab))])

    def apply(self, allowed: "np.ndarray", *, has_tempo: bool, has_bar: bool, plan: "Plan") -> Any:
        """Return what is left of `allowed`, bool (V,).

        has_tempo: whether the sample has said its tempo. has_bar: whether its first bar has begun.
        """
        left = allowed & self.allowed
        if self.tempo is None or has_tempo:
            return left
        first = left & ~self._before
        if has_bar:
            first &= ~plan.starts_bar
        # A vocabulary may say tempos elsewhere than in front.
        return first if first.any() else left


def _pitches(value: str) -> list[int]:
    """Return the pitches of a token's value: ``60``, ``C4`` or ``C4.E4``; none of anything else."""
    if value.isdecimal():
        return [int(value)]
    found = [pitch_of(name) for name in value.split(".")]
    return [pitch for pitch in found if pitch is not None] if None not in found else []


def read_pitch_range(text: str) -> tuple[int, int]:
    """Read ``C3:C6`` or ``48:84``; one side may be missing. Raises UsageError."""
    low, colon, high = text.partition(":")
    ends = [_read_pitch(low, 0), _read_pitch(high, 127)]
    if not colon or None in ends or text == ":":
        raise UsageError(f"--pitch-range {text!r} is not a range like C3:C6, 48:84 or C3:")
    first, last = int(ends[0] or 0), int(ends[1] or 0)
    if first > last:
        raise UsageError(f"--pitch-range {text!r} ends below its beginning")
    return first, last


def _read_pitch(text: str, default: int) -> int | None:
    if not text:
        return default
    if text.isdecimal():
        return int(text) if int(text) <= 127 else None
    return pitch_of(text[:1].upper() + text[1:])


def read_control_key(text: str) -> Key:
    """Read the key of ``--key``. Raises UsageError."""
    key = read_key(text)
    if key is None:
        raise UsageError(f"--key {text!r} is not a key like C, Eb, F#m or 'a minor'")
    return key


def read_tempo(value: float) -> float:
    """Return a tempo in quarters a minute. Raises UsageError."""
    if not _SLOWEST <= value <= _FASTEST:
        raise UsageError(f"--tempo {value:g} is not in {_SLOWEST:g}..{_FASTEST:g}")
    return value

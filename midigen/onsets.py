"""The notes at the onset where a sample stands: none comes twice, and they are not too many.

A model that has begun to repeat itself writes one note again and again, and, where that is
forbidden, one pitch after another, without moving on. Streams may hold what files hold; samples
need no doubled notes, and of all onsets in the corpus 2 in 10,000 have more than `MOST` notes.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from midigen.content import word
from midigen.modelvocab import ModelVocab

if TYPE_CHECKING:
    import numpy as np

MOST = 16
"""Notes of one onset."""

_NOTES = ("pitch", "pitchdrum", "noteon", "drumon")
_MOVES = ("bar", "timeshift", "rest", "track")
_PLACES = ("position", "offset")
"""These name a place: the same one again is no move."""

_PASSES = ("bar", "timeshift", "rest", "time1", "time2")
"""What lets time pass, unless its value is none."""

_NO_TIME = "0.0.1"
"""The shift between two notes of one onset, where notes are always told apart by one."""

_UNSAID = -1
"""The place or program of a note that an id writes where another id has said it."""


class Note(NamedTuple):
    """The base ids that name a note's place and program, and that of its pitch."""

    place: int
    program: int
    pitch: int


class Onset(NamedTuple):
    """Where a sample stands: the place and the program last named, and the notes there so far."""

    place: int = _UNSAID
    program: int = _UNSAID
    notes: tuple[Note, ...] = ()


class Onsets:
    """Which ids of a model write notes where a sample stands.

    Vocabularies of whole events, and those without such tokens or without time, have none.
    """

    def __init__(self, vocab: ModelVocab, unit: int) -> None:
        words = [word(kind) for kind in vocab.base.types]
        self._sounds = frozenset(i for i, kind in enumerate(words) if kind in _NOTES)
        values = vocab.base.values
        passes = (i for i, kind in enumerate(words) if kind in _PASSES)
        self._passes = frozenset(i for i in passes if values[i] not in (_NO_TIME, "0"))
        self._bars = frozenset(i for i, kind in enumerate(words) if kind == "bar")
        words = words if unit == 1 else []
        self._notes = frozenset(i for i, kind in enumerate(words) if kind in _NOTES)
        self._programs = frozenset(i for i, kind in enumerate(words) if kind == "program")
        self._places = frozenset(i for i, kind in enumerate(words) if kind in _PLACES)
        moves = [i for i, kind in enumerate(words) if kind in _MOVES]
        self._moves = frozenset(i for i in moves if vocab.base.values[i] != _NO_TIME)
        zeros = frozenset(moves) - self._moves
        self._heads = self._places | self._programs | self._notes | zeros
        self._writes: dict[Note, list[int]] = {}
        """The ids that write a note, as far as they name it."""
        self._stays: dict[int, list[int]] = {}
        """By the place that they name: the ids that write, or announce, a note there."""
        if self._notes and (self._moves or self._places):
            for id in range(len(vocab)):
                self._sort(id, vocab.expansion(id))

    def _sort(self, id: int, base: Iterable[int]) -> None:
        """Find what `id` writes before it moves on. A place is named for a note there."""
        place = program = _UNSAID
        writes = stays = False
        for i in base:
            if i in self._moves or (i in self._places and stays):
                stays = writes
                break
            stays = stays or i in self._heads
            if i in self._places:
                place = i
            elif i in self._programs:
                program, writes = i, True
            elif i in self._notes:
                writes = True
                self._writes.setdefault(Note(place, program, i), []).append(id)
        if stays:
            self._stays.setdefault(place, []).append(id)

    def sounds(self, base: Iterable[int]) -> bool:
        """Return whether base ids write a note."""
        return not self._sounds.isdisjoint(base)

    def passes(self, base: Iterable[int], *, counts_bars: bool = True) -> bool:
        """Return whether base ids let time pass. counts_bars: also by a token for a bar."""
        return not (self._passes if counts_bars else self._passes - self._bars).isdisjoint(base)

    @property
    def has_notes(self) -> bool:
        """Whether it can be told what writes a note, and where."""
        return bool(self._writes)

    @property
    def has_sounds(self) -> bool:
        """Whether it can be told what writes a note."""
        return bool(self._sounds)

    def behind(self, onset: Onset, base: Sequence[int]) -> Onset:
        """Return where a sample stands behind more base ids."""
        place, program, notes = onset
        for id in base:
            if id in self._notes:
                notes = (*notes, Note(place, program, id))
            elif id in self._programs:
                program = id
            elif id in self._moves or (id in self._places and id != place):
                place, notes = id, ()
        return Onset(place, program, notes)

    def forbidden(self, onset: Onset) -> "np.ndarray | None":
        """Return ids (K,), some maybe twice, that would write a note too many; None for none."""
        import numpy as np

        if not self._writes or not onset.notes:
            return None
        found: list[int] = []
        if len(onset.notes) >= MOST:
            for place in (_UNSAID, onset.place):
                found += self._stays.get(place, ())
        for _, program, pitch in onset.notes:
            for place in (_UNSAID, onset.place):
                found += self._writes.get(Note(place, program, pitch), ())
                if program == onset.program and program != _UNSAID:
                    found += self._writes.get(Note(place, _UNSAID, pitch), ())
        return np.array(found, dtype=np.int64)

"""Copies of records, transposed or played louder and softer: the originals always pass.

The draws are a function of (seed, id, aug): the same in any order of the stream. Parts of one file
that follow one another get the same copies, so that they still fit together.
"""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import compress, product
from typing import NamedTuple

import numpy as np

from midigen import rng
from midigen.errors import DataError, MidigenError, Reject, UsageError
from midigen.jsonl import RecordReader
from midigen.keys import shift_key
from midigen.moves import Moves
from midigen.programs import DRUMS
from midigen.record import Record, check_ids
from midigen.rejects import Rejects
from midigen.tokenizers import tokenizer_of
from midigen.twins import piece_id


@dataclass(frozen=True)
class Plan:
    """What copies to make; 0 leaves pitch or velocity alone.

    shift: semitones up and down at most. velocity: velocity tokens up and down at most. copies: how
    many a piece, None for every possible one. Raises UsageError for a plan that changes nothing.
    """

    shift: int = 0
    velocity: int = 0
    copies: int | None = 2
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.shift and not self.velocity:
            raise UsageError("nothing to do: give --shift N or --velocity N")

    @property
    def keys(self) -> set[str]:
        """The keys of `aug` that the copies get."""
        return {name for name in ("shift", "velocity") if getattr(self, name)}


def read_copies(text: str) -> int | None:
    """Read ``--copies``: a number from 1, or ``all`` (None)."""
    if text != "all" and (not text.isdecimal() or int(text) < 1):
        raise UsageError(f"--copies {text!r} is not a number from 1, or all")
    return None if text == "all" else int(text)


class Change(NamedTuple):
    shift: int
    velocity: int


class Part:
    """One record in arrays: what can be done to it, and the doing.

    has_notes: whether there are any that a transposition moves.
    Raises MidigenError where its vocabulary is not to be had or lacks what the plan moves, Reject
    (``record``) for ids that are not of it.
    """

    def __init__(self, record: Record, plan: Plan) -> None:
        self.record = record
        self._moves = _moves_of(record["tok"])
        self._shifts = self._moves.shifts(plan.shift) if plan.shift else None
        self._velocities = self._moves.velocities(plan.velocity) if plan.velocity else None
        size, unit = len(self._moves.vocab), self._moves.unit
        self._ids = np.array(array("I", record["ids"]), dtype=np.intp)  # (T,)
        if len(self._ids) and self._ids.max() >= size:
            try:
                check_ids(record["ids"], size)
            except MidigenError as error:
                raise Reject("record", str(error)) from error
        if len(self._ids) % unit:
            raise Reject("record", f"{len(self._ids)} ids are not whole events of {unit}")
        if record["meta"].get("program") == DRUMS:
            self._fixed = np.flatnonzero(self._moves.pitch.take(self._ids) >= 0)
        else:
            self._fixed = self._moves.drum_places(self._ids)
        self._used = np.flatnonzero(self._counts())
        self.has_notes = bool((self._moves.pitch[self._used] >= 0).any())

    def _counts(self) -> np.ndarray:
        """Return (V,) how often every id stands, but for pitches that stay."""
        size = len(self._moves.vocab)
        counts = np.bincount(self._ids, minlength=size)
        if len(self._fixed):
            counts -= np.bincount(self._ids[self._fixed], minlength=size)
        return counts

    def shifts(self) -> tuple[list[int], np.ndarray]:
        """Return S transpositions and (S,) bool, at which of them all notes stay in range."""
        if self._shifts is None:
            return [0], np.array([True])
        steps = np.array(self._shifts.steps)
        leaves = np.any(self._shifts.leaves[:, self._used], axis=1)
        if self._moves.intervals.present and self.has_notes:
            reached, pitch = self._moves.intervals.pitches(self._ids), self._moves.pitch
            leaves |= reached.min() + steps < pitch[pitch >= 0].min()
            leaves |= reached.max() + steps > pitch.max()
        return self._shifts.steps, ~leaves

    def velocities(self) -> tuple[list[int], np.ndarray]:
        """Return S changes of velocity and (S,) bool, which of them change anything."""
        if self._velocities is None:
            return [0], np.array([True])
        changes = np.any(self._velocities.changes[:, self._used], axis=1)
        return self._velocities.steps, changes

    def changed(self, change: Change) -> Record:
        """Return the copy; `id` stays, `aug` and the key tell."""
        ids, record = self._ids, self.record
        aug, meta = dict(record["aug"]), record["meta"]
        if self._shifts is not None:
            ids = self._shifts.to(change.shift).take(ids)
            ids[self._fixed] = self._ids[self._fixed]
            aug["shift"] = change.shift
            if "key" in meta:
                meta = _with_key(meta, change.shift)
        if self._velocities is not None:
            ids = self._velocities.to(change.velocity).take(ids)
            aug["velocity"] = change.velocity
        return record | {"ids": ids, "meta": meta, "aug": aug}


@cache
def _moves_of(tok: str) -> Moves:
    return Moves(tokenizer_of(tok))


def _with_key(meta: Record, shift: int) -> Record:
    """Return `meta` with its key moved; one that cannot be read would be wrong and goes."""
    key = shift_key(meta["key"], shift)
    rest = {name: value for name, value in meta.items() if name != "key"}
    return meta | {"key": key} if key is not None else rest


class Augmenter:
    """Makes the copies of one piece after another, and counts.

    fewer: pieces that got fewer copies than asked, because no more of them fit.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.copies = 0
        self.fewer = 0

    def copies_of(self, parts: Sequence[Part]) -> Iterator[Record]:
        """Yield the copies of a piece, each as one record a part, in the order of the parts."""
        changes = self._possible(parts)
        wanted = self.plan.copies
        if wanted is not None:
            self.fewer += len(changes) < wanted
            first = parts[0].record
            changes = rng.sample(
                changes, wanted, self.plan.seed, piece_id(first), first["aug"], "tokaug"
            )
        for change in changes:
            for part in parts:
                self.copies += 1
                yield part.changed(change)

    def _possible(self, parts: Sequence[Part]) -> list[Change]:
        """Return the changes that fit all parts and change at least one."""
        if self.plan.shift and not any(part.has_notes for part in parts):
            return []
        shifts, fit = zip(*(part.shifts() for part in parts), strict=True)
        steps, vary = zip(*(part.velocities() for part in parts), strict=True)
        fitting = compress(shifts[0], np.all(fit, axis=0).tolist())
        varying = compress(steps[0], np.any(vary, axis=0).tolist())
        return [Change(*both) for both in product(fitting, varying)]


def augmented(
    reader: RecordReader, augmenter: Augmenter, rejects: Rejects
) -> Iterator[bytes | Record]:
    """Yield the lines of the originals as they were read, and the copies as records.

    A piece's copies follow it; where parts of a file follow one another, all of them.
    A record that was already changed in one of the ways asked for passes as it is.
    """
    parts: list[Part] = []
    for record in reader:
        if parts and not _continues(parts[-1].record, record):
            yield from augmenter.copies_of(parts)
            parts = []
        if not augmenter.plan.keys.isdisjoint(record["aug"]):
            yield reader.raw
            continue
        try:
            part = Part(record, augmenter.plan)
        except Reject as reject:
            rejects.add(reader.where, reject.reason, reject.detail, id=record["id"])
            continue
        except MidigenError as error:
            raise DataError(reader.where, str(error)) from error
        yield reader.raw
        parts.append(part)
    if parts:
        yield from augmenter.copies_of(parts)


def _continues(last: Record, record: Record) -> bool:
    """Return whether `record` is the next part of the file that `last` is a part of."""
    return (
        "part" in last
        and "part" in record
        and record["part"] == [last["part"][0] + 1, last["part"][1]]
        and piece_id(record) == piece_id(last)
        and all(record.get(key) == last.get(key) for key in ("tok", "aug", "cut"))
    )

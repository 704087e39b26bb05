"""Which records pass: each option is a test that says why a record does not."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from midigen import criteria
from midigen.criteria import Range, WhyNot
from midigen.errors import DataError, MidigenError, UsageError
from midigen.jsonl import RecordReader
from midigen.programs import find
from midigen.record import Record
from midigen.rejects import Rejects
from midigen.twins import Twins
from midigen.where import Where


class Test(NamedTuple):
    """name: the option. why_not: None for a record that passes, else what stands against it."""

    name: str
    why_not: WhyNot


class Dropped(NamedTuple):
    reason: str
    detail: str


@dataclass(frozen=True)
class Selection:
    """What `tokfilter` was asked for; None and empty: not asked.

    sizes: least and most by name (``notes``, ``tokens``, ``bars``, ``seconds``, ``tracks``). A
    record whose value is not known does not pass a test of it.
    """

    genre: Sequence[str] = ()
    artist: Sequence[str] = ()
    year: str | None = None
    split: str | None = None
    sizes: Mapping[str, Range] = field(default_factory=dict)
    program: Sequence[str] = ()
    drums: bool | None = None
    time_signature: Sequence[str] = ()
    where: Where | None = None
    sample: float | None = None
    seed: int = 0
    dedupe: str | None = None

    def tests(self) -> list[Test]:
        """Return the tests in the order they are made. Raises UsageError for a value that no
        record could have.

        The cheap ones come first; `sample` and `dedupe` see only what passes everything else.
        """
        return [*self._meta_tests(), *self._size_tests(), *self._content_tests(), *self._draws()]

    def _meta_tests(self) -> Iterator[Test]:
        for key, wanted in (("genre", self.genre), ("artist", self.artist)):
            if wanted:
                yield Test(key, criteria.named(key, wanted))
        if self.year is not None:
            yield Test("year", criteria.in_years(self.year))
        if self.split is not None:
            yield Test("split", criteria.in_split(self.split))

    def _size_tests(self) -> Iterator[Test]:
        for key, (low, high) in self.sizes.items():
            if low is not None:
                yield Test(f"min-{key}", criteria.at_least(key, low))
            if high is not None:
                yield Test(f"max-{key}", criteria.at_most(key, high))

    def _content_tests(self) -> Iterator[Test]:
        if self.program:
            yield Test("program", criteria.plays(frozenset().union(*map(find, self.program))))
        if self.drums is not None:
            yield Test("drums" if self.drums else "no-drums", criteria.has_drums(self.drums))
        if self.time_signature:
            yield Test("time-signature", criteria.in_signatures(self.time_signature))
        if self.where is not None:
            holds = self.where.test
            yield Test("where", lambda record: None if holds(record) else "it does not hold")

    def _draws(self) -> Iterator[Test]:
        if self.sample is not None:
            yield Test("sample", criteria.drawn(self.sample, self.seed))
        if self.dedupe == "exact":
            yield Test("dedupe", Twins().why_not)
        elif self.dedupe is not None:
            raise UsageError(f"--dedupe {self.dedupe!r} is not one of: exact")


class Filter:
    """Applies tests in order. inverted: exactly what would not pass does."""

    def __init__(self, tests: Sequence[Test], *, inverted: bool = False) -> None:
        if inverted and not tests:
            raise UsageError("--invert: there is no other option to invert")
        self._tests = tests
        self._inverted = inverted

    def drops(self, record: Record) -> Dropped | None:
        """Return None if the record passes, else the option that drops it and why."""
        for test in self._tests:
            detail = test.why_not(record)
            if detail is not None:
                return None if self._inverted else Dropped(test.name, detail)
        return Dropped("invert", "it passes all the others") if self._inverted else None


def passing(
    reader: RecordReader, chosen: Filter, dropped: Rejects, limit: int | None = None
) -> Iterator[bytes]:
    """Yield the lines, as they were read, of the records that pass: at most `limit`.

    What does not is added to `dropped`, the option as its reason. Raises DataError where a record's
    vocabulary is needed and not to be had.
    """
    passed = 0
    for record in reader:
        try:
            why = chosen.drops(record)
        except MidigenError as error:
            raise DataError(reader.where, str(error)) from error
        if why is not None:
            dropped.add(reader.where, why.reason, why.detail, id=record["id"])
            continue
        yield reader.raw
        passed += 1
        if passed == limit:
            return

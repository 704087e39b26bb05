"""`midi2tok` as a whole: sources to workers to one stream of records."""

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from midigen.assignments import read_assignments
from midigen.chunks import encode_files
from midigen.encoding import FileEncoder, Lines
from midigen.errors import MidigenError, UsageError
from midigen.ingest import DEFAULT_LIMITS, Limits
from midigen.protocols import Executor
from midigen.registry import load
from midigen.sources import Inputs, Source, find_sources
from midigen.spec import parse_spec

if TYPE_CHECKING:
    from midigen.cli._edge import Run
    from midigen.roundtrip import RoundTrip

DEFAULT_TOKENIZER = "remi"
FEW_FILES = 64
"""Up to so many files one worker is as quick as several."""


@dataclass(slots=True)
class Totals:
    """What the summary says."""

    files: int = 0
    records: int = 0
    notes: int = 0
    tokens: int = 0
    lossy: Counter[str] = field(default_factory=Counter)
    rungs: Counter[str] = field(default_factory=Counter)
    trip: "RoundTrip | None" = None
    started: float = field(default_factory=time.monotonic)

    def add(self, lines: Lines) -> None:
        self.files += lines.files
        self.records += lines.records
        self.notes += lines.notes
        self.tokens += lines.tokens
        self.lossy.update(lines.lossy)
        self.rungs.update(lines.rungs)
        if self.trip is None:
            self.trip = lines.trip
        elif lines.trip is not None:
            self.trip.join(lines.trip)

    def summary(self) -> str:
        """Return ``3 files, 3 records, 1,204 notes, 5,020 tokens in 0.2 s; 1 salvaged; ...``."""
        seconds = time.monotonic() - self.started
        text = (
            f"{self.files:,} files, {self.records:,} records, {self.notes:,} notes,"
            f" {self.tokens:,} tokens in {seconds:.1f} s"
        )
        if self.rungs:
            text += "; " + ", ".join(f"{n:,} {rung}" for rung, n in sorted(self.rungs.items()))
        if self.lossy:
            text += "; lossy: " + ", ".join(f"{n:,} {word}" for word, n in self.lossy.items())
        return text if self.trip is None else f"{text}; {self.trip.summary()}"


def convert(
    run: "Run",
    inputs: Inputs,
    *,
    tokenizer: str | None = None,
    model: str | None = None,
    pedal: str = "drop",
    assignments: Iterable[str] = (),
    limits: Limits = DEFAULT_LIMITS,
    jobs: int | None = None,
    timeout: float = 60.0,
    executor: str = "local",
    output: str = "-",
    force: bool = False,
    rejects: str | None = None,
    check: str | None = None,
    strict: bool = False,
) -> None:
    """Write the records of all inputs, in order, and say the summary.

    jobs: worker processes; None: one, or one a core for more than `FEW_FILES` files. timeout: in
    seconds, for one file. pedal: one of `midigen.pedal.WAYS`. check: a file to which a JSON line
    a file is appended: what is lost on its way to tokens and back. strict: the first reject, or
    file that the vocabulary cannot hold, raises DataError.
    """
    totals = Totals()
    inputs = inputs.resolve()
    if inputs.on_stdin:
        run.inputs(["-"])
    encoder = _make_encoder(
        *(tokenizer, model, pedal),
        meta=read_assignments(assignments),
        limits=limits,
        strict=strict,
        check=check is not None,
    )
    for remark in getattr(encoder.tokenizer, "remarks", ()):
        run.message(remark)
    with (
        run.rejects(rejects, strict) as collector,
        _appending(check) as checks,
        run.output(output, force=force) as file,
    ):
        found: Iterable[Source] = find_sources(inputs.names(), collector)
        total = None
        if inputs.files_from != "-":
            found = list(found)
            total = len(found)
        sources = iter(found)
        if jobs is None:
            head = list(islice(sources, FEW_FILES + 1))
            sources = chain(head, sources)
            jobs = _cores() if len(head) > FEW_FILES else 1
        workers = _load_executor(executor, jobs)
        with (
            run.progress(total=total, unit="file") as bar,
            closing(encode_files(sources, encoder, workers, jobs, timeout)) as results,
        ):
            for count, lines in results:
                for reject in lines.rejects:
                    collector.add(*reject)
                file.write(lines.data)
                if checks is not None:
                    checks.write(lines.checks)
                if output == "-":
                    file.flush()
                totals.add(lines)
                bar.update(count)
        run.finish(totals.files, totals.summary(), collector)


def _make_encoder(
    tokenizer: str | None, model: str | None, pedal: str, **options: Any
) -> FileEncoder:
    """Return the encoder of a spec (with or without #fingerprint), of a model, or the default."""
    if tokenizer and model:
        raise UsageError("--tokenizer and -m both name a tokenizer; give one")
    spec, _, fingerprint = (tokenizer or DEFAULT_TOKENIZER).partition("#")
    if model:
        from midigen.checkpoints import find
        from midigen.modelfolder import tokenizer_text

        spec, fingerprint = tokenizer_text(find(model))
    if pedal != "drop":
        if model:
            raise UsageError("-m says what becomes of the pedal; leave out --pedal")
        from midigen.pedal import spec_for

        spec = spec_for(spec, pedal)
    encoder = FileEncoder(spec, **options)
    if fingerprint and encoder.tok.rpartition("#")[2] != fingerprint:
        raise MidigenError(f"tokenizer {spec}#{fingerprint}: the vocabulary is {encoder.tok} here")
    encoder.warm_up()
    return encoder


@contextmanager
def _appending(path: str | None) -> Iterator[BinaryIO | None]:
    """Yield a file that whole lines are appended to, each write at once; None without a name."""
    if path is None:
        yield None
        return
    with Path(path).open("ab", buffering=0) as file:
        yield cast(BinaryIO, file)


def _load_executor(spec: str, jobs: int) -> Executor:
    name, arg = parse_spec(spec)
    executor: Executor = load("executors", name)(arg, jobs)
    return executor


def _cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

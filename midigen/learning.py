"""`midigen learn`: a tokenizer's vocabulary out of MIDI files, into a ``*.tok.json``."""

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from midigen.atomic import refuse_existing
from midigen.chunks import encode_files
from midigen.conversion import FEW_FILES
from midigen.encoding import Lines
from midigen.errors import MidigenError, Reject
from midigen.ingest import ingest
from midigen.registry import load
from midigen.rejects import Rejects
from midigen.sources import Inputs, Source, find_sources, name_of, read_source
from midigen.spec import parse_params, parse_spec

if TYPE_CHECKING:
    from midigen.cli._edge import Run


class Learner(Protocol):
    """What ``learner(**params)`` of a tokenizer class returns, where its vocabulary can be learned.

    things: what is learned, in the plural: ``chords``.
    """

    things: str

    def count(self, x: Any) -> Counter[str]:
        """Return how often each of them occurs in a `symusic.Score` in ticks."""
        ...

    def transposed(self, counts: Mapping[str, int], most: int) -> Counter[str]:
        """Return what was counted, transposed by up to `most` semitones, both ways.

        What differs by a transposition has one count, that of all together.
        """
        ...

    def definition(self, own: list[str], transposed: list[str]) -> dict[str, Any]:
        """Return what the class's `from_definition` takes.

        own: what the files have. transposed: what only its transpositions have. The most frequent
        first.
        """
        ...


def load_learner(spec: str) -> Learner:
    """Return the learner of a spec from the command line.

    Raises MidigenError for a tokenizer that has none.
    """
    name, arg = parse_spec(spec)
    kind = load("tokenizers", name)
    if not hasattr(kind, "learner"):
        raise MidigenError(
            f"the vocabulary of {name} is fixed; what is learned for every tokenizer are merges:"
            " toktrain --bpe"
        )
    learner: Learner = kind.learner(**parse_params(arg))
    return learner


class FileCounter:
    """Counts what a learner looks for in files. Picklable, as a worker needs it."""

    def __init__(self, spec: str) -> None:
        self._spec = spec
        self._learner = load_learner(spec)

    def __reduce__(self) -> tuple[Any, ...]:
        return FileCounter, (self._spec,)

    def __call__(self, sources: Sequence[Source]) -> Lines:
        """Return one line: the counts of all `sources` together, as a JSON object."""
        lines, counts = Lines(), Counter[str]()
        for source in sources:
            try:
                score = ingest(read_source(source)).score
            except Reject as reject:
                lines.rejects.append((name_of(source), reject.reason, reject.detail))
                continue
            counts += self._learner.count(score)
            lines.files += 1
        lines.data = orjson.dumps(counts, option=orjson.OPT_APPEND_NEWLINE)
        return lines


def choose(counts: Mapping[str, int], least: int, most: int | None) -> list[str]:
    """Return the names that occur `least` times, at most `most` of them, the most frequent first.

    Of equally frequent ones the first in the alphabet.
    """
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [name for name, times in ranked[:most] if times >= least]


def learn(
    run: "Run",
    inputs: Inputs,
    tokenizer: str,
    *,
    least: int = 2,
    most: int | None = None,
    shift: int = 0,
    jobs: int | None = None,
    timeout: float = 60.0,
    output: str = "-",
    force: bool = False,
    rejects: str | None = None,
    strict: bool = False,
) -> None:
    """Write the vocabulary that the files of `inputs` give, and say the summary.

    least, most: as in `choose`. shift: take in what is transposed by up to so many semitones.
    jobs: worker processes; None: one, or one a core for more than `FEW_FILES` files. Raises
    MidigenError where nothing occurs often enough.
    """
    counter = FileCounter(tokenizer)
    learner = load_learner(tokenizer)
    if output != "-":
        refuse_existing(Path(output), force)
    inputs = inputs.resolve()
    if inputs.on_stdin:
        run.inputs(["-"])
    with run.rejects(rejects, strict) as collector:
        sources = list(find_sources(inputs.names(), collector))
        counts, files = _count(run, sources, counter, collector, jobs, timeout)
        text = f"{files:,} files, {counts.total():,} {learner.things}"
        if files:
            ranked = learner.transposed(counts, shift) if shift else counts
            names = choose(ranked, least, most)
            if not names:
                raise MidigenError(f"{text}: none occurs {least} times; lower --least")
            own = [name for name in names if name in counts]
            transposed = [name for name in names if name not in counts]
            _write(run, tokenizer, learner.definition(own, transposed), output, force)
            share = sum(counts[name] for name in own) / counts.total()
            text += f"; learned {len(names):,} of {len(ranked):,} kinds, {share:.1%} of all"
        run.finish(files, text, collector)


def _count(
    run: "Run",
    sources: list[Source],
    counter: FileCounter,
    collector: Rejects,
    jobs: int | None,
    timeout: float,
) -> tuple[Counter[str], int]:
    """Return the counts of all files, and how many could be read."""
    counts, files = Counter[str](), 0
    jobs = jobs or ((os.cpu_count() or 1) if len(sources) > FEW_FILES else 1)
    executor = load("executors", "local")("", jobs)
    with (
        run.progress(total=len(sources), unit="file") as bar,
        closing(encode_files(sources, counter, executor, jobs, timeout)) as results,
    ):
        for count, lines in results:
            for reject in lines.rejects:
                collector.add(*reject)
            counts += Counter(orjson.loads(lines.data or b"{}"))
            files += lines.files
            bar.update(count)
    return counts, files


def _write(
    run: "Run", tokenizer: str, definition: dict[str, Any], output: str, force: bool
) -> None:
    whole = {"midigen": parse_spec(tokenizer).name, **definition}
    with run.output(output, force=force) as file:
        file.write(json.dumps(whole, ensure_ascii=False, indent=1).encode() + b"\n")

"""MIDI files to record lines: what a worker of `midi2tok` does with some files at a time."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from midigen.batches import encode_many
from midigen.errors import MidigenError, Reject
from midigen.ingest import DEFAULT_LIMITS, Limits, ingest
from midigen.measure import Measure, measure_many
from midigen.parts import records_of
from midigen.protocols import Encoded, Tokenizer
from midigen.provenance import find_gen
from midigen.reasons import REASONS
from midigen.record import Record, short_hash
from midigen.registry import tokenizer as build_tokenizer
from midigen.sources import Source, name_of, read_source

if TYPE_CHECKING:
    from midigen.roundtrip import RoundTrip

A_NOTE = bytes.fromhex(
    "4d546864 00000006 0000 0001 0060"  # MThd: format 0, 1 track, 96 ticks a quarter
    "4d54726b 0000000c 00 90 3c 40 60 80 3c 00 00 ff 2f 00"  # MTrk: C4 on, off, end of track
)
"""The shortest useful MIDI file."""
_LINE = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE


@dataclass(slots=True)
class Lines:
    """What became of some files.

    data: their records, whole lines. files, records, notes, tokens: how many are in it. rejects:
    (src, reason, detail). lossy: files by what the vocabulary could not hold of them. rungs: files
    by `meta.ingest`. checks: a JSON line a file on its round trip. trip: all of these joined.
    """

    data: bytes = b""
    files: int = 0
    records: int = 0
    notes: int = 0
    tokens: int = 0
    rejects: list[tuple[str, str, str]] = field(default_factory=list)
    lossy: Counter[str] = field(default_factory=Counter)
    rungs: Counter[str] = field(default_factory=Counter)
    checks: bytes = b""
    trip: "RoundTrip | None" = None


@dataclass(slots=True)
class _File:
    """A source on its way through the stages; `reject` says that it ended at one."""

    source: Source
    id: str = ""
    md5: str = ""
    score: Any = None
    midi: bytes = b""
    rung: str = ""
    gen: dict[str, Any] | None = None
    measure: Measure | None = None
    encoded: Encoded | None = None
    trip: "RoundTrip | None" = None
    reject: Reject | None = None

    @property
    def lossy(self) -> tuple[str, ...]:
        return self.encoded.lossy if self.encoded is not None else ()


class FileEncoder:
    """Turns files into lines. Picklable: a worker that is not a fork builds its own tokenizer.

    spec: of the tokenizer, without fingerprint. meta: what every record gets. limits: larger scores
    are rejects. strict: a file that the vocabulary cannot hold as a whole is a reject (``lossy``).
    check: records are decoded again, and what is lost is reported.
    """

    def __init__(
        self,
        spec: str,
        meta: Mapping[str, Any],
        limits: Limits = DEFAULT_LIMITS,
        *,
        strict: bool = False,
        check: bool = False,
    ) -> None:
        """Raises MidigenError if there is no such tokenizer, or if it reads no scores."""
        self.tokenizer: Tokenizer = build_tokenizer(spec, trusted=True)
        if self.tokenizer.medium != "score":
            raise MidigenError(f"tokenizer {spec!r} reads {self.tokenizer.medium}, not MIDI")
        self.tok = f"{self.tokenizer.spec}#{self.tokenizer.vocab.fingerprint}"
        self._spec = spec
        self._meta = dict(meta)
        self._limits = limits
        self._strict = strict
        self._check = check

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self._spec, self._meta, self._limits, self._strict, self._check)

    def __call__(self, sources: Sequence[Source]) -> Lines:
        """Return the lines of `sources`, in order. All go through each stage together."""
        files = [_File(source) for source in sources]
        for file in files:
            _open(file, self._limits)
        alive = [file for file in files if file.reject is None]
        for file, measured in zip(alive, measure_many([f.score for f in alive]), strict=True):
            file.measure, file.reject = _settle(measured)
        alive = [file for file in alive if file.reject is None]
        for file, encoded in zip(alive, self._encode(alive), strict=True):
            file.encoded, file.reject = _settle(encoded)
            if self._check and file.encoded is not None:
                file.trip = self._round_trip(file)
        return self._lines(files)

    def _round_trip(self, file: _File) -> "RoundTrip":
        """Return what is lost of a file that was encoded."""
        from midigen.roundtrip import take_round_trip

        assert file.encoded is not None
        return take_round_trip(self.tokenizer, file.score, file.midi, file.encoded)

    def warm_up(self) -> None:
        """Load and build what encoding needs, so that a fork has it: workers then start in ms."""
        self([A_NOTE])

    def _encode(self, files: Sequence[_File]) -> list[Encoded | Reject]:
        """Encode files: in one go where the tokenizer can, their bytes where it wants those."""
        encode_midi_many = getattr(self.tokenizer, "encode_midi_many", None)
        if encode_midi_many is not None:
            results = encode_midi_many([file.midi for file in files])
        else:
            results = encode_many(self.tokenizer, [file.score for file in files])
        return list(map(self._judge, results))

    def _judge(self, result: Encoded | Reject) -> Encoded | Reject:
        """Reject what the vocabulary could not hold as a whole; keep to the reasons there are."""
        if isinstance(result, Reject):
            return result if result.reason in REASONS else Reject("tokenizer", str(result))
        if self._strict and result.lossy:
            return Reject("lossy", f"the vocabulary cannot hold its {', '.join(result.lossy)}")
        return result

    def _lines(self, files: Iterable[_File]) -> Lines:
        lines = Lines()
        data: list[bytes] = []
        checks: list[bytes] = []
        for file in files:
            if file.reject is not None:
                reject = (name_of(file.source), file.reject.reason, file.reject.detail)
                lines.rejects.append(reject)
                continue
            records = self._records(file)
            data += [orjson.dumps(record, option=_LINE) for record in records]
            lines.files += 1
            lines.records += len(records)
            lines.notes += sum(record["n"]["notes"] for record in records)
            lines.tokens += sum(len(record["ids"]) for record in records)
            lines.lossy.update(set(file.lossy))
            lines.rungs.update([file.rung] if file.rung else [])
            if file.trip is not None:
                known = {"src": name_of(file.source), "id": file.id}
                checks.append(orjson.dumps(known | file.trip.report(), option=_LINE))
                if lines.trip is None:
                    lines.trip = file.trip
                else:
                    lines.trip.join(file.trip)
        lines.data, lines.checks = b"".join(data), b"".join(checks)
        return lines

    def _records(self, file: _File) -> list[Record]:
        """Return the records of a file: one, or one a part."""
        assert file.encoded is not None and file.measure is not None
        meta: dict[str, Any] = {"ingest": file.rung} if file.rung else {}
        known: Record = {
            "id": file.id,
            "group": file.measure.group,
            "src": name_of(file.source),
            "md5": file.md5,
            "tok": self.tok,
            "n": file.measure.n,
            "meta": meta | self._meta,
        }
        if file.gen is not None:
            known["gen"] = file.gen
        return records_of(known, file.encoded, file.score)


def _rebuild(
    spec: str, meta: Mapping[str, Any], limits: Limits, strict: bool, check: bool
) -> FileEncoder:
    return FileEncoder(spec, meta, limits, strict=strict, check=check)


def _open(file: _File, limits: Limits) -> None:
    """Read and parse, or note why not."""
    try:
        data = read_source(file.source)
        file.score, file.midi, file.rung = ingest(data, limits)
    except Reject as reject:
        file.reject = reject
        return
    file.gen = find_gen(data)
    file.id = short_hash(data)
    file.md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()


def _settle(result: Any) -> tuple[Any, Reject | None]:
    """Return a stage's result as (value, None) or (None, reject)."""
    return (None, result) if isinstance(result, Reject) else (result, None)

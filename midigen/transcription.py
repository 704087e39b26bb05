"""Records from one representation to another: decoded, and encoded by the target's tokenizer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from midigen import registry
from midigen.errors import MidigenError, Reject, UsageError
from midigen.parts import Counts
from midigen.pieces import Piece
from midigen.protocols import Tokenizer
from midigen.record import Record
from midigen.rewriting import Draft
from midigen.tokenizers import tok_of


@dataclass(frozen=True)
class Transcription:
    """A `midigen.rewriting.Rework`: every piece as the target's tokenizer writes it.

    tokenizer: the spec of the target, with or without #fingerprint. model: a folder whose model's
    tokenizer it is. One of the two.
    Raises MidigenError if there is no such tokenizer, or if it does not read scores.
    """

    tokenizer: str | None = None
    model: str | None = None
    target: Tokenizer = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        target = _target(self.tokenizer, self.model)
        if target.medium != "score":
            raise MidigenError(f"tokenizer {target.spec} reads {target.medium}, not music")
        object.__setattr__(self, "target", target)

    def __reduce__(self) -> tuple[Any, ...]:
        return Transcription, (self.tokenizer, self.model)

    def __call__(self, piece: Piece, score: Any, source: Tokenizer) -> Iterator[Draft | Reject]:
        tok = tok_of(self.target)
        counts = [record["n"] for record in piece.records] if "part" in piece.first else None
        yield Draft(score, whole(piece) | {"tok": tok}, self.target, counts)


def _target(tokenizer: str | None, model: str | None) -> Tokenizer:
    if (tokenizer is None) == (model is None):
        raise UsageError("give one of --tokenizer SPEC and -m MODEL: what the records are to be")
    spec, _, fingerprint = (tokenizer or "").partition("#")
    if model is not None:
        from midigen.checkpoints import find
        from midigen.modelfolder import tokenizer_text

        spec, fingerprint = tokenizer_text(find(model))
    # A model's is none that names an object: `parse_tok` refuses those.
    found: Tokenizer = registry.tokenizer(spec, trusted=True)
    if fingerprint and fingerprint != found.vocab.fingerprint:
        raise MidigenError(
            f"tokenizer {spec}#{fingerprint}: the vocabulary is #{found.vocab.fingerprint} here"
        )
    return found


def whole(piece: Piece) -> Record:
    """Return the keys of a piece as one record's, but for its ids: those of its first part.

    The id is without ``.k``, `meta` without the part's program, and `n` counts all parts.
    """
    known = {key: value for key, value in piece.first.items() if key not in ("ids", "part")}
    if "part" not in piece.first:
        return known
    meta = {key: value for key, value in piece.first["meta"].items() if key != "program"}
    lossy = [word for record in piece.records for word in record["meta"].get("lossy", ())]
    if lossy:
        meta["lossy"] = list(dict.fromkeys(lossy))
    n = summed([record["n"] for record in piece.records])
    return known | {"id": piece.id, "meta": meta, "n": n}


def summed(counts: Sequence[Counts]) -> Counts:
    """Return the `n` of a file from those of its parts; what is not known of all is absent.

    Notes and tracks add up; bars and seconds last from the file's start to the last part's end.
    """
    ways: dict[str, Any] = {"notes": sum, "bars": max, "seconds": max, "tracks": sum}
    return {
        key: way(n[key] for n in counts)
        for key, way in ways.items()
        if all(key in n for n in counts)
    }

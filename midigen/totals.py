"""What losses add up to: nats, and what they are divided by."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from midigen.modelvocab import ModelVocab

UNITS: dict[str, tuple[str, ...]] = {"score": ("note", "bar", "second"), "text": ("byte",)}
"""What losses are divided by beside tokens, by the tokenizer's medium."""
Count = int | float | None
"""How many of a unit a piece has; None where nobody knows."""
_IN_BITS = ("byte", "second")


@dataclass(slots=True)
class Total:
    """Nats and what they are divided by, over pieces.

    units: what is counted beside tokens. counts: how many of each, None once one is unknown.
    types: nats by type of token, where they are asked for.
    """

    units: Sequence[str] = UNITS["score"]
    pieces: int = 0
    tokens: int = 0
    nats: float = 0.0
    counts: dict[str, Count] = field(default_factory=dict)
    types: "Types | None" = None

    def add(self, nats: np.ndarray, *counts: Count) -> None:
        """Add one piece's nats and its `counts`, in the order of `units`.

        A first id that nothing stood before is not counted.
        """
        part = scored(nats)
        self.pieces += 1
        self.tokens += len(part)
        self.nats += float(part.sum(dtype=np.float64))
        for unit, count in zip(self.units, counts, strict=True):
            before = self.counts.get(unit, 0)
            self.counts[unit] = None if before is None or count is None else before + count

    def to_json(self) -> dict[str, Any]:
        """Return counts and losses (null: unknown).

        `loss` is nats a token, `ppl` its exponential (perplexity), `loss_note` nats a note, and so
        on; `bits_byte` bits a byte, `bits_second` bits a second of music.
        """
        counts = {unit: self.counts.get(unit, 0) for unit in self.units}
        found: dict[str, Any] = {"pieces": self.pieces, "tokens": self.tokens}
        found |= {f"{unit}s": _rounded(count) for unit, count in counts.items()}
        found["loss"] = _ratio(self.nats, self.tokens)
        found["ppl"] = _perplexity(self.nats, self.tokens)
        for unit, count in counts.items():
            if unit in _IN_BITS:
                found[f"bits_{unit}"] = _ratio(self.nats / math.log(2), count)
            if unit != "second":
                found[f"loss_{unit}"] = _ratio(self.nats, count)
        if self.types is not None:
            found["types"] = self.types.to_json(counts.get("note"))
        return found


class Types:
    """Nats by type of token: which part of the music costs how much.

    A merged token is of type "merged", the end of a piece "end".
    """

    def __init__(self, vocab: "ModelVocab") -> None:
        names = [*vocab.base.types, *["merged"] * len(vocab.expansions)]
        names += ["end"] * (len(vocab) - len(names))
        for special in (vocab.bos, vocab.eos, vocab.pad):
            if special is not None:
                names[special] = "end"
        self._names = list(dict.fromkeys(names))
        self._type = np.array([self._names.index(name) for name in names])
        self._tokens = np.zeros(len(self._names), np.int64)
        self._nats = np.zeros(len(self._names))

    def add(self, ids: np.ndarray, nats: np.ndarray) -> None:
        """Add a piece's ids and the nats of each, (N,); a NaN is not counted."""
        part = scored(nats)
        kinds = self._type[ids[len(ids) - len(part) :]]
        self._tokens += np.bincount(kinds, minlength=len(self._names))
        self._nats += np.bincount(kinds, part, len(self._names))

    def to_json(self, notes: Count) -> dict[str, Any]:
        """Return tokens, nats a token and nats a note of each type that occurs."""
        return {
            name: {
                "tokens": int(count),
                "loss": _ratio(float(nats), int(count)),
                "loss_note": _ratio(float(nats), notes),
            }
            for name, count, nats in zip(self._names, self._tokens, self._nats, strict=True)
            if count
        }


def scored(values: np.ndarray) -> np.ndarray:
    """Return the nats of a piece without a first one that is NaN: nothing stood before its id."""
    return values[1:] if np.isnan(values[:1]).any() else values


def count_bytes(vocab: "ModelVocab", ids: np.ndarray, nats: np.ndarray) -> int:
    """Return how many bytes the scored ones of a piece's model ids stand for."""
    return len(vocab.expand(ids[len(ids) - len(scored(nats)) :]))


def _ratio(nats: float, count: Count) -> float | None:
    return round(nats / count, 5) if count else None


def _perplexity(nats: float, tokens: int) -> float | None:
    return round(math.exp(min(nats / tokens, 700.0)), 4) if tokens else None


def _rounded(count: Count) -> Count:
    return round(count, 3) if isinstance(count, float) else count

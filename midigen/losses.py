"""Losses over whole pieces, in nats: every id is scored once.

A piece longer than the window is read in windows that move by half of it; each scores what the one
before has not, so that an id is predicted from at least half a window (at most a whole one).
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

    from midigen.modelvocab import ModelVocab

UNITS: dict[str, tuple[str, ...]] = {"score": ("note", "bar", "second"), "text": ("byte",)}
"""What losses are divided by beside tokens, by the tokenizer's medium."""
Count = int | float | None
"""How many of a unit a piece has; None where nobody knows."""
_IN_BITS = ("byte", "second")
_BUFFER = 256
"""Windows that are sorted by length before they are batched."""
_PLACES = 8192
"""Places (rows x length) that are computed together."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What is scored: model ids, EOS included, behind a prefix.

    conditions: tokens that every window begins with. bos: stands before the first id, or None.
    """

    ids: np.ndarray
    conditions: Sequence[int] = ()
    bos: int | None = None


def make_piece(
    vocab: "ModelVocab",
    base_ids: "np.ndarray | Sequence[int]",
    conditions: Sequence[int] = (),
    *,
    begins: bool = True,
    ends: bool = True,
) -> Piece:
    """Return a record's ids as a piece: merged, with BOS and EOS where the vocabulary has them."""
    ids = vocab.encode(base_ids)
    if ends and vocab.eos is not None:
        ids = np.append(ids, vocab.eos)
    return Piece(ids, conditions, vocab.bos if begins else None)


def score_pieces(
    model: "torch.nn.Module", pieces: Iterable[Piece], window: int, device: str
) -> Iterator[np.ndarray]:
    """Yield, for each piece in order, the nats of each of its ids: (len(ids),) float32.

    The first id is NaN where no BOS or condition stands before it. The model is used as it is (call
    `eval` before). Memory does not grow with the number of pieces.
    """
    held: list[_Window] = []
    open_: list[_Open] = []
    for number, piece in enumerate(pieces):
        windows = list(_windows(piece, number, window))
        open_.append(_Open(np.full(len(piece.ids), np.nan, np.float32), len(windows)))
        first = number - len(open_) + 1
        held += windows
        if len(held) >= _BUFFER:
            _score(model, held, open_, first, device)
            held = []
            while open_ and open_[0].missing == 0:
                yield open_.pop(0).nats
    if open_:
        first = number - len(open_) + 1
        _score(model, held, open_, first, device)
        yield from (done.nats for done in open_)


@dataclass(slots=True)
class _Window:
    """Inputs, and where the last `len(targets)` of their predictions go: nats[at:]."""

    piece: int
    inputs: np.ndarray
    targets: np.ndarray
    at: int


@dataclass(slots=True)
class _Open:
    nats: np.ndarray
    missing: int


def _windows(piece: Piece, number: int, window: int) -> Iterator[_Window]:
    prefix = np.array([*piece.conditions][: window // 2], np.int64)
    ids = np.asarray(piece.ids, np.int64)
    start = prefix if piece.bos is None else np.append(prefix, piece.bos)
    room = window - len(start)
    inputs = np.concatenate((start, ids[:room]))[: len(start) + max(0, len(ids) - 1)]
    targets = ids[max(0, 1 - len(start)) : room + 1]
    if len(targets):
        yield _Window(number, inputs, targets, max(0, 1 - len(start)))
    done, room = room + 1, window - len(prefix)
    while done < len(ids):
        end = min(len(ids), done + max(1, window // 2))
        context = ids[max(0, end - 1 - room) : end - 1]
        yield _Window(number, np.concatenate((prefix, context)), ids[done:end], done)
        done = end


def _score(
    model: "torch.nn.Module", windows: list[_Window], open_: list[_Open], first: int, device: str
) -> None:
    windows = sorted(windows, key=lambda item: len(item.inputs))
    while windows:
        longest = len(windows[-1].inputs)
        count = max(1, _PLACES // longest)
        batch, windows = windows[-count:], windows[:-count]
        for window, nats in zip(batch, _nats(model, batch, longest, device), strict=True):
            target = open_[window.piece - first]
            target.nats[window.at : window.at + len(nats)] = nats
            target.missing -= 1


def _nats(
    model: "torch.nn.Module", batch: list[_Window], length: int, device: str
) -> list[np.ndarray]:
    """Return the nats of each window's targets. Padding on the right changes nothing before it."""
    import torch

    ids = np.zeros((len(batch), length), np.int64)
    rows, places, targets = [], [], []
    for row, window in enumerate(batch):
        ids[row, : len(window.inputs)] = window.inputs
        end = len(window.inputs)
        places.append(np.arange(end - len(window.targets), end))
        rows.append(np.full(len(window.targets), row))
        targets.append(window.targets)
    with torch.inference_mode():
        logits = model(torch.from_numpy(ids).to(device))
        where = torch.from_numpy(np.concatenate(rows) * length + np.concatenate(places)).to(device)
        wanted = torch.from_numpy(np.concatenate(targets)).to(device)
        chosen = logits.flatten(0, 1)[where].float()
        nats = torch.nn.functional.cross_entropy(chosen, wanted, reduction="none")
    ends = np.cumsum([len(part) for part in targets])[:-1]
    return np.split(nats.cpu().numpy(), ends)


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

"""Losses over whole pieces, in nats: every id is scored once.

A piece longer than the window is read in windows that move by half of it; each scores what the one
before has not, so that an id is predicted from at least half a window (at most a whole one).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

    from midigen.modelvocab import ModelVocab

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

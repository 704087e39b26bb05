"""Causal attention on a CPU, some rows of scores at a time, so that they stay in its cache.

No (T, T) matrix is kept: the backward pass makes the scores again, as FlashAttention does (Dao et
al., arXiv 2205.14135). A tile here holds the scores of a block of places with all before them, so
that its softmax is complete; dropout of attention weights costs one more product.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function

from midigen.layers.noise import STEP, Noise

_SCORES = 1 << 19
"""Scores a tile: 1 MiB in bf16, so that two tiles and what they read stay in L2."""
_BLOCK = 128
"""Places whose scores are computed together, at most."""
NEVER = -1e9


@dataclass(frozen=True, slots=True)
class Tile:
    """Some rows and heads; the scores of their places ``begin..end`` with all places up to `end`.

    number: counts the tiles of one pass, for their noise.
    """

    rows: slice
    heads: slice
    begin: int
    end: int
    number: int


def tiles(B: int, H: int, T: int) -> Iterator[list[Tile]]:
    """Yield lists of the tiles that have the same rows and heads; together they cover all."""
    block = min(_BLOCK, T, max(16, _SCORES // T))
    heads = min(H, max(1, _SCORES // (block * T)))
    rows = max(1, _SCORES // (block * T * heads))
    number = 0
    for low in range(0, B, rows):
        for head in range(0, H, heads):
            found = []
            for begin in range(0, T, block):
                end = min(T, begin + block)
                part = slice(low, min(B, low + rows)), slice(head, min(H, head + heads))
                found.append(Tile(*part, begin, end, number))
                number += 1
            yield found


class Masks:
    """Takes from scores what places may not see: what comes later, and other segments."""

    def __init__(self, segments: Tensor | None, like: Tensor) -> None:
        self._future = torch.full((_BLOCK, _BLOCK), NEVER, dtype=like.dtype).triu_(1)
        self._segments = segments

    def apply(self, scores: Tensor, tile: Tile) -> None:
        """Mask scores (rows H, t, end) in place."""
        t = scores.shape[1]
        scores[:, :, tile.begin :].add_(self._future[:t, :t])
        if self._segments is None:
            return
        mine = self._segments[tile.rows]
        other = mine[:, tile.begin : tile.end, None] != mine[:, None, : tile.end]
        if other.any():
            rows = scores.unflatten(0, (len(mine), -1))
            rows.masked_fill_(other[:, None], NEVER)


class Scratch:
    """Memory for tiles, taken again and again: fresh memory costs a page fault every 4 KiB."""

    def __init__(self, like: Tensor) -> None:
        self._held: dict[str, Tensor] = {}
        self._like = like

    def take(self, name: str, *shape: int) -> Tensor:
        """Return memory of this shape; it holds what was last written under this name."""
        count = math.prod(shape)
        held = self._held.get(name)
        if held is None or len(held) < count:
            held = self._held[name] = self._like.new_zeros(count)
        return held[:count].view(shape)


def fold(x: Tensor) -> Tensor:
    """Return (rows, T, H, D) as (rows H, T, D), contiguous."""
    return x.transpose(1, 2).flatten(0, 1).contiguous()


def unfold(x: Tensor, tile: Tile) -> Tensor:
    """Return (rows H, T, D) as (rows, T, H, D)."""
    return x.unflatten(0, (-1, tile.heads.stop - tile.heads.start)).transpose(1, 2)


def softmax_(scores: Tensor) -> None:
    torch.softmax(scores, -1, out=scores)


def softmax_backward_(gradient: Tensor, weights: Tensor) -> None:
    """Turn the gradient of softmax's output, in place, into that of its input."""
    torch.ops.aten._softmax_backward_data.out(
        gradient, weights, -1, weights.dtype, grad_input=gradient
    )


def attention(
    packed: Tensor, memory: Tensor | None, segments: Tensor | None, noise: Noise | None
) -> Tensor:
    """Return causal attention (B, T, H, D).

    packed: (B, T, 3, H, D), the queries, keys and values; with `memory` (B, T, 2, H, D), which
    holds keys and values, (B, T, 1, H, D). segments (B, T): only within the same number. noise:
    drops attention weights.
    """
    start = noise.start() if noise is not None else 0
    out: Tensor = _Attention.apply(packed, memory, segments, noise, start)
    return out


class _Attention(Function):
    @staticmethod
    def forward(
        ctx: Any,
        packed: Tensor,
        memory: Tensor | None,
        segments: Tensor | None,
        noise: Noise | None,
        start: int,
    ) -> Tensor:
        B, T, _, H, D = packed.shape
        ctx.save_for_backward(packed, memory, segments)
        ctx.noise, ctx.start = noise, start
        out = packed.new_empty(B, T, H, D)
        masks, scratch = Masks(segments, packed), Scratch(packed)
        for group in tiles(B, H, T):
            q, k, v = _load(packed, memory, group[0])
            for tile in group:
                p = _weights(q, k, tile, masks, scratch)
                if noise is not None:
                    p.mul_(noise_of(noise, start, tile, p))
                y = torch.bmm(p, v[:, : tile.end])
                out[tile.rows, tile.begin : tile.end, tile.heads] = unfold(y, tile)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        packed, memory, segments = ctx.saved_tensors
        noise, start = ctx.noise, ctx.start
        (dout,) = grads
        B, T, _, H, D = packed.shape
        dpacked = torch.empty_like(packed)
        dmemory = torch.empty_like(memory) if memory is not None else None
        masks, scratch = Masks(segments, packed), Scratch(packed)
        for group in tiles(B, H, T):
            q, k, v = _load(packed, memory, group[0])
            rows, heads = group[0].rows, group[0].heads
            dy = fold(dout[rows, :, heads])
            dq, dk, dv = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
            for tile in group:
                here, seen = slice(tile.begin, tile.end), slice(0, tile.end)
                p = _weights(q, k, tile, masks, scratch)
                ds = torch.bmm(
                    dy[:, here], v[:, seen].transpose(1, 2), out=scratch.take("ds", *p.shape)
                )
                if noise is None:
                    dv[:, seen].baddbmm_(p.transpose(1, 2), dy[:, here])
                    softmax_backward_(ds, p)
                else:
                    mask = noise_of(noise, start, tile, p)
                    softmax_backward_(ds.mul_(mask), p)
                    dv[:, seen].baddbmm_(p.mul_(mask).transpose(1, 2), dy[:, here])
                dk[:, seen].baddbmm_(ds.transpose(1, 2), q[:, here])
                dq[:, here] = torch.bmm(ds, k[:, seen])
            dq.mul_(1 / math.sqrt(D))
            for pack, parts in ((dpacked, (dq, dk, dv)), (dmemory, (dk, dv))):
                if pack is not None:
                    for place, part in enumerate(parts[: pack.shape[2]]):
                        pack[rows, :, place, heads] = unfold(part, group[0])
        return dpacked, dmemory, None, None, None


def _load(packed: Tensor, memory: Tensor | None, tile: Tile) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries, scaled, and keys and values of a tile's rows, each (rows H, T, D)."""
    q = packed[tile.rows, :, 0, tile.heads] * (1 / math.sqrt(packed.shape[-1]))
    pairs = packed[:, :, 1:] if memory is None else memory
    k, v = pairs[tile.rows, :, :, tile.heads].unbind(2)
    return fold(q), fold(k), fold(v)


def _weights(q: Tensor, k: Tensor, tile: Tile, masks: Masks, scratch: Scratch) -> Tensor:
    """Return the attention weights (rows H, t, end) of a tile."""
    shape = len(q), tile.end - tile.begin, tile.end
    scores = scratch.take("scores", *shape)
    keys = k[:, : tile.end].transpose(1, 2)
    torch.bmm(q[:, tile.begin : tile.end], keys, out=scores)
    masks.apply(scores, tile)
    softmax_(scores)
    return scores


def noise_of(noise: Noise, start: int, tile: Tile, like: Tensor) -> Tensor:
    """Return the dropout factors of a tile's weights."""
    return noise.cut(start + tile.number * STEP, like.numel()).view_as(like)

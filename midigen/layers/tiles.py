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

_SCORES = 1 << 20
"""Scores a tile, at most: 2 MiB in bf16."""
_BLOCK = 128
"""Places whose scores are computed together, at most."""
NEVER = -1e9


@dataclass(frozen=True, slots=True)
class Tile:
    """The scores of places ``begin..end`` with all places up to `end`, in some heads of some rows.

    at: these heads, of the B H of all rows. number: counts the tiles of a pass, for their noise.
    """

    at: slice
    begin: int
    end: int
    number: int


def tiles(B: int, H: int, T: int) -> Iterator[list[Tile]]:
    """Yield lists of tiles of the same heads; together they cover all. None parts two rows."""
    block = min(_BLOCK, T, max(16, _SCORES // T))
    heads = max(1, _SCORES // (block * T))
    step = heads // H * H if heads >= H else next(n for n in range(heads, 0, -1) if H % n == 0)
    number = 0
    for low in range(0, B * H, step):
        found = []
        # The largest first: the others then fit into its memory.
        for begin in reversed(range(0, T, block)):
            at = slice(low, min(B * H, low + step))
            found.append(Tile(at, begin, min(T, begin + block), number))
            number += 1
        yield found


class Masks:
    """Takes from scores what places may not see: what comes later, and other segments (B, T)."""

    def __init__(self, segments: Tensor | None, heads: int, like: Tensor) -> None:
        self._future = torch.full((_BLOCK, _BLOCK), NEVER, dtype=like.dtype).triu_(1)
        self._segments = segments
        self._heads = heads

    def apply(self, scores: Tensor, tile: Tile) -> None:
        """Mask scores (N, t, end) in place."""
        t = scores.shape[1]
        scores[:, :, tile.begin :].add_(self._future[:t, :t])
        if self._segments is None:
            return
        first, last = tile.at.start // self._heads, (tile.at.stop - 1) // self._heads
        rows = self._segments[first : last + 1]
        other = rows[:, tile.begin : tile.end, None] != rows[:, None, : tile.end]
        if other.any():
            scores.unflatten(0, (len(rows), -1)).masked_fill_(other[:, None], NEVER)


class Scratch:
    """Memory for tiles, taken again and again: fresh memory costs a page fault every 4 KiB."""

    def __init__(self, like: Tensor) -> None:
        self._held: dict[str, Tensor] = {}
        self._like = like

    def take(self, name: str, *shape: int) -> Tensor:
        """Return memory of this shape: zeros at first, later what was written under this name."""
        count = math.prod(shape)
        held = self._held.get(name)
        if held is None or len(held) < count:
            held = self._held[name] = self._like.new_zeros(count)
        return held[:count].view(shape)


def fold(x: Tensor) -> Tensor:
    """Return (B, T, n, H, D) as (n, B H, T, D), contiguous."""
    return x.permute(2, 0, 3, 1, 4).contiguous().flatten(1, 2)


def unfold(x: Tensor, heads: int) -> Tensor:
    """Return (n, B H, T, D) as (B, T, n, H, D), contiguous."""
    return x.unflatten(1, (-1, heads)).permute(1, 3, 0, 2, 4).contiguous()


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
        q, *pair = fold(packed)
        k, v = pair if memory is None else fold(memory)
        q.mul_(1 / math.sqrt(D))
        ctx.save_for_backward(q, k, v, segments)
        ctx.noise, ctx.start, ctx.heads, ctx.shared = noise, start, H, memory is None
        y = torch.empty_like(q)
        masks, scratch = Masks(segments, H, q), Scratch(q)
        for group in tiles(B, H, T):
            for tile in group:
                p = _weights(q, k, tile, masks, scratch)
                if noise is not None:
                    p.mul_(noise_of(noise, start, tile, p))
                y[tile.at, tile.begin : tile.end] = torch.bmm(p, v[tile.at, : tile.end])
        return unfold(y[None], H).squeeze(2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, segments = ctx.saved_tensors
        (dy,) = fold(grads[0].unsqueeze(2))
        made = gradients(q, k, v, dy, ctx.heads, segments, ctx.noise, ctx.start)
        if ctx.shared:
            return unfold(made, ctx.heads), None, None, None, None
        return unfold(made[:1], ctx.heads), unfold(made[1:], ctx.heads), None, None, None


def gradients(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    dy: Tensor,
    heads: int,
    segments: Tensor | None,
    noise: Noise | None = None,
    start: int = 0,
) -> Tensor:
    """Return (3, B H, T, D), those of unscaled queries, of keys and of values (B H, T, D).

    q: queries, scaled; dy: the gradient of what attention returned, (B H, T, D).
    """
    made = q.new_zeros(3, *q.shape)
    masks, scratch = Masks(segments, heads, q), Scratch(q)
    for group in tiles(len(q) // heads, heads, q.shape[1]):
        dq, dk, dv = made[:, group[0].at]
        for tile in group:
            here, seen = slice(tile.begin, tile.end), slice(0, tile.end)
            p = _weights(q, k, tile, masks, scratch)
            mine, dmine = q[tile.at, here], dy[tile.at, here]
            ds = torch.bmm(dmine, v[tile.at, seen].mT, out=scratch.take("ds", *p.shape))
            if noise is None:
                dv[:, seen].baddbmm_(p.mT, dmine)
                softmax_backward_(ds, p)
            else:
                mask = noise_of(noise, start, tile, p)
                softmax_backward_(ds.mul_(mask), p)
                dv[:, seen].baddbmm_(p.mul_(mask).mT, dmine)
            dk[:, seen].baddbmm_(ds.mT, mine)
            dq[:, here] = torch.bmm(ds, k[tile.at, seen])
    made[0].mul_(1 / math.sqrt(q.shape[2]))
    return made


def _weights(q: Tensor, k: Tensor, tile: Tile, masks: Masks, scratch: Scratch) -> Tensor:
    """Return the attention weights (N, t, end) of a tile."""
    mine, keys = q[tile.at, tile.begin : tile.end], k[tile.at, : tile.end]
    scores = scratch.take("scores", len(mine), mine.shape[1], tile.end)
    torch.bmm(mine, keys.mT, out=scores)
    masks.apply(scores, tile)
    softmax_(scores)
    return scores


def noise_of(noise: Noise, start: int, tile: Tile, like: Tensor) -> Tensor:
    """Return the dropout factors of a tile's weights."""
    return noise.cut(start + tile.number * STEP, like.numel()).view_as(like)

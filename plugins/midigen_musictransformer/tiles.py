"""Training on a CPU: attention whose scores add up over the layers, none of them kept.

The sum of the scores of layers 0..n is one product of their queries and keys side by side: n + 1
times as long vectors, which costs a matrix unit little where a head has 16 dimensions. So each
layer makes the sum anew, a tile at a time, forward and backward. The gradient of a layer's scores
is its own plus that of the layers above; it is handed down in `Layers`.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function

from midigen.layers.noise import Noise
from midigen.layers.tiles import (
    Masks,
    Scratch,
    Tile,
    fold,
    noise_of,
    softmax_,
    softmax_backward_,
    tiles,
    unfold,
)
from midigen_musictransformer.skew import distances, skewed


@dataclass(slots=True)
class Layers:
    """The layers of one pass so far.

    queries, keys: of each layer (B H, T, D), queries scaled. relative: of each (most, D).
    above: in the backward pass, the gradient of the scores of the layers above, by tile.
    """

    queries: list[Tensor] = field(default_factory=list)
    keys: list[Tensor] = field(default_factory=list)
    relative: list[Tensor] = field(default_factory=list)
    above: dict[int, Tensor] = field(default_factory=dict)


def attention(
    packed: Tensor, relative: Tensor, layers: Layers, segments: Tensor | None, noise: Noise | None
) -> Tensor:
    """Return causal attention (B, T, H, D) of the next layer; `layers` takes it up.

    packed: (B, T, 3, H, D). segments (B, T): only within the same number. noise: drops attention
    weights.
    """
    start = noise.start() if noise is not None else 0
    out: Tensor = _Attention.apply(packed, relative, layers, segments, noise, start)
    return out


class _Attention(Function):
    @staticmethod
    def forward(
        ctx: Any,
        packed: Tensor,
        relative: Tensor,
        layers: Layers,
        segments: Tensor | None,
        noise: Noise | None,
        start: int,
    ) -> Tensor:
        B, T, _, H, D = packed.shape
        q, k, v = fold(packed)
        layers.queries.append(q.mul_(1 / math.sqrt(D)))
        layers.keys.append(k)
        layers.relative.append(relative.detach())
        number = len(layers.queries)
        ctx.save_for_backward(v)
        ctx.pass_ = number, H, layers, segments, noise, start
        y = torch.empty_like(v)
        work = _Work(layers, number, segments, H)
        for group in tiles(B, H, T):
            q, k = work.side_by_side(group[0].at)
            for tile in group:
                p = work.weights(q, k, tile)
                if noise is not None:
                    p.mul_(noise_of(noise, start, tile, p))
                y[tile.at, tile.begin : tile.end] = torch.bmm(p, v[tile.at, : tile.end])
        return unfold(y[None], H).squeeze(2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        number, H, layers, segments, noise, start = ctx.pass_
        (v,) = ctx.saved_tensors
        (dy,) = fold(grads[0].unsqueeze(2))
        made = v.new_zeros(3, *v.shape)
        work = _Work(layers, number, segments, H)
        for group in tiles(len(grads[0]), H, v.shape[1]):
            q, k = work.side_by_side(group[0].at)
            dq, dk, dv = made[:, group[0].at]
            for tile in group:
                here, seen = slice(tile.begin, tile.end), slice(0, tile.end)
                p = work.weights(q, k, tile)
                ds = work.room(tile, p)
                torch.bmm(dy[tile.at, here], v[tile.at, seen].mT, out=ds)
                mask = noise_of(noise, start, tile, p) if noise is not None else None
                softmax_backward_(ds if mask is None else ds.mul_(mask), p)
                p = p if mask is None else p.mul_(mask)
                dv[:, seen].baddbmm_(p.mT, dy[tile.at, here])
                work.scores_backward(tile, work.hand_down(tile, ds), dq[:, here], dk[:, seen])
        made[0].mul_(1 / math.sqrt(v.shape[2]))
        return unfold(made, H), work.drelative.to(v.dtype), None, None, None, None


class _Work:
    """What the tiles of one layer, in one direction, share. number: the layers up to this one."""

    def __init__(self, layers: Layers, number: int, segments: Tensor | None, heads: int) -> None:
        self._above = layers.above
        self._queries, self._keys = layers.queries[:number], layers.keys[:number]
        self._relative = torch.cat(layers.relative[:number], dim=1)  # (most, number D)
        self._own = layers.relative[number - 1]
        self._masks = Masks(segments, heads, self._own)
        self._scratch = Scratch(self._own)
        wide = torch.promote_types(self._own.dtype, torch.float32)
        self.drelative = torch.zeros_like(self._own, dtype=wide)

    def side_by_side(self, at: slice) -> tuple[Tensor, Tensor]:
        """Return the queries and keys (N, T, number D) of some heads."""
        q, k = (torch.cat([x[at] for x in xs], dim=-1) for xs in (self._queries, self._keys))
        return q, k

    def weights(self, q: Tensor, k: Tensor, tile: Tile) -> Tensor:
        """Return the attention weights (N, t, end) of a tile."""
        N, t, end = len(q), tile.end - tile.begin, tile.end
        scores = self._scratch.take("scores", N, t, end)
        mine = q[:, tile.begin : end].contiguous()
        torch.bmm(mine, k[:, :end].mT, out=scores)
        vectors = self._relative[self._columns(t, end)]  # (end + t - 1, number D)
        product = self._scratch.take("product", N * t, len(vectors))
        torch.mm(mine.flatten(0, 1), vectors.t(), out=product)
        scores.add_(skewed(product.view(N, t, -1), end))
        self._masks.apply(scores, tile)
        softmax_(scores)
        return scores

    def _columns(self, t: int, end: int) -> Tensor:
        return distances(t, end, len(self._own), self._own.device)

    def room(self, tile: Tile, like: Tensor) -> Tensor:
        """Return memory for the gradient of a tile's scores; in the top layer it stays."""
        if tile.number in self._above:
            return self._scratch.take("ds", *like.shape)
        return torch.empty_like(like)

    def hand_down(self, tile: Tile, ds: Tensor) -> Tensor:
        """Return ds plus the gradient from above; leave it for the layer below."""
        if tile.number in self._above:
            ds = self._above[tile.number].add_(ds)
        if len(self._queries) > 1:
            self._above[tile.number] = ds
        else:
            self._above.pop(tile.number, None)
        return ds

    def scores_backward(self, tile: Tile, ds: Tensor, dq: Tensor, dk: Tensor) -> None:
        """Write this layer's gradient of the queries (N, t, D); add those of the rest up."""
        N, t, end = ds.shape
        q, k = self._queries[-1][tile.at, tile.begin : end], self._keys[-1][tile.at, :end]
        q = q.contiguous()
        columns = self._columns(t, end)
        # Only the skewed view is ever written: zeros around it stay.
        product = self._scratch.take(f"gradient of {t} to {end}", N, t, len(columns))
        skewed(product, end).copy_(ds)
        flat = product.flatten(0, 1)
        dvectors = flat.t() @ q.flatten(0, 1)
        self.drelative.index_add_(0, columns, dvectors.to(self.drelative.dtype))
        dk.baddbmm_(ds.mT, q)
        torch.add(torch.bmm(ds, k), (flat @ self._own[columns]).view_as(q), out=dq)

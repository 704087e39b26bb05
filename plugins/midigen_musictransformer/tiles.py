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
    """The layers of one pass so far: their packed (B, T, 3, H, D) and relative (most, D).

    above: in the backward pass, the gradient of the scores of the layers above, by tile.
    """

    packed: list[Tensor] = field(default_factory=list)
    relative: list[Tensor] = field(default_factory=list)
    above: dict[int, Tensor] = field(default_factory=dict)


def attention(
    packed: Tensor, relative: Tensor, layers: Layers, segments: Tensor | None, noise: Noise | None
) -> Tensor:
    """Return causal attention (B, T, H, D) of the next layer; `layers` takes it up.

    segments (B, T): only within the same number. noise: drops attention weights.
    """
    layers.packed.append(packed.detach())
    layers.relative.append(relative.detach())
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
        number = len(layers.packed) - 1
        ctx.pass_ = number, layers, segments, noise, start
        out = packed.new_empty(B, T, H, D)
        work = _Work(layers, number, segments)
        for group in tiles(B, H, T):
            q, k = work.load(group[0])
            v = fold(packed[group[0].rows, :, 2, group[0].heads])
            for tile in group:
                p = work.weights(q, k, tile)
                if noise is not None:
                    p.mul_(noise_of(noise, start, tile, p))
                y = torch.bmm(p, v[:, : tile.end])
                out[tile.rows, tile.begin : tile.end, tile.heads] = unfold(y, tile)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        number, layers, segments, noise, start = ctx.pass_
        (dout,) = grads
        packed = layers.packed[number]
        B, T, _, H, D = packed.shape
        dpacked = torch.empty_like(packed)
        work = _Work(layers, number, segments)
        for group in tiles(B, H, T):
            q, k = work.load(group[0])
            rows, heads = group[0].rows, group[0].heads
            v, dy = fold(packed[rows, :, 2, heads]), fold(dout[rows, :, heads])
            # The last D columns are this layer's own.
            own_q, own_k = q[..., -D:].contiguous(), k[..., -D:].contiguous()
            dq, dk, dv = torch.empty_like(v), torch.zeros_like(v), torch.zeros_like(v)
            for tile in group:
                here, seen = slice(tile.begin, tile.end), slice(0, tile.end)
                p = work.weights(q, k, tile)
                ds = torch.bmm(dy[:, here], v[:, seen].transpose(1, 2), out=work.room(tile, p))
                mask = noise_of(noise, start, tile, p) if noise is not None else None
                softmax_backward_(ds if mask is None else ds.mul_(mask), p)
                p = p if mask is None else p.mul_(mask)
                dv[:, seen].baddbmm_(p.transpose(1, 2), dy[:, here])
                ds = work.hand_down(tile, ds)
                dk[:, seen].baddbmm_(ds.transpose(1, 2), own_q[:, here])
                dq[:, here] = torch.bmm(ds, own_k[:, seen])
                dq[:, here] += work.distances_backward(ds, own_q[:, here])
            dq.mul_(1 / math.sqrt(D))
            for place, part in enumerate((dq, dk, dv)):
                dpacked[rows, :, place, heads] = unfold(part, group[0])
        return dpacked, work.drelative.to(packed.dtype), None, None, None, None


class _Work:
    """What the tiles of one layer, in one direction, share."""

    def __init__(self, layers: Layers, number: int, segments: Tensor | None) -> None:
        self._layers = layers
        self._number = number
        self._packed = layers.packed[: number + 1]
        self._relative = torch.cat(layers.relative[: number + 1], dim=1)  # (most, n D)
        self._own = layers.relative[number]
        self._masks = Masks(segments, self._own)
        self._scratch = Scratch(self._own)
        self.drelative = torch.zeros_like(
            self._own, dtype=torch.promote_types(self._own.dtype, torch.float32)
        )

    def load(self, tile: Tile) -> tuple[Tensor, Tensor]:
        """Return queries, scaled, and keys (rows H, T, n D) of the layers so far, side by side."""
        D = self._own.shape[1]
        q, k = (
            torch.cat([packed[tile.rows, :, place, tile.heads] for packed in self._packed], dim=-1)
            for place in (0, 1)
        )
        return fold(q.mul_(1 / math.sqrt(D))), fold(k)

    def weights(self, q: Tensor, k: Tensor, tile: Tile) -> Tensor:
        """Return the attention weights (rows H, t, end) of a tile."""
        N, t, end = len(q), tile.end - tile.begin, tile.end
        scores = self._scratch.take("scores", N, t, end)
        mine = q[:, tile.begin : end].contiguous()
        torch.bmm(mine, k[:, :end].transpose(1, 2), out=scores)
        vectors = self._relative[self._columns(t, end)]  # (end + t - 1, n D)
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
        if tile.number in self._layers.above:
            return self._scratch.take("ds", *like.shape)
        return torch.empty_like(like)

    def hand_down(self, tile: Tile, ds: Tensor) -> Tensor:
        """Return ds plus the gradient from above; leave it for the layer below."""
        above = self._layers.above
        if tile.number in above:
            ds = above[tile.number].add_(ds)
        if self._number:
            above[tile.number] = ds
        else:
            above.pop(tile.number, None)
        return ds

    def distances_backward(self, ds: Tensor, q: Tensor) -> Tensor:
        """Return the gradient (rows H, t, D) of queries by way of the distances; add theirs up."""
        N, t, end = ds.shape
        columns = self._columns(t, end)
        # Only the skewed view is ever written: zeros around it stay.
        product = self._scratch.take(f"gradient of {t} to {end}", N, t, len(columns))
        skewed(product, end).copy_(ds)
        flat = product.flatten(0, 1)
        dvectors = flat.t() @ q.flatten(0, 1)
        self.drelative.index_add_(0, columns, dvectors.to(self.drelative.dtype))
        return (flat @ self._own[columns]).view(N, t, -1)

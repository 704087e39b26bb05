"""Multi-head attention with biases; parameter names of PyTorch's `nn.MultiheadAttention`."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import Function

from midigen.layers import amx, tiles
from midigen.layers.linear import Linear, linear
from midigen.layers.reading import Reading


class MultiheadAttention(nn.Module):
    """Causal attention of `heads` heads (Vaswani et al., arXiv 1706.03762, section 3.2.2)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, x: Tensor, memory: Tensor | None, reading: Reading, slot: int) -> Tensor:
        """Return (B, T, W): what x attends to in `memory` (B, T, W), or in itself.

        slot: where in the cache the keys and values are.
        """
        packed, pairs = self.project(x, memory)
        if reading.cache is None and _in_tiles(packed, reading):
            y = attention(packed, pairs, reading)
        elif reading.cache is None and torch.is_grad_enabled() and x.device.type == "cpu":
            y = tiles.attention(packed, pairs, reading.seen.segments, reading.noise)
        else:
            y = self._attend(packed, pairs, reading, slot)
        return self.out_proj(y.flatten(2))

    def project(self, x: Tensor, memory: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return queries, keys and values (B, T, 3, H, D) of x.

        With a memory the queries of x (B, T, 1, H, D), keys and values (B, T, 2, H, D) of it.
        """
        W = x.shape[-1]
        weight, bias = self.in_proj_weight, self.in_proj_bias
        if memory is None:
            return self._split(linear(x, weight, bias)), None
        q = linear(x, weight[:W], bias[:W])
        return self._split(q), self._split(linear(memory, weight[W:], bias[W:]))

    def _split(self, x: Tensor) -> Tensor:
        """Return (B, T, n W) as (B, T, n, H, D)."""
        head = self.in_proj_weight.shape[1] // self.heads
        return x.unflatten(2, (-1, self.heads, head))

    def _attend(self, packed: Tensor, pairs: Tensor | None, reading: Reading, slot: int) -> Tensor:
        cache, mask = reading.cache, reading.seen.mask
        q = packed[:, :, 0].transpose(1, 2)  # (B, H, T, D)
        k, v = (packed[:, :, 1:] if pairs is None else pairs).transpose(1, 3).unbind(2)
        if cache is not None:
            k, v = cache.append(slot, k, v)
        rate = reading.noise.rate if reading.noise is not None else 0.0
        causal = mask is None and cache is None
        y = F.scaled_dot_product_attention(q, k, v, mask, rate, causal)
        return y.transpose(1, 2)


def _in_tiles(packed: Tensor, reading: Reading) -> bool:
    return packed.shape[-1] % amx.EDGE == 0 and amx.is_for(packed) and reading.seen.in_order


def attention(packed: Tensor, pairs: Tensor | None, reading: Reading) -> Tensor:
    """Return causal attention (B, T, H, D) in AMX's tiles.

    packed: (B, T, 3, H, D), the queries, keys and values; with `pairs` (B, T, 2, H, D), which
    holds keys and values, (B, T, 1, H, D).
    """
    noise, dropped = reading.noise, None
    if noise is not None:
        dropped = amx.Dropped(round((1 - 1 / noise.scale) * (1 << 16)), noise.scale, noise.seed())
    out: Tensor = _TiledAttention.apply(packed, pairs, reading.seen.starts, dropped)
    return out


def _heads(packed: Tensor, pairs: Tensor | None, starts: Tensor | None = None) -> amx.Heads:
    q = packed[:, :, 0]
    k, v = (packed[:, :, 1:] if pairs is None else pairs).unbind(2)
    return amx.Heads(q, k, v, starts=starts)


class _TiledAttention(Function):
    @staticmethod
    def forward(
        ctx: Any,
        packed: Tensor,
        pairs: Tensor | None,
        starts: Tensor | None,
        dropped: amx.Dropped | None,
    ) -> Tensor:
        packed = packed.contiguous()
        pairs = pairs if pairs is None else pairs.contiguous()
        y, logs = amx.attention(_heads(packed, pairs, starts), dropped)
        ctx.save_for_backward(packed, pairs, starts, y, logs)
        ctx.dropped = dropped
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        packed, pairs, starts, y, logs = ctx.saved_tensors
        dpacked = torch.empty_like(packed)
        dpairs = pairs if pairs is None else torch.empty_like(pairs)
        into = _heads(dpacked, dpairs)
        heads = _heads(packed, pairs, starts)
        amx.attention_back(heads, y, logs, grads[0], (into.q, into.k, into.v), ctx.dropped)
        return dpacked, dpairs, None, None

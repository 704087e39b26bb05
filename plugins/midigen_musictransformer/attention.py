"""Attention with relative positions, whose scores are added to those of the layers before."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from midigen.layers.linear import Linear, linear
from midigen.layers.noise import drop
from midigen.layers.reading import Reading
from midigen.layers.tiles import NEVER
from midigen_musictransformer.skew import distances, skewed
from midigen_musictransformer.tiles import Layers, attention


@dataclass(slots=True)
class Scores(Reading):
    """A pass whose layers hand their scores on.

    total: (B, H, T, L), of the layers so far, or None before the first. layers: those that work in
    tiles instead, and keep no total.
    """

    total: Tensor | None = None
    layers: Layers = field(default_factory=Layers)


class RelativeAttention(nn.Module):
    """Causal attention; parameter names of `nn.MultiheadAttention`, and `relative` (distances, D).

    The scores of query q of place i and key k of place j: (q k + q relative[i - j]) / sqrt(D), plus
    those of the layer before. A distance beyond the last counts as the last.
    """

    def __init__(self, width: int, heads: int, most: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.relative = nn.Parameter(torch.empty(most, width // heads))
        self.out_proj = Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.normal_(self.relative, 0.0, 0.02)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, x: Tensor, memory: None, reading: Scores, slot: int) -> Tensor:
        """Return (B, T, W); `reading` takes the scores up."""
        packed = linear(x, self.in_proj_weight, self.in_proj_bias)
        packed = packed.unflatten(2, (3, self.heads, -1))  # (B, T, 3, H, D)
        if reading.cache is None and x.device.type == "cpu":
            seen, noise = reading.seen, reading.noise
            y = attention(packed, self.relative, reading.layers, seen.segments, noise)
        else:
            y = self._attend(packed, reading, slot)
        return self.out_proj(y.flatten(2))

    def _attend(self, packed: Tensor, reading: Scores, slot: int) -> Tensor:
        q, k, v = packed.transpose(1, 3).unbind(2)  # (B, H, T, D)
        T, D = q.shape[2:]
        if reading.cache is not None:
            k, v = reading.cache.append(slot, k, v)
        end = k.shape[2]
        q = q * (1 / math.sqrt(D))
        vectors = self.relative[distances(T, end, len(self.relative), q.device)]
        relative = skewed((q @ vectors.t()).flatten(0, 1), end)  # (B H, T, L)
        scores = q @ k.transpose(2, 3) + relative.view(*q.shape[:3], end)
        reading.total = scores if reading.total is None else reading.total + scores
        mask = reading.seen.mask
        if mask is None:
            mask = torch.ones(T, end, dtype=torch.bool, device=q.device).tril(end - T)
        weights = reading.total.masked_fill(~mask, NEVER).softmax(-1)
        return (drop(weights, reading.noise) @ v).transpose(1, 2)

"""Dropout (Srivastava et al. 2014) that is cheap on a CPU.

`F.dropout` draws a random number an element, 5 ns on a CPU: more than the matrix products of a
small model. Here a forward pass draws one pool, and each mask is cut out of it at a random place;
so all masks are functions of the state of torch's generator.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import Function

_POOL = 1 << 21
"""Elements of the pool; a mask is cut from anywhere in it, in pieces of at most half of it."""
_PIECE = _POOL // 2
_ALIGN = 32
"""Cuts begin at multiples of this many elements, 64 bytes in bf16: aligned loads."""
_DRAWS = 64
STEP = 12_345 * _ALIGN
"""From a cut to the next of the same tensor."""


class Noise:
    """The masks of one forward pass.

    rate: how often an element is dropped, below 1. Those kept are scaled by 1 / (1 - rate), rounded
    to the type of `like`, and the rate follows that scale (0.1 becomes 0.0986 in bf16): what is
    expected of a product does not change. On other devices than a CPU this is `F.dropout`.
    """

    def __init__(self, rate: float, like: Tensor) -> None:
        self.rate = rate
        self.pool: Tensor | None = None
        self._starts: list[int] = []
        if like.device.type == "cpu":
            scale = float(torch.tensor(1 / (1 - rate), dtype=like.dtype))
            bits = torch.empty(_POOL // 4, dtype=torch.int64).random_(-(1 << 63), None)
            kept = bits.view(torch.int16) < round((1 / scale - 0.5) * (1 << 16))
            self.pool = kept.to(like.dtype).mul_(scale)

    def start(self) -> int:
        """Return a random place of the pool, to `cut` from."""
        if not self._starts:
            self._starts = (torch.randint(_PIECE // _ALIGN, (_DRAWS,)) * _ALIGN).tolist()
        return self._starts.pop()

    def cut(self, start: int, count: int) -> Tensor:
        """Return `count` factors, at most half a pool; `start` is taken modulo half a pool."""
        assert self.pool is not None and count <= _PIECE
        start %= _PIECE
        return self.pool[start : start + count]

    def drop(self, x: Tensor) -> Tensor:
        """Return x with elements dropped."""
        if self.pool is None:
            return F.dropout(x, self.rate)
        out: Tensor = _Drop.apply(x, self, self.start())
        return out

    def _times(self, x: Tensor, start: int) -> Tensor:
        """Return x times its mask; each piece of it is cut from another place."""
        out = torch.empty_like(x, memory_format=torch.contiguous_format)
        pieces = zip(x.reshape(-1).split(_PIECE), out.view(-1).split(_PIECE), strict=True)
        for number, (part, made) in enumerate(pieces):
            torch.mul(part, self.cut(start + number * STEP, len(part)), out=made)
        return out


class _Drop(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, noise: Noise, start: int) -> Tensor:
        ctx.noise, ctx.start = noise, start
        return noise._times(x, start)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return ctx.noise._times(grads[0], ctx.start), None, None


def noise_for(rate: float, training: bool, like: Tensor) -> Noise | None:
    """Return the masks of a forward pass, or None where nothing is dropped."""
    return Noise(rate, like) if training and rate > 0 else None


def drop(x: Tensor, noise: Noise | None) -> Tensor:
    """Return x with elements dropped, if there is noise."""
    return x if noise is None else noise.drop(x)

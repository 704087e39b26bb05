"""Dropout (Srivastava et al. 2014) that is cheap on a CPU.

`F.dropout` draws a random number an element, 5 ns on a CPU: more than the matrix products of a
small model. Here a forward pass draws one pool, and each mask is cut out of it at a random place;
so all masks are functions of the state of torch's generator.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import Function

_POOL = 1 << 21
"""Elements of the pool; a mask is cut from anywhere in it, in pieces of at most half of it."""
_PIECE = _POOL // 2
_WORK = 1 << 18
"""Elements that are worked on together: they stay in L2 from one operation to the next."""
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
        self.scale = float(torch.tensor(1 / (1 - rate), dtype=like.dtype))
        self._starts: list[int] = []
        if like.device.type == "cpu":
            bits = torch.empty(_POOL // 4, dtype=torch.int64).random_(-(1 << 63), None)
            kept = bits.view(torch.int16) < round((1 / self.scale - 0.5) * (1 << 16))
            self.pool = kept.to(like.dtype).mul_(self.scale)

    def start(self) -> int:
        """Return a random place of the pool, to `cut` from."""
        if not self._starts:
            self._starts = (torch.randint(_PIECE // _ALIGN, (_DRAWS,)) * _ALIGN).tolist()
        return self._starts.pop()

    def seed(self) -> int:
        """Return a number to draw other masks by."""
        return int(torch.randint(1 << 31, ()))

    def cut(self, start: int, count: int) -> Tensor:
        """Return `count` factors, at most half a pool; `start` is taken modulo half a pool."""
        assert self.pool is not None and count <= _PIECE
        start %= _PIECE
        return self.pool[start : start + count]

    def pieces(self, start: int, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
        """Yield the factors for a piece of contiguous tensors of one size, and these pieces."""
        flat = (x.view(-1).split(_WORK) for x in tensors)
        for number, parts in enumerate(zip(*flat, strict=True)):
            yield self.cut(start + number * STEP, len(parts[0])), *parts


class _Drop(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, noise: Noise, start: int) -> Tensor:
        ctx.noise, ctx.start = noise, start
        return _times(x, noise, start)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return _times(grads[0], ctx.noise, ctx.start), None, None


def _times(x: Tensor, noise: Noise, start: int) -> Tensor:
    x = x.contiguous()
    out = torch.empty_like(x)
    for factors, part, made in noise.pieces(start, x, out):
        torch.mul(part, factors, out=made)
    return out


class _DropAdd(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, noise: Noise, start: int) -> Tensor:
        ctx.noise, ctx.start = noise, start
        x, y = x.contiguous(), y.contiguous()
        out = torch.empty_like(x)
        for factors, one, other, made in noise.pieces(start, x, y, out):
            torch.addcmul(one, other, factors, out=made)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        return grads[0], _times(grads[0], ctx.noise, ctx.start), None, None


class _ReluDrop(Function):
    """What is above zero behind both was kept: the backward pass needs no mask."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, noise: Noise, start: int) -> Tensor:
        x = x.contiguous()
        out = torch.empty_like(x)
        for factors, part, made in noise.pieces(start, x, out):
            torch.clamp_min(part, 0, out=made).mul_(factors)
        ctx.save_for_backward(out)
        ctx.scale = noise.scale
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (out,) = ctx.saved_tensors
        dx = torch.empty_like(out)
        flat = (x.reshape(-1).split(_WORK) for x in (grads[0], out, dx))
        for gradient, part, made in zip(*flat, strict=True):
            torch.ops.aten.threshold_backward.grad_input(gradient, part, 0, grad_input=made)
            made.mul_(ctx.scale)
        return dx, None, None


def noise_for(rate: float, training: bool, like: Tensor) -> Noise | None:
    """Return the masks of a forward pass, or None where nothing is dropped."""
    return Noise(rate, like) if training and rate > 0 else None


def drop(x: Tensor, noise: Noise | None) -> Tensor:
    """Return x with elements dropped, if there is noise."""
    if noise is None:
        return x
    if noise.pool is None:
        return F.dropout(x, noise.rate)
    out: Tensor = _Drop.apply(x, noise, noise.start())
    return out


def drop_add(x: Tensor, y: Tensor, noise: Noise | None) -> Tensor:
    """Return x plus what is left of y."""
    if noise is None or noise.pool is None:
        return x + drop(y, noise)
    out: Tensor = _DropAdd.apply(x, y, noise, noise.start())
    return out


def relu_drop(x: Tensor, noise: Noise | None) -> Tensor:
    """Return what is left of the positive elements of x."""
    if noise is None or noise.pool is None:
        return drop(x.relu(), noise)
    out: Tensor = _ReluDrop.apply(x, noise, noise.start())
    return out

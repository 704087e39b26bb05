"""Training and losses on a CPU: the same mathematics with fewer passes over memory.

Little is kept for the backward pass, and kernels are taken that do more in one pass.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import Function

from midigen.layers import amx
from midigen.layers.noise import Noise, drop_add
from midigen.layers.reading import Seen
from midigen.layers.tiles import NEVER, gradients

_WORK = 1 << 17
"""Elements that are turned together: 256 KiB in bf16."""


def attention_fits(q: Tensor, k: Tensor, seen: Seen) -> bool:
    """Return whether `attention` takes these (B, T, H, D): bf16 on a CPU."""
    if q.device.type != "cpu" or q.dtype != torch.bfloat16:
        return False
    return _in_tiles(q, seen) or (torch.is_grad_enabled() and q.shape == k.shape)


def _in_tiles(q: Tensor, seen: Seen) -> bool:
    return q.shape[-1] % amx.EDGE == 0 and amx.is_for(q) and seen.in_order


def attention(q: Tensor, k: Tensor, v: Tensor, cos: Tensor, sin: Tensor, seen: Seen) -> Tensor:
    """Return causal attention (B, T, H, D) of q and k, which are turned first (see `turned`)."""
    out: Tensor
    if _in_tiles(q, seen):
        out = _TiledAttention.apply(q, k, v, cos, sin, seen.starts)
    else:
        out = _Attention.apply(q, k, v, cos, sin, seen.segments)
    return out


class _TiledAttention(Function):
    """Both ways in AMX's tiles."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, cos: Tensor, sin: Tensor, starts: Tensor | None
    ) -> Tensor:
        q, k, v = (x.contiguous() for x in (q, k, v))
        heads = amx.Heads(q, k, v, cos[:, 0], sin[:, 0], starts)
        y, logs = amx.attention(heads)
        ctx.save_for_backward(*heads, y, logs)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        *saved, y, logs = ctx.saved_tensors
        heads = amx.Heads(*saved)
        dq, dk, dv = (torch.empty_like(x) for x in heads[:3])
        amx.attention_back(heads, y, logs, grads[0], (dq, dk, dv))
        return dq, dk, dv, None, None, None


class _Attention(Function):
    """PyTorch's own kernel forward; backward in tiles, which takes half of its time."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, cos: Tensor, sin: Tensor, segments: Tensor | None
    ) -> Tensor:
        T, D = q.shape[1], q.shape[3]
        q, k, v = (x.transpose(1, 2).contiguous() for x in (q, k, v))  # (B, H, T, D)
        cos, sin = cos[:, 0], sin[:, 0]
        for x in (q, k):
            _turn(x.flatten(0, 1), cos, sin)
        q.mul_(1 / math.sqrt(D))
        mask = None
        if segments is not None:
            same = segments[:, None, :, None] == segments[:, None, None, :]
            mask = torch.where(same & torch.ones(T, T, dtype=torch.bool).tril(), 0.0, NEVER)
            mask = mask.to(q.dtype)
        y, _ = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            q, k, v, 0.0, mask is None, attn_mask=mask, scale=1.0
        )
        ctx.save_for_backward(q, k, v, cos, sin, segments)
        result: Tensor = y.transpose(1, 2)
        return result

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, cos, sin, segments = ctx.saved_tensors
        dy = grads[0].transpose(1, 2).contiguous()
        q_, k_, v_, dy = (x.flatten(0, 1) for x in (q, k, v, dy))
        dq, dk, dv = gradients(q_, k_, v_, dy, q.shape[1], segments)
        _turn(dq, cos, -sin)
        _turn(dk, cos, -sin)
        back = (x.view_as(q).transpose(1, 2).contiguous() for x in (dq, dk, dv))
        return *back, None, None, None


def _turn(x: Tensor, cos: Tensor, sin: Tensor) -> None:
    """Turn (N, T, D) in place; cos, sin (T, D)."""
    for part in x.split(max(1, _WORK // cos.numel())):
        other = part.roll(part.shape[-1] // 2, -1)
        part.mul_(cos).addcmul_(other, sin)


class _Rotate(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return turned(x, cos, sin)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return turned(grads[0], cos, -sin), None, None


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Return (B, T, H, D) turned by the angles of its places; its gradient is turned back."""
    out: Tensor = _Rotate.apply(x, cos, sin)
    return out


def turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """`rotate` without a gradient: cos, sin (T, 1, D), the first half of sin negated."""
    other = x.roll(x.shape[-1] // 2, -1)
    return (x * cos).addcmul_(other, sin)


class _Norm(Function):
    """Backward in LayerNorm's kernel, which is told that the mean is 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        wide = torch.promote_types(x.dtype, torch.float32)
        x = x.contiguous()
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True).to(wide)
        scale = (norm.square_() / x.shape[-1] + eps).rsqrt_()
        ctx.save_for_backward(x, weight, scale)
        return (x * scale.to(x.dtype)).mul_(weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight, scale = ctx.saved_tensors
        dy, W, narrow = grads[0].contiguous(), x.shape[-1], scale.to(x.dtype)
        dx, *_ = torch.ops.aten.native_layer_norm_backward(
            dy,
            x,
            [W],
            torch.zeros_like(scale),
            scale,
            weight.to(scale.dtype),
            None,
            [True, False, False],
        )
        # LayerNorm's gradient has its mean taken off; that of RMSNorm keeps it.
        dx.add_((dy @ (weight / W)).unsqueeze(-1).mul_(narrow))
        dw = narrow.flatten() @ (dy * x).flatten(0, -2)
        return dx, dw, None


class _AddNorm(Function):
    """The sum is given out, too, and its gradient comes back: that of x and branch in one pass."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, branch: Tensor | None, weight: Tensor, eps: float
    ) -> tuple[Tensor, Tensor]:
        made = amx.norm(x, branch, weight, eps)
        ctx.save_for_backward(*made, weight)
        ctx.set_materialize_grads(False)
        ctx.has_branch = branch is not None
        return made.sum if branch is not None else x.view_as(x), made.out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        *made, weight = ctx.saved_tensors
        dx, dweight = amx.norm_back(amx.Normed(*made), weight, grads[0], grads[1])
        return dx, dx if ctx.has_branch else None, dweight, None


def add_norm(
    x: Tensor, branch: Tensor | None, weight: Tensor, eps: float, noise: Noise | None
) -> tuple[Tensor, Tensor]:
    """Return x plus what is left of branch (None: x), and RMSNorm of it, (..., W)."""
    if branch is not None and (noise is not None or not amx.is_for(x, weight)):
        x, branch = drop_add(x, branch, noise), None
    if amx.is_for(x, weight):
        out: tuple[Tensor, Tensor] = _AddNorm.apply(x, branch, weight, eps)
        return out
    return x, norm(x, weight, eps)


def norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Return RMSNorm of (..., W). `F.rms_norm` on a CPU makes nine passes, four of them in fp32."""
    if torch.is_grad_enabled() and x.device.type == "cpu":
        out: Tensor = _Norm.apply(x, weight, eps)
        return out
    return F.rms_norm(x, weight.shape, weight, eps)


class _SwiGLU(Function):
    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        gate, up = gate.contiguous(), up.contiguous()
        ctx.save_for_backward(gate, up)
        return amx.swiglu(gate, up)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        gate, up = ctx.saved_tensors
        return amx.swiglu_back(gate, up, grads[0].contiguous())


def swiglu(gate: Tensor, up: Tensor) -> Tensor:
    """Return silu(gate) up, element by element."""
    if amx.is_for(gate, up):
        out: Tensor = _SwiGLU.apply(gate, up)
        return out
    return F.silu(gate) * up

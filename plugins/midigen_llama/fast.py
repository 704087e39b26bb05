"""Training on a CPU: the same mathematics with fewer passes over memory.

Little is kept for the backward pass, and kernels are taken that do more in one pass.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function

from midigen.layers.tiles import NEVER, gradients

_WORK = 1 << 17
"""Elements that are turned together: 256 KiB in bf16."""


def attention_fits(q: Tensor, k: Tensor) -> bool:
    """Return whether `attention` takes these (B, T, H, D): training, bf16, CPU, as many heads."""
    return (
        torch.is_grad_enabled()
        and q.device.type == "cpu"
        and q.dtype == torch.bfloat16
        and q.shape == k.shape
    )


def attention(
    q: Tensor, k: Tensor, v: Tensor, cos: Tensor, sin: Tensor, segments: Tensor | None
) -> Tensor:
    """Return causal attention (B, T, H, D) of q and k, which are turned first (see `turned`).

    segments (B, T): only within the same number.
    """
    out: Tensor = _Attention.apply(q, k, v, cos, sin, segments)
    return out


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


def norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Return RMSNorm of (..., W). `F.rms_norm` on a CPU makes nine passes, four of them in fp32."""
    out: Tensor = _Norm.apply(x, weight, eps)
    return out

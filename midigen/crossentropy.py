"""Cross-entropy whose gradient is made in the forward pass, some rows at a time.

`F.cross_entropy` of logits in bf16 needs a copy in fp32 and two more of its size: for 8,192 places
and 600 ids that is 60 MB through memory, a tenth of a step of a small model on a CPU.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch.autograd.function import Function

from midigen.layers import amx
from midigen.windows import IGNORE

if TYPE_CHECKING:
    from torch import Tensor

_VALUES = 1 << 18
"""Logits in fp32 that are worked on together: 1 MiB, within L2."""


def cross_entropy(
    logits: "Tensor", targets: "Tensor", divisor: float, smoothing: float = 0.0
) -> "Tensor":
    """Return the summed nats of targets (N,) under logits (N, V), over `divisor`; fp32 inside.

    Targets of `IGNORE` do not count. smoothing: the share of the target's probability that is
    spread over all ids (Szegedy et al., arXiv 1512.00567, section 7).
    """
    loss: Tensor = _CrossEntropy.apply(logits, targets, divisor, smoothing)
    return loss


class _CrossEntropy(Function):
    @staticmethod
    def forward(
        ctx: Any, logits: "Tensor", targets: "Tensor", divisor: float, smoothing: float
    ) -> "Tensor":
        if amx.is_for(logits):
            nats, gradient = amx.cross_entropy(logits, targets, divisor, smoothing)
            ctx.save_for_backward(gradient)
            return torch.tensor(nats / divisor)
        rows = max(1, _VALUES // logits.shape[1]) if logits.device.type == "cpu" else len(logits)
        gradient = torch.empty_like(logits)
        loss = torch.zeros((), device=logits.device)
        counts = targets != IGNORE
        for start in range(0, len(logits), rows):
            part = slice(start, start + rows)
            counted = counts[part, None]
            wanted = targets[part, None].clamp(min=0)
            values = logits[part].float()
            values -= values.amax(dim=1, keepdim=True)
            chosen = values.gather(1, wanted)
            if smoothing:
                chosen = torch.lerp(chosen, values.mean(dim=1, keepdim=True), smoothing)
            total = values.exp_().sum(dim=1, keepdim=True)
            loss += ((total.log() - chosen) * counted).sum()
            values *= counted / (total * divisor)
            if smoothing:
                values -= counted * (smoothing / (divisor * values.shape[1]))
            values.scatter_add_(1, wanted, counted * ((smoothing - 1.0) / divisor))
            gradient[part] = values
        ctx.save_for_backward(gradient)
        return loss / divisor

    @staticmethod
    def backward(ctx: Any, *grads: "Tensor") -> "tuple[Tensor, None, None, None]":
        (gradient,) = ctx.saved_tensors
        if gradient.device.type == "cpu" and grads[0] == 1:
            return gradient, None, None, None
        return gradient * grads[0].to(gradient.dtype), None, None, None

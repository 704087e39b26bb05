"""Muon: momentum made orthogonal, for the matrices inside a model (Jordan et al. 2024).

Scaled as in Liu et al. (arXiv 2502.16982, section 2.2), so that a learning rate and a weight decay
that suit AdamW suit it as well.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic iteration: they blow small singular values up fastest, to within 0.7 to 1.2."""
_STEPS = 5


def orthogonal(matrices: "Tensor") -> "Tensor":
    """Return matrices (N, R, C) with all singular values moved near 1, in bf16.

    Newton and Schulz's iteration, on the wide side: its products are of the short side's square.
    """
    a, b, c = _COEFFICIENTS
    x = matrices.bfloat16()
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(_STEPS):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Steps 2-D weights; those of one shape together, as small products waste a processor."""

    def __init__(
        self,
        weights: "Iterable[nn.Parameter]",
        lr: float = 1e-3,
        momentum: float = 0.95,
        weight_decay: float = 0.1,
    ) -> None:
        super().__init__(weights, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            shapes: dict[torch.Size, list[Tensor]] = {}
            for weight in group["params"]:
                if weight.grad is not None:
                    shapes.setdefault(weight.shape, []).append(weight)
            for shape, weights in shapes.items():
                self._step(weights, group, 0.2 * max(shape) ** 0.5 * group["lr"])

    def _step(self, weights: "list[Tensor]", group: dict[str, Any], rate: float) -> None:
        grads = [weight.grad for weight in weights if weight.grad is not None]
        moving = []
        for weight in weights:
            state = self.state[weight]
            if not state:
                state["momentum_buffer"] = torch.zeros_like(weight)
            moving.append(state["momentum_buffer"])
        torch._foreach_lerp_(moving, grads, 1 - group["momentum"])
        ahead = torch._foreach_lerp(grads, moving, group["momentum"])  # Nesterov's look ahead
        changes = orthogonal(torch.stack(ahead)).to(weights[0].dtype)
        torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(weights, list(changes), alpha=-rate)

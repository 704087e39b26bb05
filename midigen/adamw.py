"""AdamW that reads gradients and writes the copy that computes while it steps, in one pass."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from midigen.layers import amx

if TYPE_CHECKING:
    from torch import Tensor, nn


class OnePassAdamW(torch.optim.AdamW):
    """PyTorch's AdamW with another way to step, for the CPU. Its state is the same.

    copies: of each weight, in bf16. A weight without a gradient takes that of its copy.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        copies: "Mapping[nn.Parameter, nn.Parameter]",
        betas: tuple[float, float],
    ) -> None:
        super().__init__(groups, lr=0.0, betas=betas, fused=True)
        self.copies = copies
        self.excess = 1.0
        """What gradients are divided by."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            moving: dict[int, list[amx.Moving]] = {}
            for weight in group["params"]:
                gradient = self.gradient(weight)
                if gradient is None:
                    continue
                state = self._begun(weight)
                state["step"] += 1
                moments = state["exp_avg"], state["exp_avg_sq"]
                found = amx.Moving(weight, gradient.contiguous(), *moments, self.copies[weight])
                moving.setdefault(int(state["step"]), []).append(found)
            numbers = group["lr"], group["betas"], group["eps"], group["weight_decay"]
            for steps, weights in moving.items():
                amx.adamw(weights, *numbers, steps, 1 / self.excess)

    def gradient(self, weight: "nn.Parameter") -> "Tensor | None":
        """Return what a weight is to be stepped by."""
        return weight.grad if weight.grad is not None else self.copies[weight].grad

    def zero_grad(self, set_to_none: bool = True) -> None:
        super().zero_grad(set_to_none)
        for copied in self.copies.values():
            copied.grad = None

    def _begun(self, weight: "nn.Parameter") -> "dict[str, Any]":
        state: dict[str, Any] = self.state[weight]
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg"] = torch.zeros_like(weight)
            state["exp_avg_sq"] = torch.zeros_like(weight)
        return state

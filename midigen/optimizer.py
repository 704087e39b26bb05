"""One training step: weights in fp32, products in bf16 where the device gains from it."""

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from midigen.devices import cpu_flags
from midigen.errors import MidigenError
from midigen.ranks import Ranks, split_like, whole
from midigen.settings import Settings
from midigen.windows import Batch

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

ALONE = Ranks()
_MICRO = 16384
"""Places that are computed together; larger batches add gradients up."""
_ALIKE = 0.98
"""Cosine of gradients that two ways of computing in bf16 agree by, and more."""


def compute_dtype(device: str, asked: str) -> "torch.dtype":
    """Return the type of products: bf16 on CPUs with instructions for it and on such GPUs."""
    import torch

    if asked != "auto":
        return torch.bfloat16 if asked == "bf16" else torch.float32
    if device.startswith("cuda"):
        gains = torch.cuda.is_bf16_supported()
    else:
        # Without such instructions torch emulates bf16, slower than fp32.
        gains = device == "cpu" and not cpu_flags().isdisjoint({"amx_bf16", "avx512_bf16"})
    return torch.bfloat16 if gains else torch.float32


def rules_for(
    model: "nn.Module",
    settings: Settings,
    device: str,
    copies: "Mapping[nn.Parameter, nn.Parameter] | None" = None,
) -> "list[torch.optim.Optimizer]":
    """Return the optimisers that together step all weights; vectors do not decay.

    `Muon` steps matrices alone: AdamW the vectors, and the tables with a row a token (embedding
    and output). copies: of weights, in bf16, if AdamW shall refresh them while it steps.
    """
    import torch

    weights = list(model.parameters())
    rules: list[torch.optim.Optimizer] = []
    kind = settings.chosen().optimizer
    if kind == "muon":
        from midigen.muon import Muon

        inner = inner_matrices(model)
        rules.append(Muon(inner.values(), weight_decay=settings.decay))
        stepped = set(inner.values())
        weights = [w for w in weights if w not in stepped]
    groups: list[dict[str, Any]] = [
        {"params": [w for w in weights if w.dim() >= 2], "weight_decay": settings.decay},
        {"params": [w for w in weights if w.dim() < 2], "weight_decay": 0.0},
    ]
    if kind == "adamax":
        rules.append(torch.optim.Adamax(groups, lr=0.0, betas=settings.betas))
    elif copies:
        from midigen.adamw import OnePassAdamW

        rules.append(OnePassAdamW(groups, copies, settings.betas))
    else:
        fused = device == "cpu" or device.startswith("cuda") or None
        rules.append(torch.optim.AdamW(groups, lr=0.0, betas=settings.betas, fused=fused))
    return rules


def inner_matrices(model: "nn.Module") -> "dict[str, nn.Parameter]":
    """Return the matrices of a model by name, but for the tables with a row a token."""
    import torch

    tables = [m.weight for m in model.modules() if isinstance(m, torch.nn.Embedding)]
    rows = {len(table) for table in tables}
    return {
        name: weight
        for name, weight in model.named_parameters()
        if weight.dim() == 2 and len(weight) not in rows
    }


class Optimizer:
    """Steps fp32 weights, with a copy of them in `dtype` that computes.

    master: the model with the weights that count. learned: what is stepped; here the same.
    compute: the one that runs; in fp32 the same, too. The copy is cast once a step; autocast would
    cast in every product and keep activations wider.
    """

    def __init__(
        self,
        master: "nn.Module",
        device: str,
        dtype: "torch.dtype",
        settings: Settings,
        ranks: Ranks = ALONE,
    ) -> None:
        import torch

        self.device = device
        self.settings = settings
        self.ranks = ranks
        self.master = master.to(device=device, dtype=torch.float32)
        self.compute = self._copy(dtype)
        wrapped = ranks.wrap(self.compute, dtype)
        self._run: Any = torch.compile(wrapped) if settings.compile else wrapped
        self._is_unchecked = settings.compile and ranks.size == 1
        self.learned = self._learned()
        self._gradients: dict[nn.Parameter, Tensor] = {}
        """Their memory, which the next step takes again: fresh memory costs page faults."""
        self._copied = self._copies()
        self.rules = rules_for(self.learned, settings, device, self._copied)
        self._rule = {
            weight: rule
            for rule in self.rules
            for group in rule.param_groups
            for weight in group["params"]
        }

    def _copy(self, dtype: "torch.dtype") -> "nn.Module":
        """Return the model that computes. Split weights are cast as they are gathered."""
        import torch

        if dtype == torch.float32 or self.ranks.shard:
            return self.master
        return copy.deepcopy(self.master).to(dtype)

    def _copies(self) -> "dict[nn.Parameter, nn.Parameter]":
        """Return the copies that AdamW can refresh itself: on the CPU, in one process."""
        from midigen.layers import amx

        weights = dict(self.master.named_parameters())
        copies = dict(self.compute.named_parameters())
        alone = self.learned is self.master is not self.compute and self.ranks.size == 1
        if not (alone and amx.is_for(*copies.values())):
            return {}
        return {weight: copies[name] for name, weight in weights.items()}

    def _learned(self) -> "nn.Module":
        """Return the module whose parameters are stepped."""
        return self.master

    def step(self, batch: Batch, rate: float) -> "tuple[Tensor, Tensor]":
        """Learn from a batch; return its loss (nats a token) and the gradient's norm.

        Both stay on the device: reading them waits for it.
        """
        import torch

        mine = self.ranks.rows(batch)
        rows = max(1, _MICRO // mine.ids.shape[1])
        if self._is_unchecked:
            self._is_unchecked = False
            self._check_compiled(mine, slice(0, rows))
        self.compute.train()
        loss = torch.zeros((), device=self.device)
        for start in range(0, len(mine.ids), rows):
            loss += self._backward(mine, slice(start, start + rows))
            self._take_gradients(is_all=rows >= len(mine.ids))
        norm = self._clip()
        for rule in self.rules:
            for group in rule.param_groups:
                group["lr"] = rate
            rule.step()
            rule.zero_grad(set_to_none=True)
        self.refresh(is_stepped=True)
        return self.ranks.sum(loss), whole(norm)

    def _clip(self) -> "Tensor":
        """Scale the gradients to a norm of ``clip`` at most; return the norm that they had.

        Fused AdamW scales them as it reads them, which saves a pass over memory.
        """
        import torch

        weights = [w for w in self.learned.parameters() if w.grad is not None]
        norm = self._norm()
        if not self.settings.clip:
            return norm
        later = [rule for rule in self.rules if self._scales(rule)]
        excess = (norm / self.settings.clip + 1e-6).clamp(min=1.0)
        for rule in later:
            if hasattr(rule, "excess"):
                rule.excess = float(excess)
            else:
                rule.grad_scale, rule.found_inf = excess, torch.zeros_like(excess)  # type: ignore[attr-defined]
        now = [w for w in weights if self._rule[w] not in later]
        if now:
            torch.nn.utils.clip_grads_with_norm_(now, self.settings.clip, norm)
        return norm

    def _norm(self) -> "Tensor":
        import torch

        from midigen.layers import amx

        if not self._copied:
            gradients = [w.grad for w in self.learned.parameters() if w.grad is not None]
            return torch.nn.utils.get_total_norm(gradients)
        found = (w.grad if w.grad is not None else self._copied[w].grad for w in self._copied)
        return torch.tensor(amx.norm_of([g.contiguous() for g in found if g is not None]))

    def _in_one_pass(self, weight: "nn.Parameter") -> bool:
        """Return whether its rule reads the copy's gradient and refreshes the copy."""
        return hasattr(self._rule[weight], "excess")

    def _scales(self, rule: "torch.optim.Optimizer") -> bool:
        return bool(rule.defaults.get("fused")) and self.device == "cpu" and self.ranks.size == 1

    def _backward(self, batch: Batch, rows: slice) -> "Tensor":
        """Add the gradients of some rows to the master's; return their part of the loss."""
        loss = self._loss(self._run, batch, rows)
        # Processes share the mean of their gradients; the batch's is the sum.
        (loss * self.ranks.size).backward()
        return loss.detach()

    def _loss(self, run: Any, batch: Batch, rows: slice) -> "Tensor":
        """Return the part of the batch's loss that some rows have, as `run` computes the model."""
        import torch

        from midigen.crossentropy import cross_entropy

        ids, targets, segments = (
            torch.from_numpy(array[rows]).to(self.device, non_blocking=True)
            for array in (batch.ids, batch.targets, batch.segments)
        )
        logits = run(ids, segments if batch.packed else None)
        smoothing = self.settings.label_smoothing
        return cross_entropy(logits.flatten(0, 1), targets.flatten(), batch.scored, smoothing)

    def _check_compiled(self, batch: Batch, rows: slice) -> None:
        """Compare the gradients of the compiled model with those of the plain one, without dropout.

        Raises MidigenError where they point elsewhere: such a run would learn, but less.
        """
        import torch

        self.compute.eval()
        weights = [weight for weight in self.compute.parameters() if weight.requires_grad]

        def gradients(run: Any) -> "Tensor":
            loss = self._loss(run, batch, rows)
            parts = torch.autograd.grad(loss, weights, allow_unused=True)
            return torch.cat([x.float().flatten() for x in parts if x is not None])

        compiled, plain = gradients(self._run), gradients(self.compute)
        alike = float(torch.nn.functional.cosine_similarity(compiled, plain, dim=0))
        if not alike >= _ALIKE:
            raise MidigenError(
                f"--compile: on {self.device} the compiled model does not learn as the plain one"
                f" does (cosine of their gradients {alike:.3f}); leave --compile out"
            )

    def _take_gradients(self, is_all: bool) -> None:
        """Move the gradients of the copy to what is learned.

        is_all: nothing will be added, so those that are read where they are may stay there.
        """
        if self.compute is self.master:
            return
        pairs = zip(self.master.parameters(), self.compute.parameters(), strict=True)
        for weight, copied in pairs:
            if copied.grad is None or (is_all and self._in_one_pass(weight)):
                continue
            if weight.grad is None and weight in self._gradients:
                weight.grad = self._gradients[weight].copy_(copied.grad)
            else:
                add_gradient(weight, copied.grad)
                assert weight.grad is not None
                self._gradients[weight] = weight.grad
            copied.grad = None

    def refresh(self, is_stepped: bool = False) -> None:
        """Cast the weights into the computing copy; after a step, those that it left to be cast."""
        import torch

        if self.compute is self.master:
            return
        with torch.no_grad():
            pairs = zip(self.master.parameters(), self.compute.parameters(), strict=True)
            for weight, copied in pairs:
                if not (is_stepped and self._in_one_pass(weight)):
                    copied.copy_(weight)

    def weights(self) -> "dict[str, Tensor]":
        """Return the weights, whole, as a state dict: every process must ask."""
        return {name: whole(value) for name, value in self.master.state_dict().items()}

    def tensors(self) -> "dict[str, Tensor]":
        """Return all that a run needs to go on, by name, whole: every process must ask."""
        found = {}
        for name, weight in self.learned.named_parameters():
            found[f"weight/{name}"] = whole(weight.detach())
            state = self._rule[weight].state.get(weight, {})
            for key, value in state.items():
                found[f"{key}/{name}"] = whole(value)
        return found

    def restore(self, tensors: "dict[str, Tensor]") -> None:
        """Take up what `tensors` returned."""
        import torch

        weights = dict(self.learned.named_parameters())
        with torch.no_grad():
            for label, value in tensors.items():
                key, _, name = label.partition("/")
                weight = weights[name]
                if key == "weight":
                    weight.copy_(split_like(value, weight))
                elif key == "step":
                    rule = self._rule[weight]
                    place = self.device if rule.defaults.get("fused") else "cpu"
                    rule.state[weight][key] = value.to(place)
                else:
                    self._rule[weight].state[weight][key] = split_like(value, weight)
        self.refresh()


def add_gradient(weight: "nn.Parameter", gradient: "Tensor") -> None:
    """Add a gradient of any type to that of a weight, in fp32."""
    if weight.grad is None:
        weight.grad = gradient.float()
    else:
        weight.grad += gradient

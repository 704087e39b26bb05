"""Low-rank adaptation (Hu et al., arXiv 2106.09685): a model is tuned by the factors of a change.

Every matrix W of a model's inside becomes W + SCALE B A, with A (rank, inputs) and B (outputs,
rank); W itself does not move, and neither do vectors. The tables with a row a token stay as well,
unless ids were added, whose rows must be learned.
"""

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn

from midigen.errors import UsageError
from midigen.optimizer import ALONE, Optimizer, add_gradient, inner_matrices
from midigen.ranks import Ranks
from midigen.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

SCALE = 2.0
"""How much of the change counts: alpha = 2 rank, as is usual."""


class Learned(nn.Module):
    """A and B of every matrix, and the tables that learn, by the names of the model's weights."""

    def __init__(
        self, matrices: "Mapping[str, Tensor]", tables: "Mapping[str, Tensor]", rank: int, seed: int
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.down, self.up = nn.ParameterDict(), nn.ParameterDict()
        for name, weight in matrices.items():
            outputs, inputs = weight.shape
            drawn = torch.randn(rank, inputs, generator=generator) / inputs**0.5
            self.down[_key(name)] = nn.Parameter(drawn)
            self.up[_key(name)] = nn.Parameter(torch.zeros(outputs, rank))
        self.tables = nn.ParameterDict(
            {_key(name): nn.Parameter(weight.detach().clone()) for name, weight in tables.items()}
        )

    def value(self, name: str, start: "Tensor") -> "Tensor":
        """Return what a weight that began as `start` is now."""
        key = _key(name)
        if key in self.tables:
            return self.tables[key]
        if key in self.down:
            return start + SCALE * self.up[key] @ self.down[key]
        return start

    def take(self, name: str, gradient: "Tensor") -> None:
        """Take up the gradient (outputs, inputs) of a weight, if it learns."""
        key = _key(name)
        if key in self.tables:
            add_gradient(self.tables[key], gradient)
        elif key in self.down:
            whole = SCALE * gradient.float()
            add_gradient(self.up[key], whole @ self.down[key].detach().T)
            add_gradient(self.down[key], self.up[key].detach().T @ whole)


class LoraOptimizer(Optimizer):
    """An `Optimizer` that moves factors; the copy that computes holds the sums.

    master: the weights that the run started from. tables: the embedding and output learn, too.
    """

    learned: Learned

    def __init__(
        self,
        master: nn.Module,
        device: str,
        dtype: torch.dtype,
        settings: Settings,
        ranks: Ranks = ALONE,
        *,
        tables: bool = False,
    ) -> None:
        if ranks.shard:
            raise UsageError("--lora does not go with --shard")
        if settings.optimizer == "muon":
            raise UsageError("--lora does not go with --optimizer muon: its factors are not square")
        self._tables = tables
        super().__init__(master, device, dtype, settings, ranks)

    def _copy(self, dtype: torch.dtype) -> nn.Module:
        return copy.deepcopy(self.master).to(dtype)

    def _learned(self) -> Learned:
        matrices = inner_matrices(self.master)
        rest = {
            n: w for n, w in self.master.named_parameters() if w.dim() == 2 and n not in matrices
        }
        tables = rest if self._tables else {}
        found = Learned(matrices, tables, self.settings.lora, self.settings.seed)
        return found.to(self.device)

    def _take_gradients(self, is_all: bool) -> None:
        for name, copied in self.compute.named_parameters():
            if copied.grad is not None:
                self.learned.take(name, copied.grad)
                copied.grad = None

    def refresh(self, is_stepped: bool = False) -> None:
        with torch.no_grad():
            starts = dict(self.master.named_parameters())
            for name, copied in self.compute.named_parameters():
                copied.copy_(self.learned.value(name, starts[name]))

    def weights(self) -> "dict[str, Tensor]":
        with torch.no_grad():
            state = self.master.state_dict()
            return {name: self.learned.value(name, value) for name, value in state.items()}

    def tensors(self) -> "dict[str, Tensor]":
        starts = self.master.named_parameters()
        return super().tensors() | {f"start/{name}": weight.detach() for name, weight in starts}

    def restore(self, tensors: "dict[str, Tensor]") -> None:
        starts = dict(self.master.named_parameters())
        with torch.no_grad():
            for name, weight in starts.items():
                weight.copy_(tensors[f"start/{name}"])
        rest = {k: v for k, v in tensors.items() if not k.startswith("start/")}
        super().restore(rest)


def _key(name: str) -> str:
    """Return a name that a ParameterDict takes: without dots."""
    return name.replace(".", ":")

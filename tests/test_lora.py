"""--lora: the factors learn as autograd says, and what comes out is an ordinary model."""

import copy
from pathlib import Path

import pytest
import torch
from test_optimizer import batch, model
from torch.nn.utils import parametrize

from midigen import checkpointing
from midigen.checkpointing import Progress
from midigen.errors import UsageError
from midigen.lora import SCALE, LoraOptimizer
from midigen.optimizer import inner_matrices
from midigen.ranks import Ranks
from midigen.settings import Settings

SETTINGS = Settings(lora=4, weight_decay=0.0)


class Change(torch.nn.Module):
    def __init__(self, up: torch.Tensor, down: torch.Tensor) -> None:
        super().__init__()
        self.up, self.down = torch.nn.Parameter(up.clone()), torch.nn.Parameter(down.clone())

    def forward(self, start: torch.Tensor) -> torch.Tensor:
        return start + SCALE * self.up @ self.down


def test_a_step_is_that_of_torch_on_the_factors() -> None:
    start = model()
    tuned = LoraOptimizer(copy.deepcopy(start), "cpu", torch.float32, SETTINGS)
    plain = copy.deepcopy(start).requires_grad_(False)
    changes = {}
    for name in inner_matrices(plain):
        key = name.replace(".", ":")
        changes[name] = Change(tuned.learned.up[key], tuned.learned.down[key])
        owner = plain.get_submodule(name.rpartition(".")[0])
        parametrize.register_parametrization(owner, "weight", changes[name])
    weights = [w for change in changes.values() for w in change.parameters()]
    adamw = torch.optim.AdamW(weights, lr=1e-2, betas=(0.9, 0.95), weight_decay=0.0)
    for k in range(3):
        loss, _ = tuned.step(batch(k), 1e-2)
        ids, targets = torch.from_numpy(batch(k).ids), torch.from_numpy(batch(k).targets)
        wanted = torch.nn.functional.cross_entropy(plain(ids).flatten(0, 1), targets.flatten())
        adamw.zero_grad()
        wanted.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        adamw.step()
        torch.testing.assert_close(loss, wanted.detach(), atol=1e-4, rtol=1e-4)
    for name, change in changes.items():
        torch.testing.assert_close(
            tuned.weights()[name],
            change(dict(start.named_parameters())[name]).detach(),
            atol=1e-4,
            rtol=1e-3,
        )


@pytest.mark.parametrize("tables", [False, True])
def test_only_what_may_learn_moves(tables: bool) -> None:
    start = model().state_dict()
    tuned = LoraOptimizer(model(), "cpu", torch.bfloat16, SETTINGS, tables=tables)
    assert all(torch.equal(value, start[name]) for name, value in tuned.weights().items())
    losses = [float(tuned.step(batch(0), 3e-2)[0]) for _ in range(80)]
    assert min(losses) < 0.85 * losses[0]
    moved = {n for n, value in tuned.weights().items() if not torch.equal(value, start[n])}
    table = {"model.embed_tokens.weight"} if tables else set()
    assert moved == set(inner_matrices(model())) | table


def test_a_saved_state_goes_on_bit_for_bit_without_the_weights_it_began_with(
    tmp_path: Path,
) -> None:
    straight = LoraOptimizer(model(), "cpu", torch.bfloat16, SETTINGS, tables=True)
    for k in range(3):
        straight.step(batch(k), 1e-2)
    checkpointing.save(tmp_path, straight, Progress(step=3))
    other = model()
    with torch.no_grad():
        for weight in other.parameters():
            weight.zero_()
    resumed = LoraOptimizer(other, "cpu", torch.bfloat16, SETTINGS, tables=True)
    checkpointing.load(tmp_path, resumed)
    for k in range(3, 6):
        straight.step(batch(k), 1e-2)
        resumed.step(batch(k), 1e-2)
    for name, value in straight.weights().items():
        assert torch.equal(value, resumed.weights()[name]), name


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(UsageError, match="--shard"):
        LoraOptimizer(model(), "cpu", torch.float32, SETTINGS, Ranks(0, 2, True))
    with pytest.raises(UsageError, match="muon"):
        LoraOptimizer(model(), "cpu", torch.float32, Settings(lora=4, optimizer="muon"))

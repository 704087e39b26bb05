"""Optimisers: Muon does what its formula says, every kind learns, and a state goes on exactly."""

import copy
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from midigen import checkpointing
from midigen.checkpointing import Progress
from midigen.errors import MidigenError
from midigen.muon import Muon, orthogonal
from midigen.optimizer import Optimizer
from midigen.registry import load
from midigen.settings import Settings
from midigen.windows import IGNORE, START, Batch

V = 11


def model() -> nn.Module:
    plugin = load("models", "llama")
    torch.manual_seed(3)
    built: nn.Module = plugin.build(plugin.Config(width=32, layers=2, head=8), V)
    return built


def batch(seed: int) -> Batch:
    """A row of counting: every id is the one before it and `seed` more, modulo V."""
    ids = (np.arange(49) * (seed % 3 + 1)) % V
    targets = ids[None, 1:].copy()
    targets[0, 0] = IGNORE
    return Batch(ids[None, :-1], targets, np.zeros((1, 48), np.int64), START, 47, False)


@pytest.mark.parametrize("shape", [(4, 16, 16), (3, 40, 24), (2, 8, 64)])
def test_orthogonal_moves_every_singular_value_near_one(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(1)
    values = torch.linalg.svdvals(orthogonal(torch.randn(shape, generator=generator)).float())
    assert values.min() > 0.3 and values.max() < 1.3


def test_muon_steps_each_matrix_as_if_alone() -> None:
    generator = torch.Generator().manual_seed(2)
    start = [torch.randn(12, 20, generator=generator) for _ in range(3)]
    grads = [torch.randn(12, 20, generator=generator) for _ in range(3)]
    together = [nn.Parameter(w.clone()) for w in start]
    rule = Muon(together, lr=0.01, momentum=0.9, weight_decay=0.1)
    for _ in range(2):
        for weight, grad in zip(together, grads, strict=True):
            weight.grad = grad.clone()
        rule.step()
    for weight, w, grad in zip(together, start, grads, strict=True):
        moving = torch.zeros_like(w)
        for _ in range(2):
            moving = 0.9 * moving + 0.1 * grad
            change = orthogonal((0.1 * grad + 0.9 * moving)[None])[0].float()
            w = w * (1 - 0.01 * 0.1) - 0.01 * 0.2 * 20**0.5 * change
        # Products in bf16 are summed in another order where three matrices go together.
        torch.testing.assert_close(weight.detach(), w, atol=2e-4, rtol=0)


def test_muon_leaves_tables_and_vectors_to_adamw() -> None:
    master = model()
    rules = Optimizer(master, "cpu", torch.float32, Settings(optimizer="muon")).rules
    muon, adamw = ({w for g in rule.param_groups for w in g["params"]} for rule in rules)
    named = dict(master.named_parameters())
    assert named["model.embed_tokens.weight"] in adamw
    assert named["model.layers.0.self_attn.q_proj.weight"] in muon
    assert {w for w in named.values() if w.dim() < 2} <= adamw
    assert muon | adamw == set(named.values()) and not muon & adamw


@pytest.mark.parametrize("kind", ["adamw", "adamax", "muon"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_kind_learns(kind: str, dtype: torch.dtype) -> None:
    optimizer = Optimizer(model(), "cpu", dtype, Settings(optimizer=kind))
    losses = [float(optimizer.step(batch(0), 3e-3)[0]) for _ in range(40)]
    assert losses[-1] < 0.4 * losses[0]


@pytest.mark.parametrize("kind", ["adamw", "adamax", "muon"])
def test_a_saved_state_goes_on_bit_for_bit(kind: str, tmp_path: Path) -> None:
    settings = Settings(optimizer=kind)
    straight = Optimizer(model(), "cpu", torch.bfloat16, settings)
    for k in range(3):
        straight.step(batch(k), 1e-3)
    checkpointing.save(tmp_path, straight, Progress(step=3))
    resumed = Optimizer(model(), "cpu", torch.bfloat16, settings)
    assert checkpointing.load(tmp_path, resumed).step == 3
    for optimizer in (straight, resumed):
        for k in range(3, 6):
            optimizer.step(batch(k), 1e-3)
    for one, other in zip(straight.master.parameters(), resumed.master.parameters(), strict=True):
        assert torch.equal(one, other)


def test_settings_reach_the_step() -> None:
    """Weight decay, clipping and smoothing each change what a step does."""
    base = Settings(optimizer="adamw", weight_decay=0.0, clip=0.0)
    start = model()
    found = {}
    for name, settings in {
        "base": base,
        "decay": replace(base, weight_decay=5.0),
        "betas": replace(base, betas=(0.5, 0.5)),
        "clip": replace(base, clip=1e-4),
        "smoothing": replace(base, label_smoothing=0.1),
        "muon": replace(base, optimizer="muon"),
    }.items():
        optimizer = Optimizer(copy.deepcopy(start), "cpu", torch.float32, settings)
        for k in range(2):
            optimizer.step(batch(k), 1e-2)
        found[name] = torch.cat([w.flatten() for w in optimizer.master.parameters()])
    for name in set(found) - {"base"}:
        assert not torch.allclose(found[name], found["base"]), name
    assert found["decay"].norm() < found["base"].norm()


@pytest.mark.skipif(shutil.which("cc") is None, reason="torch.compile needs a C compiler")
def test_a_compiled_model_learns_the_same() -> None:
    found = []
    for settings in (Settings(), Settings(compile=True)):
        optimizer = Optimizer(model(), "cpu", torch.float32, settings)
        found.append([float(optimizer.step(batch(k), 1e-2)[0]) for k in range(4)])
    assert found[1] == pytest.approx(found[0], rel=1e-4)


def test_what_compiles_to_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(run: nn.Module) -> Callable[..., torch.Tensor]:
        return lambda ids, segments: run(ids.flip(1), segments)

    monkeypatch.setattr(torch, "compile", wrong)
    optimizer = Optimizer(model(), "cpu", torch.float32, Settings(compile=True))
    before = [weight.clone() for weight in optimizer.master.parameters()]
    with pytest.raises(MidigenError, match="compiled model does not learn"):
        optimizer.step(batch(1), 1e-2)
    assert all(map(torch.equal, before, optimizer.master.parameters()))

"""Training's kernels against plain formulas in fp32, and against PyTorch alone."""

import copy
import ctypes

import emulated_tiles
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from midigen_llama import fast, plugin
from midigen_llama.config import LlamaConfig
from midigen_llama.model import rope_table
from torch import Tensor, nn

from midigen.adamw import OnePassAdamW
from midigen.errors import MidigenError
from midigen.layers import amx, attention, tiles
from midigen.layers.reading import Reading, Seen
from midigen.optimizer import Optimizer
from midigen.settings import Settings
from midigen.windows import IGNORE, START, Batch

installed = amx.library
KERNELS = "midigen.layers._amx"


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The kernels; where there is no AMX with its tiles in plain C."""
    found = installed()
    if found is None:
        if not emulated_tiles.can_emulate(KERNELS):
            pytest.skip("no compiler, or the processor lacks more than tiles")
        found = emulated_tiles.build(KERNELS, tmp_path_factory.mktemp("tiles"))
        assert amx.declare(found)
    return found


@pytest.fixture(autouse=True)
def here(kernels: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amx, "library", lambda: kernels)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).bfloat16()


def assert_near(found: Tensor, wanted: Tensor, share: float = 0.006) -> None:
    """bf16 keeps nine bits."""
    assert found.shape == wanted.shape
    assert float((found.float() - wanted).norm()) <= share * float(wanted.norm())


def starts_of(segments: Tensor | None) -> Tensor | None:
    seen = Seen(segments=segments)
    assert seen.in_order
    return seen.starts


def plain_attention(heads: amx.Heads, segments: Tensor | None) -> Tensor:
    q, k = (fast.turned(x, heads.cos[:, None], heads.sin[:, None]) for x in heads[:2])
    repeated = q.shape[2] // k.shape[2]
    k, v = (x.repeat_interleave(repeated, 2) for x in (k, heads.v))
    mask = torch.ones(q.shape[1], q.shape[1], dtype=torch.bool).tril()
    if segments is not None:
        mask = mask & (segments[:, None, :, None] == segments[:, None, None, :])
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2)


@pytest.mark.parametrize("shape", [(1, 1, 2, 1, 32), (2, 64, 4, 4, 64), (2, 100, 4, 2, 64)])
@pytest.mark.parametrize("pieces", [1, 7])
def test_attention_and_its_gradients_are_those_of_the_formula(
    shape: tuple[int, ...], pieces: int
) -> None:
    check_attention(shape, pieces)


@pytest.mark.parametrize("shape", [(1, 257, 4, 4, 96), (3, 512, 4, 1, 32), (1, 1100, 1, 1, 64)])
def test_attention_over_many_blocks(shape: tuple[int, ...]) -> None:
    check_attention(shape, 9)


def check_attention(shape: tuple[int, ...], pieces: int) -> None:
    B, T, H, G, D = shape
    q, k, v, dy = (draw(B, T, n, D, seed=i) for i, n in enumerate((H, G, G, H)))
    cos, sin = (x[:T, 0] for x in rope_table(T, D, 10_000.0, q))
    segments = None
    if pieces > 1:
        ends = torch.rand(B, T, generator=torch.Generator().manual_seed(1)) < pieces / T
        segments = ends.long().cumsum(1)
    heads = amx.Heads(q, k, v, cos, sin, starts_of(segments))
    y, logs = amx.attention(heads)
    plain = amx.Heads(*(x.float() for x in heads[:5]), None)
    for x in plain[:3]:
        x.requires_grad_()
    wanted = plain_attention(plain, segments)
    assert_near(y.detach(), wanted.detach())
    gradients = torch.autograd.grad(wanted, plain[:3], dy.float())
    for found, gradient in zip(back(heads, y, logs, dy), gradients, strict=True):
        assert_near(found, gradient, 0.01)


def back(heads: amx.Heads, y: Tensor, logs: Tensor, dy: Tensor, **more: object) -> list[Tensor]:
    into = tuple(torch.empty_like(x) for x in heads[:3])
    amx.attention_back(heads, y, logs, dy, into, **more)  # type: ignore[arg-type]
    return list(into)


@pytest.mark.parametrize("has_memory", [False, True])
def test_packed_attention_and_its_gradient(has_memory: bool) -> None:
    """Without places that turn; queries, keys and values side by side."""
    packed = draw(2, 45, 1 if has_memory else 3, 2, 32).requires_grad_()
    memory = draw(2, 45, 2, 2, 32, seed=1).requires_grad_() if has_memory else None
    segments = (torch.arange(90).view(2, 45) > 50).long()
    dy = draw(2, 45, 2, 32, seed=2)
    given = [x for x in (packed, memory) if x is not None]
    y = attention.attention(packed, memory, Reading(Seen(segments=segments)))
    wide = None if memory is None else memory.float()
    wanted = tiles.attention(packed.float(), wide, segments, None)
    assert_near(y.detach(), wanted.detach())
    for one, other in zip(
        torch.autograd.grad(y, given, dy),
        torch.autograd.grad(wanted, given, dy.float()),
        strict=True,
    ):
        assert_near(one, other.float(), 0.01)


def kept_of(dropped: amx.Dropped | None, rows: int) -> Tensor:
    """Return the attention weights (rows, 32, 32) of 32 places: their values are unit vectors."""
    q = draw(rows, 32, 1, 32)
    v = torch.eye(32).bfloat16()[None, :, None].expand(rows, -1, -1, -1).contiguous()
    return amx.attention(amx.Heads(q, q, v), dropped)[0][:, :, 0].float()


def test_dropout_takes_a_share_of_the_weights_and_others_grow() -> None:
    share, scale = 19661, 1 / 0.7
    whole = kept_of(None, 400)
    found = kept_of(amx.Dropped(share, scale, 5), 400)
    some = whole > 0
    kept = found[some] > 0
    assert abs(float(kept.float().mean()) - 0.7) < 0.004
    assert_near(found[some][kept], whole[some][kept] * scale, 0.01)
    assert torch.equal(found, kept_of(amx.Dropped(share, scale, 5), 400))
    other = kept_of(amx.Dropped(share, scale, 6), 400)[some] > 0
    assert abs(float((kept == other).float().mean()) - (0.49 + 0.09)) < 0.01
    for axis in (0, 1, 2):  # neighbours are dropped independently
        mask = torch.where(some, (found > 0).float() - 0.7, 0.0)
        rolled = mask.roll(1, axis)
        both = some & some.roll(1, axis)
        assert abs(float((mask * rolled)[both].mean())) < 0.004


def test_gradients_pass_where_weights_were_kept() -> None:
    dropped = amx.Dropped(19661, 1 / 0.7, 9)
    q, k, dy = (draw(3, 32, 1, 32, seed=i) for i in range(3))
    unit = torch.eye(32).bfloat16()[None, :, None].expand(3, -1, -1, -1).contiguous()
    seen = amx.attention(amx.Heads(q, k, unit), dropped)[0][:, :, 0] > 0
    v = draw(3, 32, 1, 32, seed=3)
    heads = amx.Heads(q, k, v)
    y, logs = amx.attention(heads, dropped)
    plain = [x[:, :, 0].float().requires_grad_() for x in (q, k, v)]
    scores = plain[0] @ plain[1].mT / 32**0.5
    future = torch.ones(32, 32, dtype=torch.bool).triu(1)
    weights = scores.masked_fill(future, -torch.inf).softmax(-1)
    wanted = (weights * seen * dropped.scale) @ plain[2]
    assert_near(y[:, :, 0], wanted.detach(), 0.01)
    gradients = torch.autograd.grad(wanted, plain, dy[:, :, 0].float())
    for found, gradient in zip(back(heads, y, logs, dy, dropped=dropped), gradients, strict=True):
        assert_near(found[:, :, 0], gradient, 0.01)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("rows,columns", [(1, 3), (150, 153), (70, 3406)])
def test_cross_entropy_and_its_gradient(rows: int, columns: int, smoothing: float) -> None:
    logits = draw(rows, columns) * 20
    targets = torch.arange(rows) * 7 % columns
    targets[1::3] = IGNORE
    plain = logits.float().requires_grad_()
    wanted = F.cross_entropy(
        plain, targets, ignore_index=IGNORE, reduction="sum", label_smoothing=smoothing
    )
    found, gradient = amx.cross_entropy(logits, targets, 10.0, smoothing)
    assert found == pytest.approx(float(wanted.detach()), rel=1e-5)
    assert_near(gradient, torch.autograd.grad(wanted / 10, plain)[0])
    assert not gradient[1::3].any()


def test_a_target_outside_of_the_vocabulary_is_refused() -> None:
    with pytest.raises(MidigenError, match="not in the vocabulary"):
        amx.cross_entropy(draw(3, 5), torch.tensor([0, 5, 1]), 1.0, 0.0)


def test_what_is_not_in_one_piece_is_read_as_it_is() -> None:
    x, logits = draw(40, 70).t(), draw(50, 90).t()
    assert_near(amx.column_sums(x), x.float().sum(0))
    targets = torch.arange(180)[::2] % 50
    wanted = amx.cross_entropy(logits.contiguous(), targets.clone(), 3.0, 0.0)
    found = amx.cross_entropy(logits, targets, 3.0, 0.0)
    assert found[0] == wanted[0] and torch.equal(found[1], wanted[1])


def test_a_processor_without_amx_never_runs_any_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amx, "cpu_flags", lambda: frozenset({"avx2", "amx_tile"}))
    monkeypatch.setattr(ctypes, "CDLL", lambda path: pytest.fail(f"loads {path}"))
    assert installed.__wrapped__() is None


@pytest.mark.parametrize("rows,columns", [(1, 1), (65, 40), (300, 513)])
def test_sums_of_columns(rows: int, columns: int) -> None:
    x = draw(rows, columns)
    assert_near(amx.column_sums(x), x.float().sum(0))


def test_queries_that_see_little_take_no_part_in_what_others_see() -> None:
    """Scores of another piece are hidden, however large."""
    q, k, v = (draw(1, 64, 1, 32, seed=i) for i in range(3))
    k[:, :32] *= 1000
    cos, sin = torch.ones(64, 32).bfloat16(), torch.zeros(64, 32).bfloat16()
    segments = (torch.arange(64) >= 32).long()[None]
    y, _ = amx.attention(amx.Heads(q, k, v, cos, sin, starts_of(segments)))
    alone = amx.Heads(*(x[:, 32:].contiguous() for x in (q, k, v)), cos[:32], sin[:32], None)
    assert torch.equal(y[:, 32:], amx.attention(alone)[0])


def test_segments_out_of_order_are_left_to_pytorch() -> None:
    segments = torch.tensor([[1, 1, 0, 0]])
    assert not Seen(segments=segments).in_order
    q = draw(1, 4, 1, 32).requires_grad_()
    cos, sin = rope_table(4, 32, 10_000.0, q)
    y = fast.attention(q, q, q, cos[:4], sin[:4], Seen(segments=segments))
    assert y.grad_fn.name() == "_AttentionBackward"


@pytest.mark.parametrize("rows,width", [(1, 16), (5, 30), (70, 64), (300, 257)])
@pytest.mark.parametrize("has_branch", [False, True])
def test_norm_and_its_gradients_are_those_of_the_formula(
    rows: int, width: int, has_branch: bool
) -> None:
    x, branch = draw(rows, width), draw(rows, width, seed=1) if has_branch else None
    weight, dsum, dout = draw(width, seed=2), draw(rows, width, seed=3), draw(rows, width, seed=4)
    made = amx.norm(x, branch, weight, 1e-5)
    total = (x if branch is None else x + branch).float().requires_grad_()
    scale = weight.float().requires_grad_()
    out = F.rms_norm(total, (width,), scale, 1e-5)
    assert torch.equal(made.sum, total.bfloat16())
    assert_near(made.out, out.detach())
    dx, dweight = torch.autograd.grad(out, (total, scale), dout.float())
    for given, wanted in ((dsum, dx + dsum.float()), (None, dx)):
        found = amx.norm_back(made, weight, given, dout)
        assert_near(found[0], wanted)
        assert_near(found[1], dweight)


def test_swiglu_and_its_gradients_are_those_of_the_formula() -> None:
    gate, up, dout = (draw(7, 11_003, seed=i) for i in range(3))
    gate[0, :4] = torch.tensor([-300.0, 300.0, 0.0, -0.0])
    plain = [x.float().requires_grad_() for x in (gate, up)]
    wanted = F.silu(plain[0]) * plain[1]
    assert_near(amx.swiglu(gate, up), wanted.detach())
    gradients = torch.autograd.grad(wanted, plain, dout.float())
    for found, gradient in zip(amx.swiglu_back(gate, up, dout), gradients, strict=True):
        assert_near(found, gradient)


@pytest.mark.parametrize(
    "rows,width,outputs",
    [(1, 1, [1]), (33, 70, [45, 1]), (700, 690, [1024, 3]), (1100, 64, [64, 64, 64])],
)
def test_gradients_of_weights_are_products(rows: int, width: int, outputs: list[int]) -> None:
    x = draw(rows, width)
    gradients = [draw(rows, M, seed=M) for M in outputs]
    for found, g in zip(amx.weight_gradients(gradients, x), gradients, strict=True):
        assert_near(found, g.float().t() @ x.float())


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    x, g, weight = draw(700, 96), draw(700, 200, seed=1), draw(96, seed=2)
    q, cos = draw(2, 90, 2, 32, seed=3), draw(90, 32, seed=4)

    def all_of_it() -> list[Tensor]:
        made = amx.norm(x, x, weight, 1e-5)
        heads = amx.Heads(q, q, q, cos, cos, None)
        y, logs = amx.attention(heads)
        found = [*made, *amx.norm_back(made, weight, x, x), y, logs]
        found += [*back(heads, y, logs, q), *amx.weight_gradients([g], x), amx.column_sums(g)]
        loss, gradient = amx.cross_entropy(g, torch.arange(700) % 200, 3.0, 0.1)
        return [*found, torch.tensor(loss), gradient]

    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            results.append(all_of_it())
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def weights_and_copies() -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    shapes = [(300, 150), (40_001,), (3,)]
    generator = torch.Generator().manual_seed(0)
    weights = [nn.Parameter(torch.randn(*shape, generator=generator)) for shape in shapes]
    return weights, [nn.Parameter(w.detach().bfloat16()) for w in weights]


def test_adamw_steps_as_torchs() -> None:
    weights, copies = weights_and_copies()
    plain = [nn.Parameter(w.detach().clone()) for w in weights]
    ours = OnePassAdamW(
        [{"params": weights, "weight_decay": 0.1}],
        dict(zip(weights, copies, strict=True)),
        (0.9, 0.95),
    )
    theirs = torch.optim.AdamW(plain, lr=0.0, betas=(0.9, 0.95), weight_decay=0.1)
    ours.excess = 2.0
    for step in range(5):
        for rule in (ours, theirs):
            rule.param_groups[0]["lr"] = 1e-2 / (step + 1)
        for i, (weight, copied, other) in enumerate(zip(weights, copies, plain, strict=True)):
            if i == 2 and step == 1:
                continue  # a step without a gradient does not count
            gradient = draw(*weight.shape, seed=10 * step + i)
            other.grad = gradient.float() / 2
            if i == 1:
                weight.grad = gradient.float()
            else:
                copied.grad = gradient
        for rule in (ours, theirs):
            rule.step()
            rule.zero_grad()
        assert not [c for c in copies if c.grad is not None]
    for weight, copied, other in zip(weights, copies, plain, strict=True):
        torch.testing.assert_close(weight, other, rtol=2e-6, atol=2e-6)
        assert torch.equal(copied, weight.bfloat16())
        for key in ("exp_avg", "exp_avg_sq", "step"):
            torch.testing.assert_close(ours.state[weight][key], theirs.state[other][key])


def test_norm_of_gradients_of_both_types() -> None:
    gradients = [draw(300, 300), draw(70_001, seed=1).float(), draw(1, seed=2)]
    wanted = torch.cat([g.float().flatten() for g in gradients]).double().norm()
    assert amx.norm_of(gradients) == pytest.approx(float(wanted), rel=1e-5)


CONFIG = LlamaConfig(width=64, layers=2, head=32, hidden=100)


def small() -> nn.Module:
    torch.manual_seed(0)
    return plugin.build(CONFIG, 50)


def some_batch(*, packed: bool) -> Batch:
    ids = np.random.default_rng(0).integers(0, 50, (4, 65))
    segments = np.zeros((4, 64), np.int64)
    if packed:
        segments[:, 40:] = 1
    return Batch(ids[:, :-1].copy(), ids[:, 1:].copy(), segments, START, 256, packed)


def losses_of(steps: int, **asked: object) -> tuple[list[float], Optimizer]:
    model = small()
    settings = Settings(**{"optimizer": "adamw", **asked})  # type: ignore[arg-type]
    optimizer = Optimizer(model, "cpu", torch.bfloat16, settings)
    batch = some_batch(packed=True)
    return [float(optimizer.step(batch, 1e-3)[0]) for _ in range(steps)], optimizer


@pytest.mark.parametrize("rule", ["adamw", "muon"])
def test_training_learns_what_pytorch_alone_learns(
    rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, with_kernels = losses_of(12, optimizer=rule)
    monkeypatch.setattr(amx, "library", lambda: None)
    wanted, without = losses_of(12, optimizer=rule)
    assert with_kernels._copied and not without._copied
    assert found == pytest.approx(wanted, rel=4e-3)
    assert wanted[-1] < wanted[0] - 0.1


@pytest.mark.parametrize("rule", ["adamw", "muon"])
def test_gradients_added_up_are_those_of_the_whole(
    rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = losses_of(5, optimizer=rule)
    monkeypatch.setattr("midigen.optimizer._MICRO", 128)
    parts, optimizer = losses_of(5, optimizer=rule)
    assert parts == pytest.approx(whole, rel=4e-3)
    for weight, copied in optimizer._copied.items():
        assert torch.equal(copied, weight.bfloat16())


def test_a_run_taken_up_again_goes_on_to_the_bit() -> None:
    _, first = losses_of(3)
    kept = {name: tensor.clone() for name, tensor in first.tensors().items()}
    again = Optimizer(small(), "cpu", torch.bfloat16, Settings(optimizer="adamw"))
    again.restore(kept)
    batch = some_batch(packed=False)
    for optimizer in (first, again):
        for _ in range(2):
            optimizer.step(batch, 1e-3)
    for name, tensor in first.tensors().items():
        assert torch.equal(tensor, again.tensors()[name]), name


def test_a_frozen_weight_and_dropout_leave_the_rest_alone() -> None:
    model = plugin.build(LlamaConfig(width=64, layers=2, head=32, hidden=100, dropout=0.2), 50)
    model.model.layers[0].mlp.up_proj.weight.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    optimizer = Optimizer(model, "cpu", torch.bfloat16, Settings(optimizer="adamw"))
    optimizer.step(some_batch(packed=False), 1e-2)
    after = model.state_dict()
    frozen = "model.layers.0.mlp.up_proj.weight"
    assert torch.equal(before[frozen], after[frozen])
    assert not torch.equal(before["model.norm.weight"], after["model.norm.weight"])


def test_another_layout_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    found = amx.library()
    assert found is not None and amx._is_ours(found)
    monkeypatch.setattr(amx, "VERSION", amx.VERSION + 1)
    assert not amx._is_ours(found)
    assert not amx._is_ours(ctypes.CDLL(None))

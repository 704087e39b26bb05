"""The published architectures: their counts, formulas, caches, segments, dropout and limits."""

import copy
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from plain_models import PLAIN, load, name_in
from tiny_model import tiny_vocab
from torch import Tensor, nn

from midigen import checkpointing, modelfolder
from midigen.checkpointing import Progress
from midigen.constrain import Lifted
from midigen.draft import Draft
from midigen.errors import MidigenError
from midigen.optimizer import Optimizer
from midigen.plan import Limits, Plan
from midigen.prompts import unprompted
from midigen.registry import load as load_plugin
from midigen.sampler import Settings, sample
from midigen.settings import Settings as RunSettings
from midigen.split import SplitRule
from midigen.tokenizers import tokenizer_of
from midigen.windows import START, Batch

V = 29
SMALL: dict[str, dict[str, Any]] = {
    "lstm": {"embedding": 8, "width": 16, "first": 24, "second": 16},
    "pitchlstm": {"embedding": 8, "width": 16, "layers": 3},
    "musicgpt": {"width": 16, "layers": 3, "heads": 2, "hidden": 24, "positions": 300},
    "musictransformer": {"width": 16, "layers": 3, "heads": 4, "hidden": 24, "distances": 9},
    "synphony": {"width": 16, "layers": 2, "heads": 2, "hidden": 24},
}
every = pytest.mark.parametrize("name", list(SMALL))


def build(name: str, **changes: Any) -> nn.Module:
    """Return a small model in fp64; weights that begin as 0 or 1 are random as well."""
    plugin = load_plugin("models", name)
    generator = torch.Generator().manual_seed(5)
    torch.manual_seed(5)
    model = plugin.build(plugin.Config(**SMALL[name] | changes), V).double()
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.2 * torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
    return model


def some_ids(*shape: int) -> Tensor:
    return torch.randint(0, V, shape, generator=torch.Generator().manual_seed(2))


def some_segments(B: int, T: int) -> Tensor:
    """Return segments that begin at other places in every row; the last row is one segment."""
    segments = torch.zeros(B, T, dtype=torch.int64)
    for row in range(B - 1):
        segments[row, 3 + row :] = 1
        segments[row, T // 2 + 5 * row :] = 2
    return segments


def parts(segments: Tensor) -> Iterator[tuple[int, slice]]:
    """Yield the row and the places of every segment."""
    for row, numbers in enumerate(segments.tolist()):
        begin = 0
        for _, group in itertools.groupby(numbers):
            end = begin + len(list(group))
            yield row, slice(begin, end)
            begin = end


def gradients(model: nn.Module, logits: Tensor, ids: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    F.cross_entropy(logits.flatten(0, 1), ids.roll(-1, 1).flatten()).backward()
    return {name: w.grad for name, w in model.named_parameters() if w.grad is not None}


@pytest.mark.parametrize(
    ("name", "vocab_size", "changes", "count"),
    [
        ("lstm", 153, {}, 4_426_457),
        ("musictransformer", 153, {}, 4_326_041),
        ("musicgpt", 3406, {}, 8_215_374),
        ("llama", 1024, {"width": 512, "layers": 8, "head": 64, "hidden": 2048}, 34_087_424),
        ("synphony", 3534, {}, 62_136_270),
    ],
)
def test_parameters_are_as_many_as_published(
    name: str, vocab_size: int, changes: dict[str, int], count: int
) -> None:
    plugin = load_plugin("models", name)
    with torch.device("meta"):
        model = plugin.build(plugin.Config(**changes), vocab_size)
    assert sum(weight.numel() for weight in model.parameters()) == count


@every
def test_logits_and_gradients_are_those_of_the_formula(name: str) -> None:
    """With gradients, as in training, and without, as in evaluation."""
    model = build(name, dropout=0.0).train()
    plain = load(PLAIN[name](model.config, V).double(), model.state_dict()).train()
    ids = some_ids(3, 150)
    wanted, found = plain(ids), model(ids)
    torch.testing.assert_close(found, wanted)
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(ids), wanted)
    mine, theirs = gradients(model, found, ids), gradients(plain, wanted, ids)
    assert len(mine) == len(theirs)
    for label, gradient in mine.items():
        torch.testing.assert_close(gradient, theirs[name_in(plain, label)], msg=label)


@every
def test_steps_with_a_cache_give_the_logits_of_the_whole(name: str) -> None:
    model, ids = build(name).float().eval(), some_ids(3, 24)
    with torch.no_grad():
        whole = model(ids)
        cache = model.new_cache(3, 24)
        found = [model.step(ids[:, :5], cache), model.step(ids[:, 5:17], cache)]
        found += [model.step(ids[:, k : k + 1], cache) for k in range(17, 24)]
        with pytest.raises(MidigenError, match="do not fit"):
            model.step(ids[:, :1], cache)
    torch.testing.assert_close(torch.cat(found, 1), whole, atol=1e-4, rtol=1e-4)


@every
def test_rows_of_a_cache_are_padded_put_and_kept(name: str) -> None:
    """Row 1 is shorter; row 2 begins anew in the middle; then row 0 is done."""
    model, ids = build(name).eval(), some_ids(3, 20)
    with torch.no_grad():
        cache = model.new_cache(3, 30)
        cache.starts[:] = torch.tensor([0, 4, 2])
        first = model.step(ids[:, :10], cache)
        torch.testing.assert_close(first[0], model(ids[:1, :10])[0])
        torch.testing.assert_close(first[1, 4:], model(ids[1:2, 4:10])[0])
        other = model.new_cache(1, 10)
        other.length = 7
        other.starts[:] = 7
        model.step(ids[2:, 7:10], other)
        cache.put(2, other)
        second = model.step(ids[:, 10:11], cache)
        torch.testing.assert_close(second[2, 0], model(ids[2:, 7:11])[0, -1])
        cache.select(torch.tensor([2, 1]))
        last = model.step(ids[[2, 1], 11:13], cache)
        torch.testing.assert_close(last[0], model(ids[2:, 7:13])[0, -2:])
        torch.testing.assert_close(last[1], model(ids[1:2, 4:13])[0, -2:])


@every
@pytest.mark.parametrize("learning", [True, False])
def test_segments_are_read_as_if_alone(name: str, learning: bool) -> None:
    """Logits, and gradients too."""
    model, ids = build(name, dropout=0.0), some_ids(4, 150)
    segments = some_segments(4, 150)
    with torch.set_grad_enabled(learning):
        packed = model(ids, segments)
        alone = torch.empty_like(packed)
        for row, part in parts(segments):
            alone[row, part] = model(ids[row : row + 1, part])[0]
    torch.testing.assert_close(packed, alone)
    if learning:
        wanted = gradients(model, alone, ids)
        for label, gradient in gradients(model, model(ids, segments), ids).items():
            torch.testing.assert_close(gradient, wanted[label], msg=label)


@pytest.mark.parametrize("name", ["lstm", "pitchlstm"])
def test_segments_are_rows_of_their_own_where_the_device_has_a_fused_lstm(name: str) -> None:
    model, ids = build(name, dropout=0.0).eval(), some_ids(4, 40)
    segments = some_segments(4, 40)
    with torch.no_grad():
        x = model.embedding(ids.t())
        fused = model._head(model._fused(x, segments), None)
        torch.testing.assert_close(fused, model(ids, segments))
        torch.testing.assert_close(model._head(model._fused(x, None), None), model(ids))


@every
def test_training_in_bf16_follows_the_gradients_of_the_formula(name: str) -> None:
    model, ids = build(name, dropout=0.0), some_ids(3, 150)
    wanted = gradients(model, model(ids), ids)
    rough = copy.deepcopy(model).bfloat16()
    found = gradients(rough, rough(ids).float(), ids)
    for label, gradient in wanted.items():
        assert (found[label] - gradient).norm() < 0.1 * gradient.norm() + 1e-4, label


@every
def test_dropout_is_a_function_of_torchs_generator(name: str) -> None:
    model, ids = build(name, dropout=0.3).train(), some_ids(2, 40)
    torch.manual_seed(1)
    first, second = model(ids), model(ids)
    torch.manual_seed(1)
    assert torch.equal(model(ids), first)
    assert torch.equal(model(ids), second) and not torch.equal(first, second)
    assert torch.equal(model.eval()(ids), model(ids))
    loss = model.train()(ids).logsumexp(-1).mean()
    loss.backward()
    assert all(torch.isfinite(weight.grad).all() for weight in model.parameters())


@every
def test_gradients_with_dropout_say_how_the_loss_moves(name: str) -> None:
    model, ids = build(name, dropout=0.3).train(), some_ids(2, 150)
    generator = torch.Generator().manual_seed(6)
    weights = list(model.parameters())
    along = [torch.randn(w.shape, generator=generator, dtype=w.dtype) for w in weights]

    def loss(step: float) -> Tensor:
        torch.manual_seed(1)
        moved = {n: w + step * d for (n, w), d in zip(model.named_parameters(), along, strict=True)}
        logits = torch.func.functional_call(model, moved, (ids,))
        return F.cross_entropy(logits.flatten(0, 1), ids.roll(-1, 1).flatten())

    slopes = torch.autograd.grad(loss(0.0), weights)
    predicted = sum((slope * d).sum() for slope, d in zip(slopes, along, strict=True))
    measured = (loss(1e-6) - loss(-1e-6)) / 2e-6
    torch.testing.assert_close(predicted, measured.detach(), atol=1e-6, rtol=1e-4)


@every
@pytest.mark.parametrize("change", [{"width": 0}, {"layers": -1}, {"dropout": 1.0}])
def test_settings_that_cannot_be_are_refused(name: str, change: dict[str, Any]) -> None:
    with pytest.raises(MidigenError, match=f"{name}: {next(iter(change))}"):
        load_plugin("models", name).Config(**change)


@pytest.mark.parametrize("name", ["musicgpt", "musictransformer", "synphony"])
def test_heads_divide_the_width(name: str) -> None:
    with pytest.raises(MidigenError, match=f"{name}: width=20 must be a multiple of heads=3"):
        load_plugin("models", name).Config(width=20, heads=3)


def test_a_window_beyond_the_learned_positions_is_refused() -> None:
    model = build("musicgpt", positions=10).eval()
    model(some_ids(1, 10))
    with pytest.raises(MidigenError, match="a window of 11 is longer than the 10 positions"):
        model(some_ids(1, 11))


@every
def test_a_folder_samples_beyond_its_window(name: str, tmp_path: Path) -> None:
    """Saved, loaded, and read step by step; a row that is full begins anew while others go on."""
    vocab = tiny_vocab()
    plugin = load_plugin("models", name)
    config = plugin.Config(**SMALL[name] | ({"positions": 48} if name == "musicgpt" else {}))
    torch.manual_seed(4)
    modelfolder.save(
        tmp_path,
        plugin.build(config, len(vocab)).state_dict(),
        plugin=name,
        model_config=config,
        vocab=vocab,
        split_rule=SplitRule(),
        window=48,
    )
    loaded = modelfolder.load(tmp_path)
    tokenizer = tokenizer_of(vocab.tok)
    grammar = Lifted(tokenizer.grammar(), vocab.expansions)
    plan = Plan(vocab, tokenizer, grammar, Limits(tokens=120), loaded.window, seed=3)

    def write(batch: int) -> list[list[int]]:
        drafts = (Draft(plan, unprompted(plan, {}), index) for index in range(3))
        return [d.new for d in sample(loaded.model, loaded.window, drafts, Settings(), batch)]

    together = write(3)
    assert together == write(1)
    assert all(60 < len(ids) <= 120 and plan.is_valid(ids) for ids in together)


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_model_learns_and_goes_on_bit_for_bit(
    name: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    """With dropout and packed rows, from a state that was saved on the way."""
    rows = (np.arange(2 * 65).reshape(2, 65) * 3) % V
    segments = some_segments(2, 64).numpy()
    batch = Batch(rows[:, :-1], rows[:, 1:], segments, START, 128, True)

    def fresh() -> Optimizer:
        model = build(name, dropout=0.1).float()
        return Optimizer(model, "cpu", dtype, RunSettings(lr=1e-2, optimizer="adamw"))

    torch.manual_seed(0)
    straight = fresh()
    losses = [straight.step(batch, 1e-2)[0] for _ in range(10)]
    checkpointing.save(tmp_path, straight, Progress(step=10))
    losses += [straight.step(batch, 1e-2)[0] for _ in range(20)]
    assert losses[-1] < 0.7 * losses[0]
    resumed = fresh()
    checkpointing.load(tmp_path, resumed)
    assert [resumed.step(batch, 1e-2)[0] for _ in range(20)] == losses[10:]
    for one, other in zip(straight.master.parameters(), resumed.master.parameters(), strict=True):
        assert torch.equal(one, other)

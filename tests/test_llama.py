"""The llama model: its cache, its segments, its fast training, its folder."""

import copy
import dataclasses
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from midigen_llama import fast, plugin
from midigen_llama.config import PRESETS, LlamaConfig
from midigen_llama.decoder import Decoder
from midigen_llama.model import Llama, rope_table
from tiny_model import save_tiny, tiny_vocab

from midigen import modelfolder
from midigen.crossentropy import cross_entropy
from midigen.errors import MidigenError
from midigen.split import SplitRule
from midigen.windows import IGNORE

V = 50


def small(**changes: object) -> Llama:
    torch.manual_seed(1)
    config = dataclasses.replace(LlamaConfig(width=32, layers=2, head=8), **changes)
    return plugin.build(config, V)


def some_ids(*shape: int) -> torch.Tensor:
    return torch.randint(0, V, shape, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("changes", [{}, {"kv_heads": 2}, {"tied": False}])
def test_steps_with_a_cache_give_the_logits_of_the_whole(changes: dict[str, object]) -> None:
    model, ids = small(**changes).eval(), some_ids(3, 14)
    with torch.no_grad():
        whole = model(ids)
        cache = model.new_cache(3, 14)
        parts = [model.step(ids[:, :5], cache), model.step(ids[:, 5:7], cache)]
        parts += [model.step(ids[:, k : k + 1], cache) for k in range(7, 14)]
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-5, rtol=1e-5)


def test_rows_padded_on_the_left_give_the_same_logits() -> None:
    model, ids = small().eval(), some_ids(2, 10)
    with torch.no_grad():
        cache = model.new_cache(2, 16)
        cache.starts = torch.tensor([0, 4])
        padded = torch.stack((ids[0], torch.cat((ids[0, :4] * 0, ids[1, :6]))))
        logits = model.step(padded, cache)
        following = model.step(torch.stack((some_ids(1), ids[1, 6:7])), cache)
        whole = model(ids[1:, :7])[0]
    torch.testing.assert_close(logits[1, 4:], whole[:6], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(following[1, 0], whole[6], atol=1e-5, rtol=1e-5)
    assert torch.isfinite(logits).all()


def test_a_cache_forgets_and_keeps_rows() -> None:
    model, ids = small().eval(), some_ids(3, 8)
    with torch.no_grad():
        cache = model.new_cache(3, 8)
        model.step(ids, cache)
        cache.rewind(5)
        cache.select(torch.tensor([2, 0]))
        again = model.step(ids[[2, 0], 5:], cache)
        torch.testing.assert_close(again, model(ids)[[2, 0], 5:], atol=1e-5, rtol=1e-5)
        with pytest.raises(MidigenError, match="do not fit"):
            model.step(ids[:2, :1], cache)


def test_rotary_table_is_the_angles_to_the_last_digit() -> None:
    size, head, theta = 1024, 64, 500_000.0
    cos, sin = rope_table(size, head, theta, torch.empty(0))
    powers = torch.arange(0, head, 2, dtype=torch.float32) / head
    angles = (torch.arange(size, dtype=torch.float32)[:, None] / theta**powers).numpy()
    wide = angles.astype(np.float64)
    np.testing.assert_allclose(cos[:, 0, head // 2 :].numpy(), np.cos(wide), rtol=0, atol=1e-7)
    np.testing.assert_allclose(sin[:, 0, head // 2 :].numpy(), np.sin(wide), rtol=0, atol=1e-7)


def test_segments_do_not_see_each_other() -> None:
    model, ids = small().eval(), some_ids(2, 12)
    segments = torch.tensor([[0] * 5 + [1] * 7, [0] * 12])
    with torch.no_grad():
        packed = model(ids, segments)
        torch.testing.assert_close(packed[0, 5:], model(ids[:1, 5:])[0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(packed[1], model(ids)[1], atol=1e-5, rtol=1e-5)


def gradients(
    model: Llama, ids: torch.Tensor, segments: torch.Tensor | None
) -> dict[str, torch.Tensor]:
    model.zero_grad()
    logits = model(ids, segments)
    F.cross_entropy(logits.flatten(0, 1).float(), ids.roll(-1, 1).flatten()).backward()
    return {name: w.grad.float() for name, w in model.named_parameters() if w.grad is not None}


@pytest.mark.parametrize("packed", [False, True])
def test_fast_training_in_bf16_follows_plain_gradients(
    packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, ids = small(), some_ids(3, 256)
    segments = torch.zeros(3, 256, dtype=torch.int64)
    segments[0, 100:] = 1
    segments[2, 128:] = 1
    wanted = gradients(model, ids, segments if packed else None)
    calls = []
    attention = fast.attention
    monkeypatch.setattr(fast, "attention", lambda *x: calls.append(1) or attention(*x))
    found = gradients(copy.deepcopy(model).bfloat16(), ids, segments if packed else None)
    assert len(calls) == 2
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        assert (found[name] - gradient).norm() < 0.03 * gradient.norm(), name


def test_fast_norm_and_rotation_are_exact_in_fp32() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 6, 3, 8, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(8, dtype=torch.float64, requires_grad=True)
    angles = torch.rand(6, 1, 4, dtype=torch.float64).repeat(1, 1, 2)
    sign = torch.tensor([-1.0] * 4 + [1.0] * 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: fast.rotate(x, angles.cos(), angles.sin() * sign), x)
    plain = F.rms_norm(x, (8,), weight, 1e-5)
    found = fast.norm(x, weight, 1e-5)
    torch.testing.assert_close(found, plain, atol=1e-6, rtol=1e-6)
    for one, other in zip(
        torch.autograd.grad(found.square().sum(), (x, weight)),
        torch.autograd.grad(plain.square().sum(), (x, weight)),
        strict=True,
    ):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_and_its_gradient_are_torchs(smoothing: float) -> None:
    logits = torch.randn(3000, 200, requires_grad=True, generator=None)
    targets = torch.arange(3000) % 200
    targets[::3] = IGNORE
    summed = F.cross_entropy(
        logits, targets, ignore_index=IGNORE, reduction="sum", label_smoothing=smoothing
    )
    plain = summed / 2000
    found = cross_entropy(logits, targets, 2000, smoothing)
    torch.testing.assert_close(found, plain)
    (one,), (other,) = (torch.autograd.grad(3 * x, logits) for x in (found, plain))
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    "changes", [{"width": 20}, {"layers": 0}, {"kv_heads": 3}, {"head": 5}, {"dropout": 1.0}]
)
def test_settings_that_cannot_be_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(MidigenError, match="llama: "):
        dataclasses.replace(LlamaConfig(width=32, head=8), **changes)


def test_dropout_drops_what_layers_add_in_training_alone() -> None:
    config = dataclasses.replace(LlamaConfig(width=32, layers=2, head=8), dropout=0.5)
    torch.manual_seed(0)
    model, ids = plugin.build(config, V), some_ids(2, 20)
    plain = plugin.build(dataclasses.replace(config, dropout=0.0), V)
    plain.load_state_dict(model.state_dict())
    wanted = plain.train()(ids)
    torch.testing.assert_close(model.eval()(ids), wanted)
    one, other = model.train()(ids), model(ids)
    assert not torch.allclose(one, wanted) and not torch.allclose(one, other)
    # Only what layers add: with every branch ending in zeros nothing is left to drop.
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                weight.zero_()
    torch.testing.assert_close(model.train()(ids), model.eval()(ids))


def test_presets_rise_in_size() -> None:
    sizes = [
        sum(w.numel() for w in plugin.build(PRESETS[name], V).parameters())
        for name in ("tiny", "small", "base")
    ]
    assert sizes[0] < 2_000_000 < sizes[1] < 10_000_000 < sizes[2] < 50_000_000


@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="no transformers here")
@pytest.mark.parametrize("changes", [{}, {"kv_heads": 2}, {"tied": False}])
def test_transformers_opens_the_folder_and_gives_the_same_logits(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    from transformers import LlamaForCausalLM

    vocab = tiny_vocab()
    config = dataclasses.replace(LlamaConfig(width=32, layers=2, head=8), **changes)
    torch.manual_seed(0)
    model = plugin.build(config, len(vocab)).eval()
    modelfolder.save(
        tmp_path,
        model.state_dict(),
        plugin="llama",
        model_config=config,
        vocab=vocab,
        split_rule=SplitRule(),
        window=64,
    )
    theirs = LlamaForCausalLM.from_pretrained(tmp_path).eval()
    ids = torch.randint(0, len(vocab), (2, 40))
    with torch.no_grad():
        torch.testing.assert_close(theirs(ids).logits, model(ids), atol=1e-4, rtol=1e-4)


def test_a_folder_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    loaded = modelfolder.load(save_tiny(tmp_path / "m", window=96, rule=SplitRule("held")))
    assert loaded.window == 96 and loaded.split_rule.kind == "held"
    assert loaded.vocab.to_json() == tiny_vocab().to_json()
    assert not loaded.model.training
    assert loaded.weights_hash == modelfolder.hash_weights(tmp_path / "m/model.safetensors")


def test_a_folder_that_is_none_says_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(MidigenError, match="does not exist"):
        modelfolder.load(tmp_path / "none")
    folder = save_tiny(tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    for changed, said in (
        ({"model": "lama"}, "installed"),
        ({"config": {"depth": 3}}, "no setting 'depth'"),
        ({"config": {"width": 64, "head": 16}}, "does not fit"),
    ):
        own = {**config["midigen"], **changed}
        (folder / "config.json").write_text(json.dumps(config | {"midigen": own}))
        with pytest.raises(MidigenError, match=said):
            modelfolder.load(folder)
    (folder / "config.json").write_text("{}")
    with pytest.raises(MidigenError, match="not written by this version"):
        modelfolder.load(folder)
    (folder / "vocab.json").unlink()
    with pytest.raises(MidigenError, match=r"no vocab\.json"):
        modelfolder.read_vocab(folder)


@pytest.mark.parametrize("kv_heads", [0, 1])
def test_decoder_gives_the_logits_of_the_whole_model(kv_heads: int) -> None:
    model = plugin.build(LlamaConfig(width=64, layers=3, head=16, kv_heads=kv_heads), 90).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    ids = torch.randint(0, 90, (2, 24))
    with torch.inference_mode():
        whole = model(ids)
        for rows in (1, 2):
            decoder = Decoder(model, "fp32")
            cache = decoder.new_cache(rows, 24)
            parts = [decoder.step(ids[:rows, :9], cache)]
            parts += [decoder.step(ids[:rows, i : i + 1], cache) for i in range(9, 24)]
            torch.testing.assert_close(torch.cat(parts, 1), whole[:rows], atol=1e-4, rtol=0)
        cache = decoder.new_cache(2, 24)
        cache.starts[:] = torch.tensor([0, 5])
        padded = torch.cat((torch.zeros(1, 5, dtype=torch.int64), ids[1:, :19]), dim=1)
        found = decoder.step(torch.cat((ids[:1], padded)), cache)
        torch.testing.assert_close(found[0], whole[0], atol=1e-4, rtol=0)
        torch.testing.assert_close(found[1, 5:], whole[1, :19], atol=1e-4, rtol=0)


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_narrow_weights_change_little(precision: str) -> None:
    model = plugin.build(LlamaConfig(width=64, layers=2, head=16), 90).eval()
    ids = torch.randint(0, 90, (1, 32))
    with torch.inference_mode():
        whole = model(ids)
        decoder = Decoder(model, precision)
        cache = decoder.new_cache(1, 32)
        parts = [decoder.step(ids[:, i : i + 1], cache) for i in range(32)]
    error = (torch.cat(parts, 1).float() - whole).square().mean().sqrt()
    assert 0 < error < 0.05 * whole.std()

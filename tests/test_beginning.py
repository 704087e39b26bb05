"""The heads that a llama begins with: what came before is found from the first step."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from midigen_llama import plugin
from midigen_llama.beginning import can_copy
from midigen_llama.config import PRESETS, LlamaConfig
from midigen_llama.model import Llama

V = 400


def made(config: LlamaConfig) -> Llama:
    torch.manual_seed(0)
    return plugin.build(config, V).eval()


def gain(config: LlamaConfig, count: int = 150) -> float:
    """Return by how much random ids are likelier, in nats, when they come a second time."""
    model, ids = made(config), torch.randint(0, V, (4, count))
    twice = torch.cat((ids, ids), dim=1)
    with torch.no_grad():
        losses = F.cross_entropy(model(twice)[:, :-1].mT, twice[:, 1:], reduction="none")
    return float(losses[:, : count - 1].mean() - losses[:, count:].mean())


@pytest.mark.parametrize("name", PRESETS)
def test_what_comes_again_is_likelier_before_any_training(name: str) -> None:
    config = dataclasses.replace(PRESETS[name], layers=4)
    assert gain(config) > 0.1
    assert abs(gain(dataclasses.replace(config, copies=False))) < 0.03


def test_heads_of_the_first_layer_look_so_many_places_back() -> None:
    model, ids = made(LlamaConfig(width=256, layers=2)), torch.randint(0, V, (1, 300))
    attention = model.model.layers[0].self_attn
    with torch.no_grad():
        x = model.model.layers[0].input_layernorm(model.model.embed_tokens(ids))[1]
        rope = model._rope(0, 300, x)
        heads = []
        for matrix in (attention.q_proj, attention.k_proj):
            y = matrix(x).view(1, 300, -1, 64)
            halves = torch.cat((-y[..., 32:], y[..., :32]), dim=-1)
            cos, sin = rope[0], torch.cat((-rope[1][..., :32], rope[1][..., 32:]), dim=-1)
            heads.append((y * cos + halves * sin).transpose(1, 2)[0])
        scores = heads[0] @ heads[1].mT / 8
    places = torch.arange(10, 300)
    seen = scores.masked_fill(~torch.ones(300, 300).tril().bool(), -1e9).softmax(-1)
    for head in range(3):
        assert float(seen[head, places, places - head - 1].mean()) > 0.8
    assert float(seen[3, places, places - 1].mean()) < 0.1


def test_what_embeddings_share_is_the_same_in_all_so_it_changes_no_chances() -> None:
    for copies, most in ((True, 1e-3), (False, 1e9)):
        config = LlamaConfig(width=128, layers=2, head=32, copies=copies)
        table = made(config).model.embed_tokens.weight.detach()
        ones = torch.ones(len(table), 1)
        shared = torch.linalg.lstsq(table, ones).solution
        apart = float((table @ shared - ones).abs().max())
        assert apart < most
        assert copies or apart > 0.1


@pytest.mark.parametrize(
    "changes",
    [
        {"layers": 1},
        {"head": 8},
        {"kv_heads": 2},
        {"width": 64},
        {"tied": False},
        {"copies": False},
    ],
)
def test_models_without_such_heads_begin_as_always(changes: dict[str, int]) -> None:
    config = dataclasses.replace(LlamaConfig(width=128, layers=2, head=32), **changes)
    assert not can_copy(config)
    with torch.no_grad():
        weights = made(config).model.embed_tokens.weight
        assert abs(float(weights.mean(0).norm() / weights.norm(dim=1).mean())) < 0.2

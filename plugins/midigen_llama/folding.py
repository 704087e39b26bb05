"""Weights as sampling wants them: what needs no step of its own is multiplied into them.

The norms' weights and attention's scale go into the matrices behind them, and the dimensions that
rotary embeddings turn together stand side by side.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from midigen_llama.model import Llama


class Folded(NamedTuple):
    """The matrices (N, K) of a layer; qkv: queries, keys and values one below the other."""

    qkv: Tensor
    out: Tensor
    gate: Tensor
    up: Tensor
    down: Tensor


def folded_layers(model: "Llama") -> Iterator[Folded]:
    """Yield the matrices of each layer."""
    c, body = model.config, model.model
    for layer in body.layers:
        block: Any = layer
        before, after = block.input_layernorm.weight, block.post_attention_layernorm.weight
        attention, mlp = block.self_attn, block.mlp
        q = _side_by_side(attention.q_proj.weight, c.head) * c.head**-0.5
        k = _side_by_side(attention.k_proj.weight, c.head)
        yield Folded(
            torch.cat((q, k, attention.v_proj.weight)) * before,
            attention.o_proj.weight,
            mlp.gate_proj.weight * after,
            mlp.up_proj.weight * after,
            mlp.down_proj.weight,
        )


def folded_head(model: "Llama") -> Tensor:
    """Return the matrix (V, W) of the logits."""
    table = model.lm_head or model.model.embed_tokens
    weight: Any = table.weight
    return weight * model.model.norm.weight


def turns(size: int, head: int, theta: float, device: torch.device) -> Tensor:
    """Return exp(i angle) (size, 1, head / 2) of the first places (Su et al., arXiv 2104.09864).

    Not by Tensor.cos: on a CPU, the first one of a process that takes several threads has 11 digits
    of 24 now and then (PyTorch 2.13).
    """
    powers = torch.arange(0, head, 2, dtype=torch.float32, device=device) / head
    places = torch.arange(size, device=device)
    angles = places.float()[:, None, None] / theta**powers
    return torch.polar(torch.ones_like(angles), angles)


def _side_by_side(weight: Tensor, head: int) -> Tensor:
    """Return rows (heads * D, K) with dimensions i and i + D/2 of each head next to each other."""
    return weight.unflatten(0, (-1, 2, head // 2)).transpose(1, 2).flatten(0, 2)

"""Weights to begin with: heads that look for what followed before, as trained models have them.

Music comes again, and a model finds that out late: heads of a first layer must look a place back
before heads of the next can use it to find what followed when these ids stood there the last time
(induction heads: Olsson et al., arXiv 2209.11895). Here they do from the first step. (To begin with
weights that look like trained ones: Trockman and Kolter, arXiv 2305.09828.)

Heads of the first layer look 1, 2 and 3 places back: their queries and keys see nothing but a
direction that all embeddings share, turned against each other by so many places in the pairs of
dimensions that turn fast. (To the logits it adds the same for every id, which changes nothing.)
Each writes what it finds into a part of its own of the stream. Heads of the second layer compare
this id and the two before with what stood before each place, in the dimensions that hardly turn
within a window, and copy what stands there. All else is drawn as always, and all of it is trained.
"""

import math
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from midigen_llama.config import LlamaConfig

if TYPE_CHECKING:
    from midigen_llama.model import Llama

DRAWN = 0.02
"""Standard deviation that weights are drawn with."""
LAGS = 3
SHARED = 0.625
"""Length of the direction that embeddings share, in lengths of an embedding."""
SHARP = 4.0
"""How much more the place that is looked for scores than those beside it: softmax gives it 90 %."""
ALIKE = 7.5
"""What a place scores before which the same three ids stand; others about 0, give or take 2."""
PASSED, COPIED = 1.0, 0.1
"""Size of what heads write: of the first layer, in lengths of an embedding, and of the second."""
QUIET = 0.2
"""What is left of the random part of these heads' queries and keys."""
FAST = 0.05
"""Radians a place from which on a pair of dimensions turns fast."""


def can_copy(config: LlamaConfig) -> bool:
    """Return whether a model is to begin so, and has the layers, heads and dimensions for it."""
    fits = config.heads == config.groups >= LAGS and config.layers >= 2 and config.head >= 16
    return config.copies and config.tied and fits and config.width > config.head


@torch.no_grad()
def begin_copying(model: "Llama") -> None:
    """Set heads of the first two layers; random numbers from torch's default generator."""
    body: Any = model.model
    first, second = (layer.self_attn for layer in body.layers[:2])
    table = body.embed_tokens.weight
    D, length = model.config.head, DRAWN * math.sqrt(model.config.width)
    shared = F.normalize(torch.randn(model.config.width), dim=0)
    table -= (table @ shared)[:, None] * shared
    table += SHARED * length * shared
    read = _directions(shared, D)
    written = [_directions(shared, D) for _ in range(LAGS)]
    # What a norm makes of an embedding's own part, and of that part in `read`.
    own = math.sqrt(model.config.width / (1 + SHARED**2))
    for lag in range(LAGS):
        rows = slice(lag * D, (lag + 1) * D)
        _look_back(first, rows, lag + 1, shared / (SHARED * own), model.config)
        first.v_proj.weight[rows] = read
        seen = own * math.sqrt(D / model.config.width)
        first.o_proj.weight[:, rows] = PASSED * length / seen * written[lag].T
    for head in range(LAGS):
        rows = slice(head * D, (head + 1) * D)
        _compare(second, rows, head, read, written)
        copied = _directions(shared, D)
        second.v_proj.weight[rows] = copied
        second.o_proj.weight[:, rows] = COPIED * copied.T


def _directions(shared: Tensor, count: int) -> Tensor:
    """Return (count, W) directions at right angles to one another and to `shared`."""
    drawn = torch.randn(len(shared), count)
    drawn -= shared[:, None] * (shared @ drawn)
    return torch.linalg.qr(drawn)[0].T


def _look_back(attention: Any, rows: slice, lag: int, seen: Tensor, config: LlamaConfig) -> None:
    """Let a head look `lag` places back. seen (W,): gives 1 for what a norm makes of any place."""
    half = config.head // 2
    fast = [a for a in (config.theta ** -(i / half) for i in range(half)) if a > FAST]
    # The score falls by this, one place off, for queries and keys of length 1 in each pair.
    falls = sum(1 - math.cos(angle) for angle in fast) / math.sqrt(config.head)
    size = math.sqrt(SHARP / falls)
    query, key = torch.zeros(2, half), torch.zeros(2, half)
    for pair, angle in enumerate(fast):
        query[0, pair], query[1, pair] = math.cos(lag * angle), -math.sin(lag * angle)
        key[0, pair] = 1
    for matrix, wanted in ((attention.q_proj, query), (attention.k_proj, key)):
        matrix.weight[rows].mul_(QUIET).addr_(size * wanted.flatten(), seen)


def _compare(attention: Any, rows: slice, head: int, read: Tensor, written: list[Tensor]) -> None:
    """Let a head compare this id and those before it with what stood before each place."""
    D, W = read.shape
    # What a norm makes of one dimension of `read` in an embedding, and of one that was written.
    own = 1 / math.sqrt(1 + SHARED**2 + LAGS * PASSED**2)
    passed = PASSED * own * math.sqrt(W / D)
    score = D / (2 * LAGS) / math.sqrt(D) * (own * passed + (LAGS - 1) * passed**2)
    size = math.sqrt(ALIKE / score)
    slow = torch.cat((torch.arange(D // 4, D // 2), torch.arange(3 * D // 4, D)))
    slow = slow[torch.randperm(len(slow))] + rows.start
    for matrix in (attention.q_proj, attention.k_proj):
        matrix.weight[rows] *= QUIET
    for lag, dims in enumerate(slow.tensor_split(LAGS)):
        k = len(dims)
        part = slice(head * k, (head + 1) * k)
        query = read if lag == 0 else written[lag - 1]
        attention.q_proj.weight[dims] += size * query[part]
        attention.k_proj.weight[dims] += size * written[lag][part]

"""The model. Shapes: B rows, T places, W width, H heads, G key/value heads, D = W / H."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from midigen.layers.cache import Cache
from midigen.layers.linear import linear, linears
from midigen.layers.noise import Noise, noise_for
from midigen.layers.reading import Reading, Seen
from midigen_llama import fast
from midigen_llama.beginning import DRAWN, begin_copying, can_copy
from midigen_llama.config import LlamaConfig
from midigen_llama.decoder import Decoder
from midigen_llama.folding import turns
from midigen_llama.graphs import GraphDecoder
from midigen_llama.native import NativeDecoder, can_step

Rope = tuple[Tensor, Tensor]


class Linear(nn.Module):
    """A matrix without a bias, (out, in)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight)


class Norm(nn.Module):
    """RMSNorm (Zhang and Sennrich, arXiv 1910.07467)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(
        self, x: Tensor, branch: Tensor | None = None, noise: Noise | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return x plus what dropout leaves of a branch, and that normalised."""
        return fast.add_norm(x, branch, self.weight.to(x.dtype), self.eps, noise)


class Attention(nn.Module):
    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.head = config.head
        self.q_proj = Linear(config.width, config.heads * config.head)
        self.k_proj = Linear(config.width, config.groups * config.head)
        self.v_proj = Linear(config.width, config.groups * config.head)
        self.o_proj = Linear(config.heads * config.head, config.width)

    def forward(self, x: Tensor, rope: Rope, seen: Seen, cache: Cache | None, layer: int) -> Tensor:
        B, T, _ = x.shape
        weights = self.q_proj.weight, self.k_proj.weight, self.v_proj.weight
        q, k, v = (y.view(B, T, -1, self.head) for y in linears(x, *weights))
        if cache is None and fast.attention_fits(q, k, seen):
            y = fast.attention(q, k, v, *rope, seen)
            return self.o_proj(y.flatten(2))
        q = rotate(q, rope).transpose(1, 2)  # (B, H, T, D)
        k = rotate(k, rope).transpose(1, 2)  # (B, G, T, D)
        v = v.transpose(1, 2)
        if cache is not None:
            k, v = cache.append(layer, k, v)
        y = F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=seen.mask,
            is_causal=seen.mask is None and cache is None,
            enable_gqa=q.shape[1] != k.shape[1],
        )
        return self.o_proj(y.transpose(1, 2).reshape(B, T, -1))


class MLP(nn.Module):
    """SwiGLU (Shazeer, arXiv 2002.05202)."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.gate_proj = Linear(config.width, config.inner)
        self.up_proj = Linear(config.width, config.inner)
        self.down_proj = Linear(config.inner, config.width)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = linears(x, self.gate_proj.weight, self.up_proj.weight)
        return self.down_proj(fast.swiglu(gate, up))


class Block(nn.Module):
    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.input_layernorm = Norm(config.width, config.eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = Norm(config.width, config.eps)
        self.mlp = MLP(config)

    def forward(
        self, x: Tensor, branch: Tensor | None, rope: Rope, reading: Reading, layer: int
    ) -> tuple[Tensor, Tensor]:
        """Return x, and a branch that the next block adds to it (None before the first)."""
        x, y = self.input_layernorm(x, branch, reading.noise)
        y = self.self_attn(y, rope, reading.seen, reading.cache, layer)
        x, y = self.post_attention_layernorm(x, y, reading.noise)
        return x, self.mlp(y)


class Body(nn.Module):
    def __init__(self, config: LlamaConfig, vocab_size: int) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(vocab_size, config.width)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = Norm(config.width, config.eps)


class Llama(nn.Module):
    """A decoder of LLaMA's kind (Touvron et al., arXiv 2302.13971)."""

    def __init__(self, config: LlamaConfig, vocab_size: int) -> None:
        super().__init__()
        self.config = config
        self.dropout = config.dropout
        self.model = Body(config, vocab_size)
        self.lm_head = None if config.tied else Linear(config.width, vocab_size)
        self._tables: dict[tuple[torch.device, torch.dtype], Rope] = {}
        self.reset()

    def reset(self) -> None:
        """Draw fresh weights: normal, 0.02; the matrices that end a residual branch smaller.

        The scale by depth is GPT-2's (Radford et al. 2019, section 2.3). Some heads have a task.
        """
        small = DRAWN / math.sqrt(2 * self.config.layers)
        with torch.no_grad():
            for name, weight in self.named_parameters():
                if weight.dim() == 2:
                    ends = name.endswith(("o_proj.weight", "down_proj.weight"))
                    weight.normal_(0.0, small if ends else DRAWN)
        if can_copy(self.config):
            begin_copying(self)

    def forward(self, ids: Tensor, segments: Tensor | None = None) -> Tensor:
        """Return logits (B, T, V) of ids (B, T) int64, each place seeing those up to itself.

        segments (B, T) int64: places see only places of the same number.
        """
        noise = noise_for(self.dropout, self.training, self.model.embed_tokens.weight)
        return self._run(ids, Reading(Seen(segments=segments), noise))

    def new_cache(self, batch: int, length: int) -> Cache:
        """Return an empty cache for `batch` rows of up to `length` places."""
        weight = self.model.embed_tokens.weight
        c = self.config
        return Cache(batch, length, c.layers, c.groups, c.head, weight.device, weight.dtype)

    def step(self, ids: Tensor, cache: Cache) -> Tensor:
        """Read ids (B, T) behind what the cache holds; return their logits (B, T, V).

        Raises MidigenError where the cache has no room for them.
        """
        T = ids.shape[1]
        cache.check_room(T)
        logits = self._run(ids, Reading(Seen(cache.mask(T)), None, cache))
        cache.advance(T)
        return logits

    def decoder(self, precision: str) -> Decoder | NativeDecoder:
        """Return the model as it is for sampling: `new_cache` and `step`, faster.

        precision: of the weights: fp32, bf16 or int8.
        """
        weight = self.model.embed_tokens.weight
        if can_step(self.config, weight):
            return NativeDecoder(self, precision)
        return (GraphDecoder if weight.device.type == "cuda" else Decoder)(self, precision)

    def _run(self, ids: Tensor, reading: Reading) -> Tensor:
        x = self.model.embed_tokens(ids)  # (B, T, W)
        start = reading.cache.length if reading.cache is not None else 0
        rope = self._rope(start, ids.shape[1], x)
        branch = None
        for layer, block in enumerate(self.model.layers):
            x, branch = block(x, branch, rope, reading, layer)
        _, x = self.model.norm(x, branch, reading.noise)
        head = self.lm_head or self.model.embed_tokens
        return linear(x, head.weight)

    def _rope(self, start: int, count: int, like: Tensor) -> Rope:
        """Return cosines and sines (count, 1, D) of places `start` and on; the table grows."""
        key = (like.device, like.dtype)
        table = self._tables.get(key)
        if table is None or len(table[0]) < start + count:
            size = max(1024, 2 * (start + count))
            table = rope_table(size, self.config.head, self.config.theta, like)
            self._tables[key] = table
        return table[0][start : start + count], table[1][start : start + count]


def rope_table(size: int, head: int, theta: float, like: Tensor) -> Rope:
    """Return cosines and sines (size, 1, D): rotary embeddings (Su et al., arXiv 2104.09864).

    Dimension i turns with i + D/2, as in Hugging Face's LLaMA; the sines of the first half are
    negated, as that half takes the other's with a minus.
    """
    both = turns(size, head, theta, like.device)
    cos, sin = both.real, both.imag
    cos, sin = torch.cat((cos, cos), dim=-1), torch.cat((-sin, sin), dim=-1)
    return cos.to(like.dtype), sin.to(like.dtype)


def rotate(x: Tensor, rope: Rope) -> Tensor:
    """Turn (B, T, H, D) by the angles of its places."""
    turn = fast.rotate if torch.is_grad_enabled() else fast.turned
    return turn(x, *rope)

"""The published architectures, written once more from their formulas, in plain eager PyTorch.

Oracles for the forward passes of the plugins, and what their speed is measured against. Nothing
here imports from midigen. State dicts of the plugins' models fit (`load`).
"""

import math
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def name_in(model: nn.Module, name: str) -> str:
    """Return the name in a plain model of a weight of the plugin's."""
    for old, new in getattr(model, "renamed", {}).items():
        if name.startswith(old):
            return new + name[len(old) :]
    return name


def load(model: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """Give a plain model the weights of a plugin's."""
    model.load_state_dict({name_in(model, name): value for name, value in state.items()})
    return model


def hugging_face(c: Any, vocab_size: int, window: int, **more: Any) -> Any:
    """Return the model of `transformers` with the shape of a `llama`."""
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocab_size,
            hidden_size=c.width,
            intermediate_size=c.inner,
            num_hidden_layers=c.layers,
            num_attention_heads=c.heads,
            num_key_value_heads=c.groups,
            rope_theta=c.theta,
            max_position_embeddings=window,
            rms_norm_eps=c.eps,
            tie_word_embeddings=c.tied,
            **more,
        )
    )


def causal(T: int) -> Tensor:
    """Return bool (T, T): True where a place must not look."""
    return torch.ones(T, T, dtype=torch.bool).triu(1)


class PlainLstm(nn.Module):
    def __init__(self, c: Any, vocab_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, c.embedding)
        between = c.dropout if c.layers > 1 else 0.0
        self.lstm = nn.LSTM(c.embedding, c.width, c.layers, batch_first=True, dropout=between)
        self.linear = nn.ModuleList()
        self.norms = nn.ModuleList()
        width = c.width
        for wider in c.linear:
            self.linear.append(nn.Linear(width, wider))
            self.norms.append(nn.LayerNorm(wider))
            width = wider
        self.dropout = nn.Dropout(c.dropout)
        self.output = nn.Linear(width, vocab_size)

    def forward(self, ids: Tensor) -> Tensor:
        x, _ = self.lstm(self.embedding(ids))
        x = self.dropout(x)
        for linear, norm in zip(self.linear, self.norms, strict=True):
            x = self.dropout(F.relu(norm(linear(x))))
        return self.output(x)


class PlainMusicGPT(nn.Module):
    renamed: ClassVar = {"layers.": "decoder.layers."}

    def __init__(self, c: Any, vocab_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, c.width)
        self.positions = nn.Embedding(c.positions, c.width)
        layer = nn.TransformerDecoderLayer(
            c.width, c.heads, c.hidden, dropout=c.dropout, batch_first=True
        )
        self.decoder = nn.TransformerDecoder(layer, c.layers)
        self.output = nn.Linear(c.width, vocab_size)

    def forward(self, ids: Tensor) -> Tensor:
        T = ids.shape[1]
        x = self.embedding(ids) + self.positions(torch.arange(T))
        mask = causal(T)
        return self.output(self.decoder(x, x, tgt_mask=mask, memory_mask=mask))


class PlainSynphony(nn.Module):
    renamed: ClassVar = {"layers.": "encoder.layers.", "norm.": "encoder.norm."}

    def __init__(self, c: Any, vocab_size: int) -> None:
        super().__init__()
        self.width = c.width
        self.embedding = nn.Embedding(vocab_size, c.width)
        layer = nn.TransformerEncoderLayer(
            c.width, c.heads, c.hidden, dropout=c.dropout, activation="gelu", batch_first=True
        )
        self.encoder = nn.TransformerEncoder(
            layer, c.layers, nn.LayerNorm(c.width), enable_nested_tensor=False
        )
        self.dropout = nn.Dropout(c.dropout)
        self.output = nn.Linear(c.width, vocab_size)

    def forward(self, ids: Tensor) -> Tensor:
        T = ids.shape[1]
        x = self.embedding(ids) * math.sqrt(self.width)
        x = self.dropout(x + self.sinusoids(T, self.width).to(x.dtype))
        return self.output(self.encoder(x, mask=causal(T)))

    @staticmethod
    @cache
    def sinusoids(T: int, width: int) -> Tensor:
        table = torch.zeros(T, width, dtype=torch.float64)
        for place in range(T):
            for i in range(0, width, 2):
                angle = place / 10000 ** (i / width)
                table[place, i], table[place, i + 1] = math.sin(angle), math.cos(angle)
        return table


class PlainRelativeAttention(nn.Module):
    """Huang et al. 2018, equation 3, skewing as in section 3.4.1; He et al. 2020, section 3."""

    def __init__(self, width: int, heads: int, distances: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.relative = nn.Parameter(torch.empty(distances, width // heads))
        self.out_proj = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.normal_(self.relative, 0.0, 0.02)

    def forward(self, x: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor]:
        B, T, W = x.shape
        q, k, v = (
            F.linear(x, weight, bias).view(B, T, self.heads, -1).transpose(1, 2)
            for weight, bias in zip(
                self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3), strict=True
            )
        )
        # Row T - 1 - d of the table is for distance d.
        far = torch.arange(T - 1, -1, -1).clamp(max=len(self.relative) - 1)
        relative = self.skew(q @ self.relative[far].t())
        scores = (q @ k.transpose(2, 3) + relative) / math.sqrt(q.shape[-1])
        if before is not None:
            scores = scores + before
        weights = scores.masked_fill(causal(T), -1e9).softmax(dim=-1)
        y = self.dropout(weights) @ v
        return self.out_proj(y.transpose(1, 2).reshape(B, T, W)), scores

    @staticmethod
    def skew(x: Tensor) -> Tensor:
        """Pad a column on the left, reshape, and drop the first row."""
        B, H, T, _ = x.shape
        return F.pad(x, (1, 0)).view(B, H, T + 1, T)[:, :, 1:]


class PlainRelativeBlock(nn.Module):
    def __init__(self, c: Any) -> None:
        super().__init__()
        self.self_attn = PlainRelativeAttention(c.width, c.heads, c.distances, c.dropout)
        self.linear1 = nn.Linear(c.width, c.hidden)
        self.linear2 = nn.Linear(c.hidden, c.width)
        self.norm1 = nn.LayerNorm(c.width)
        self.norm2 = nn.LayerNorm(c.width)
        self.dropout = nn.Dropout(c.dropout)

    def forward(self, x: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor]:
        y, scores = self.self_attn(x, before)
        x = self.norm1(x + self.dropout(y))
        y = self.linear2(self.dropout(F.relu(self.linear1(x))))
        return self.norm2(x + self.dropout(y)), scores


class PlainMusicTransformer(nn.Module):
    def __init__(self, c: Any, vocab_size: int) -> None:
        super().__init__()
        self.width = c.width
        self.embedding = nn.Embedding(vocab_size, c.width)
        self.layers = nn.ModuleList(PlainRelativeBlock(c) for _ in range(c.layers))
        self.output = nn.Linear(c.width, vocab_size)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embedding(ids) * math.sqrt(self.width)
        scores = None
        for layer in self.layers:
            x, scores = layer(x, scores)
        return self.output(x)


PLAIN = {
    "lstm": PlainLstm,
    "pitchlstm": PlainLstm,
    "musicgpt": PlainMusicGPT,
    "musictransformer": PlainMusicTransformer,
    "synphony": PlainSynphony,
}
"""By the name of the plugin whose architecture each is."""


def train_step(
    model: nn.Module, optimizer: torch.optim.Optimizer, ids: Tensor, targets: Tensor
) -> float:
    """Take one step as published loops do: loss, gradients, clipping at 1, optimiser."""
    optimizer.zero_grad()
    logits = model(ids)
    loss = F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1))
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.item()

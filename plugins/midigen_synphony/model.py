"""The model. Shapes: B rows, T places, W width, V ids."""

import math

import torch
from torch import Tensor, nn

from midigen.layers.attention import MultiheadAttention
from midigen.layers.block import Block
from midigen.layers.decoder import Decoder
from midigen.layers.linear import Linear
from midigen.layers.noise import drop
from midigen.layers.places import sinusoids
from midigen.layers.reading import Reading
from midigen_synphony.config import SynphonyConfig


class Synphony(Decoder):
    """A post-norm decoder with sinusoidal positions (Vaswani et al., arXiv 1706.03762).

    Dropout as in that paper, section 5.4: of the embedded input and of each branch; and, as in
    PyTorch's layers, of attention weights and inside the feed-forward layer.
    """

    def __init__(self, config: SynphonyConfig, vocab_size: int) -> None:
        c = config
        super().__init__(c.layers, c.heads, c.width // c.heads, c.dropout)
        self.config = config
        self.embedding = nn.Embedding(vocab_size, c.width)
        self.layers = nn.ModuleList(
            Block(c.width, c.hidden, "gelu", MultiheadAttention(c.width, c.heads))
            for _ in range(c.layers)
        )
        self.norm = nn.LayerNorm(c.width)
        self.output = Linear(c.width, vocab_size)
        nn.init.normal_(self.embedding.weight, 0.0, c.width**-0.5)
        nn.init.normal_(self.output.weight, 0.0, 0.02)
        nn.init.zeros_(self.output.bias)
        self._tables: dict[tuple[torch.device, torch.dtype], Tensor] = {}

    def read(self, ids: Tensor, at: Tensor, reading: Reading) -> Tensor:
        x = self.embedding(ids) * math.sqrt(self.config.width)  # (B, T, W)
        before = reading.cache.length if reading.cache is not None else 0
        x = x + self._sinusoids(before + ids.shape[1], x)[at]
        x = drop(x, reading.noise)
        for number, layer in enumerate(self.layers):
            x = layer(x, None, reading, number)
        logits: Tensor = self.output(self.norm(x))
        return logits

    def _sinusoids(self, count: int, like: Tensor) -> Tensor:
        """Return those of `count` places and more; the table grows."""
        key = (like.device, like.dtype)
        table = self._tables.get(key)
        if table is None or len(table) < count:
            table = sinusoids(max(1024, 2 * count), self.config.width, like)
            self._tables[key] = table
        return table

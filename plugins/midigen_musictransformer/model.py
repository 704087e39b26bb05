"""The model. Shapes: B rows, T places, W width, V ids."""

import math

from torch import Tensor, nn

from midigen.layers.block import Block
from midigen.layers.decoder import Decoder
from midigen.layers.linear import Linear
from midigen.layers.reading import Reading
from midigen_musictransformer.attention import RelativeAttention, Scores
from midigen_musictransformer.config import MusicTransformerConfig


class MusicTransformer(Decoder):
    """A post-norm decoder that knows where things are from distances alone.

    Dropout, as in PyTorch's layers: of attention weights, inside and behind the feed-forward
    layer, and behind the attention.
    """

    def __init__(self, config: MusicTransformerConfig, vocab_size: int) -> None:
        c = config
        super().__init__(c.layers, c.heads, c.width // c.heads, c.dropout)
        self.config = config
        self.embedding = nn.Embedding(vocab_size, c.width)
        self.layers = nn.ModuleList(
            Block(c.width, c.hidden, "relu", RelativeAttention(c.width, c.heads, c.distances))
            for _ in range(c.layers)
        )
        self.output = Linear(c.width, vocab_size)
        nn.init.normal_(self.embedding.weight, 0.0, c.width**-0.5)
        nn.init.normal_(self.output.weight, 0.0, 0.02)
        nn.init.zeros_(self.output.bias)

    def read(self, ids: Tensor, at: Tensor, reading: Reading) -> Tensor:
        scores = Scores(reading.seen, reading.noise, reading.cache)
        x = self.embedding(ids) * math.sqrt(self.config.width)  # (B, T, W)
        for number, layer in enumerate(self.layers):
            x = layer(x, None, scores, number)
        logits: Tensor = self.output(x)
        return logits

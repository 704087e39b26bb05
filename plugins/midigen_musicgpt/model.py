"""The model. Shapes: B rows, T places, W width, V ids."""

from torch import Tensor, nn

from midigen.errors import MidigenError
from midigen.layers.attention import MultiheadAttention
from midigen.layers.block import Block
from midigen.layers.decoder import Decoder
from midigen.layers.linear import Linear
from midigen.layers.reading import Reading
from midigen_musicgpt.config import MusicGPTConfig


class MusicGPT(Decoder):
    """A decoder whose layers attend to themselves and to the embedded input.

    Dropout, as in PyTorch's layers: of attention weights, inside and behind the feed-forward
    layer, and behind each attention.
    """

    def __init__(self, config: MusicGPTConfig, vocab_size: int) -> None:
        c = config
        super().__init__(2 * c.layers, c.heads, c.width // c.heads, c.dropout)
        self.config = config
        self.embedding = nn.Embedding(vocab_size, c.width)
        self.positions = nn.Embedding(c.positions, c.width)
        self.layers = nn.ModuleList(
            Block(
                c.width,
                c.hidden,
                "relu",
                MultiheadAttention(c.width, c.heads),
                MultiheadAttention(c.width, c.heads),
            )
            for _ in range(c.layers)
        )
        self.output = Linear(c.width, vocab_size)
        for table in (self.embedding, self.positions, self.output):
            nn.init.normal_(table.weight, 0.0, 0.02)
        nn.init.zeros_(self.output.bias)

    def read(self, ids: Tensor, at: Tensor, reading: Reading) -> Tensor:
        most, T = self.config.positions, ids.shape[1]
        if reading.cache is None and most < T:
            raise MidigenError(
                f"musicgpt: a window of {T} is longer than the {most} positions it learns; use"
                f" --window {most} or less, or --model musicgpt:positions={T}"
            )
        # The sampler lets a row that is full read one id more, before the row begins anew.
        memory = self.embedding(ids) + self.positions(at.clamp(max=most - 1))  # (B, T, W)
        x = memory
        for number, layer in enumerate(self.layers):
            x = layer(x, memory, reading, 2 * number)
        logits: Tensor = self.output(x)
        return logits

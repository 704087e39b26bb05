"""A post-norm block; parameter names of PyTorch's `nn.TransformerDecoderLayer`."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from midigen.layers.linear import Linear
from midigen.layers.noise import Noise, drop, drop_add, relu_drop
from midigen.layers.reading import Reading


class Block(nn.Module):
    """Each branch is added to what it reads, and the sum normed (Vaswani et al. 2017).

    self_attn: attends to x itself. multihead_attn: attends to the memory, if there is one.
    """

    def __init__(
        self,
        width: int,
        hidden: int,
        activation: Literal["relu", "gelu"],
        self_attn: nn.Module,
        multihead_attn: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.self_attn = self_attn
        self.multihead_attn = multihead_attn
        self.linear1 = Linear(width, hidden)
        self.linear2 = Linear(hidden, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.norm3 = nn.LayerNorm(width) if multihead_attn is not None else None

    def forward(self, x: Tensor, memory: Tensor | None, reading: Reading, slot: int) -> Tensor:
        """Return (B, T, W). slot: the block's first place in the cache; a memory takes the next."""
        noise = reading.noise
        x = self.norm1(drop_add(x, self.self_attn(x, None, reading, slot), noise))
        if self.multihead_attn is None:
            return self.norm2(drop_add(x, self._feed(x, noise), noise))
        assert self.norm3 is not None
        x = self.norm2(drop_add(x, self.multihead_attn(x, memory, reading, slot + 1), noise))
        return self.norm3(drop_add(x, self._feed(x, noise), noise))

    def _feed(self, x: Tensor, noise: Noise | None) -> Tensor:
        x = self.linear1(x)
        x = relu_drop(x, noise) if self.activation == "relu" else drop(F.gelu(x), noise)
        return self.linear2(x)

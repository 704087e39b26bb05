"""`musicgpt`: PyTorch's decoder layers, fed with the embedded input as their memory.

Each of 6 post-norm layers of width 256 attends to itself and then, causally as well, to the
embedded input of the whole model. Positions are learned, 576 of them: no window is longer.
Parameter names of the layers are those of PyTorch's `nn.TransformerDecoder`.
"""

from typing import TYPE_CHECKING, Any

from midigen_musicgpt.config import MusicGPTConfig

if TYPE_CHECKING:
    from midigen_musicgpt.model import MusicGPT


class Plugin:
    """The model plugin (`midigen.protocols.Model`)."""

    Config = MusicGPTConfig

    def build(self, config: Any, vocab_size: int) -> "MusicGPT":
        """Return the model with fresh weights, drawn from torch's default generator."""
        from midigen_musicgpt.model import MusicGPT

        return MusicGPT(config, vocab_size)


plugin = Plugin()

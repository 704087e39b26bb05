"""`synphony`: 8 post-norm blocks of width 768 with GELU, sinusoidal positions, untied output.

Parameter names of the blocks are those of PyTorch's `nn.TransformerEncoder`.
"""

from typing import TYPE_CHECKING, Any

from midigen_synphony.config import SynphonyConfig

if TYPE_CHECKING:
    from midigen_synphony.model import Synphony


class Plugin:
    """The model plugin (`midigen.protocols.Model`)."""

    Config = SynphonyConfig

    def build(self, config: Any, vocab_size: int) -> "Synphony":
        """Return the model with fresh weights, drawn from torch's default generator."""
        from midigen_synphony.model import Synphony

        return Synphony(config, vocab_size)


plugin = Plugin()

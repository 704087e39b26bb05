"""`musictransformer`: relative positions, and scores of attention that add up over the layers.

8 post-norm blocks of width 256. Relative positions as in Music Transformer (Huang et al., arXiv
1809.04281), 240 distances that the heads of a layer share; whatever is farther counts as the
farthest. The scores of a layer are added to those of the next, as in RealFormer (He et al., arXiv
2012.11747). There are no other positions, so a window may have any length.
"""

from typing import TYPE_CHECKING, Any

from midigen_musictransformer.config import MusicTransformerConfig

if TYPE_CHECKING:
    from midigen_musictransformer.model import MusicTransformer


class Plugin:
    """The model plugin (`midigen.protocols.Model`)."""

    Config = MusicTransformerConfig

    def build(self, config: Any, vocab_size: int) -> "MusicTransformer":
        """Return the model with fresh weights, drawn from torch's default generator."""
        from midigen_musictransformer.model import MusicTransformer

        return MusicTransformer(config, vocab_size)


plugin = Plugin()

"""`llama`: RoPE, SwiGLU, RMSNorm, tied embeddings; parameter names of Hugging Face's LLaMA."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from midigen_llama.config import PRESETS, LlamaConfig, from_hf, hf_config

if TYPE_CHECKING:
    from midigen_llama.model import Llama


class Plugin:
    """The model plugin (`midigen.protocols.Model`)."""

    Config = LlamaConfig
    PRESETS = PRESETS
    hf_config = staticmethod(hf_config)
    from_hf = staticmethod(from_hf)

    def build(self, config: Any, vocab_size: int) -> "Llama":
        """Return the model with fresh weights, drawn from torch's default generator."""
        from midigen_llama.model import Llama

        return Llama(config, vocab_size)

    def about(self) -> str:
        """Return how it samples on this machine's CPU."""
        from midigen_llama.native import library

        found = library()
        if found is None:
            return (
                "samples with PyTorch: no compiled step that loads here (was there a C compiler?)"
            )
        return f"samples with its compiled step ({Path(found._name).name.split('.')[0]})"


plugin = Plugin()

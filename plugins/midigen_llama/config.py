"""The settings of `llama`, its presets, and how Hugging Face writes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from midigen.errors import MidigenError

if TYPE_CHECKING:
    from midigen.modelvocab import ModelVocab


@dataclass(frozen=True, slots=True)
class LlamaConfig:
    """A decoder: `layers` blocks of `width`, attention in heads of `head` dimensions.

    kv_heads 0: as many as query heads. hidden 0: the SwiGLU width is 8/3 of `width`, rounded up to
    a multiple of 64. theta: base of the rotary embeddings' angles. dropout: the share of what the
    layers add that is dropped in training. copies: begin with heads that look for what followed
    before (`midigen_llama.beginning`), where there are layers and heads for that.
    """

    width: int = 256
    layers: int = 6
    head: int = 64
    kv_heads: int = 0
    hidden: int = 0
    theta: float = 500000.0
    eps: float = 1e-5
    tied: bool = True
    dropout: float = 0.0
    copies: bool = True

    def __post_init__(self) -> None:
        for name in ("width", "layers", "head"):
            if getattr(self, name) < 1:
                raise MidigenError(f"llama: {name}={getattr(self, name)} must be at least 1")
        if self.width % self.head or self.head % 2:
            raise MidigenError(
                f"llama: width={self.width} must be a multiple of head={self.head}, which is even"
            )
        if self.kv_heads < 0 or self.heads % self.groups:
            raise MidigenError(
                f"llama: kv_heads={self.kv_heads} must divide the {self.heads} query heads"
            )
        if self.theta <= 1:
            raise MidigenError(f"llama: theta={self.theta} must be above 1")
        if not 0 <= self.dropout < 1:
            raise MidigenError(f"llama: dropout={self.dropout} must be at least 0 and below 1")

    @property
    def heads(self) -> int:
        """Query heads, H."""
        return self.width // self.head

    @property
    def groups(self) -> int:
        """Key and value heads, G."""
        return self.kv_heads or self.heads

    @property
    def inner(self) -> int:
        """Width of the SwiGLU layer."""
        return self.hidden or -(-8 * self.width // (3 * 64)) * 64


PRESETS = {
    "tiny": LlamaConfig(width=128, layers=4, head=32),
    "small": LlamaConfig(width=256, layers=6),
    "base": LlamaConfig(width=512, layers=10),
}


def hf_config(config: LlamaConfig, vocab: "ModelVocab", window: int) -> dict[str, Any]:
    """Return config.json as `transformers.LlamaConfig` writes it."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": config.width,
        "intermediate_size": config.inner,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.groups,
        "head_dim": config.head,
        "hidden_act": "silu",
        "max_position_embeddings": window,
        "rms_norm_eps": config.eps,
        "rope_theta": config.theta,
        "rope_scaling": None,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "mlp_bias": False,
        "tie_word_embeddings": config.tied,
        "vocab_size": len(vocab),
        "bos_token_id": vocab.bos,
        "eos_token_id": vocab.eos,
        "pad_token_id": vocab.pad,
        "initializer_range": 0.02,
        "use_cache": True,
    }


def from_hf(config: Mapping[str, Any]) -> LlamaConfig:
    """Return the settings of a config.json that `transformers.LlamaConfig` wrote.

    Raises MidigenError for what this model cannot be: biases, scaled RoPE, another activation.
    """
    rope = config.get("rope_parameters") or {}
    scaling = config.get("rope_scaling") or {}
    plain = {
        "attention_bias": config.get("attention_bias", False) is False,
        "mlp_bias": config.get("mlp_bias", False) is False,
        "hidden_act": config.get("hidden_act", "silu") == "silu",
        "rope_scaling": {rope.get("rope_type", "default"), scaling.get("rope_type", "default")}
        == {"default"},
    }
    odd = [name for name, is_plain in plain.items() if not is_plain]
    if odd:
        raise MidigenError(f"llama: config.json has {odd[0]}={config.get(odd[0])!r}")
    heads = config["num_attention_heads"]
    return LlamaConfig(
        width=config["hidden_size"],
        layers=config["num_hidden_layers"],
        head=config.get("head_dim") or config["hidden_size"] // heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        hidden=config["intermediate_size"],
        theta=float(rope.get("rope_theta") or config.get("rope_theta") or 10000.0),
        eps=config["rms_norm_eps"],
        tied=config.get("tie_word_embeddings", False),
    )

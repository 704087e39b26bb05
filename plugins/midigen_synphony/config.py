"""The settings of `synphony`."""

from dataclasses import dataclass

from midigen.errors import MidigenError
from midigen.layers.limits import check_counts, check_dropout, check_heads


@dataclass(frozen=True, slots=True)
class SynphonyConfig:
    """hidden: width of the feed-forward layers."""

    width: int = 768
    layers: int = 8
    heads: int = 12
    hidden: int = 3072
    dropout: float = 0.1

    def __post_init__(self) -> None:
        check_counts("synphony", self, "width", "layers", "heads", "hidden")
        check_heads("synphony", self)
        check_dropout("synphony", self)
        if self.width % 2:
            raise MidigenError(f"synphony: width={self.width} must be even, for its sinusoids")

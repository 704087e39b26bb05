"""The settings of `musictransformer`."""

from dataclasses import dataclass

from midigen.layers.limits import check_counts, check_dropout, check_heads


@dataclass(frozen=True, slots=True)
class MusicTransformerConfig:
    """hidden: width of the feed-forward layers. distances: how many have a vector of their own."""

    width: int = 256
    layers: int = 8
    heads: int = 16
    hidden: int = 512
    distances: int = 240
    dropout: float = 0.1

    def __post_init__(self) -> None:
        check_counts("musictransformer", self, "width", "layers", "heads", "hidden", "distances")
        check_heads("musictransformer", self)
        check_dropout("musictransformer", self)

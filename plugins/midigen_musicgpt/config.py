"""The settings of `musicgpt`."""

from dataclasses import dataclass

from midigen.layers.limits import check_counts, check_dropout, check_heads


@dataclass(frozen=True, slots=True)
class MusicGPTConfig:
    """hidden: width of the feed-forward layers. positions: the longest window."""

    width: int = 256
    layers: int = 6
    heads: int = 8
    hidden: int = 1024
    positions: int = 576
    dropout: float = 0.1

    def __post_init__(self) -> None:
        check_counts("musicgpt", self, "width", "layers", "heads", "hidden", "positions")
        check_heads("musicgpt", self)
        check_dropout("musicgpt", self)

    @property
    def longest(self) -> int:
        """The longest window, in ids."""
        return self.positions

"""The settings of `lstm` and `pitchlstm`."""

from dataclasses import dataclass

from midigen.layers.limits import check_counts, check_dropout


@dataclass(frozen=True, slots=True)
class LstmConfig:
    """embedding, width: of the ids and of the LSTM layers. first, second: of the linear layers."""

    embedding: int = 64
    width: int = 512
    layers: int = 2
    first: int = 1024
    second: int = 512
    dropout: float = 0.5

    def __post_init__(self) -> None:
        check_counts("lstm", self, "embedding", "width", "layers", "first", "second")
        check_dropout("lstm", self)

    @property
    def linear(self) -> tuple[int, ...]:
        """Widths of the linear layers between the LSTM and the output."""
        return self.first, self.second


@dataclass(frozen=True, slots=True)
class PitchLstmConfig:
    """embedding, width: of the ids and of the LSTM layers, whose last one gives the output."""

    embedding: int = 128
    width: int = 512
    layers: int = 2
    dropout: float = 0.3

    def __post_init__(self) -> None:
        check_counts("pitchlstm", self, "embedding", "width", "layers")
        check_dropout("pitchlstm", self)

    @property
    def linear(self) -> tuple[int, ...]:
        """There are no linear layers between the LSTM and the output."""
        return ()

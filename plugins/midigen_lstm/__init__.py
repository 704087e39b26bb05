"""`lstm` and `pitchlstm`: recurrent models.

`lstm`: an embedding of 64, two LSTM layers of 512, then two linear layers, of 1,024 and 512, with
layer norm and ReLU. `pitchlstm`: an embedding and one to three LSTM layers of 512, for vocabularies
of pitch strings. Parameter names of the layers are those of `nn.LSTM`.
"""

from typing import TYPE_CHECKING, Any

from midigen_lstm.config import LstmConfig, PitchLstmConfig

if TYPE_CHECKING:
    from midigen_lstm.model import Lstm


class Plugin:
    """The model plugin (`midigen.protocols.Model`)."""

    def __init__(self, config: type) -> None:
        self.Config = config

    def build(self, config: Any, vocab_size: int) -> "Lstm":
        """Return the model with fresh weights, drawn from torch's default generator."""
        from midigen_lstm.model import Lstm

        return Lstm(config, vocab_size)


lstm = Plugin(LstmConfig)
pitchlstm = Plugin(PitchLstmConfig)

"""The model. Shapes: B rows, T places, W width, V ids."""

import torch
from torch import Tensor, nn

from midigen.layers.linear import Linear
from midigen.layers.noise import Noise, drop, noise_for, relu_drop
from midigen.layers.places import begins, places
from midigen_lstm import recurrence
from midigen_lstm.cache import Cache
from midigen_lstm.config import LstmConfig, PitchLstmConfig


class Lstm(nn.Module):
    """Ids, embedded, through LSTM layers and linear ones to logits.

    Dropout between LSTM layers, behind the last, and behind every linear layer.
    """

    def __init__(self, config: LstmConfig | PitchLstmConfig, vocab_size: int) -> None:
        super().__init__()
        self.config = c = config
        self.embedding = nn.Embedding(vocab_size, c.embedding)
        self.lstm = nn.LSTM(
            c.embedding, c.width, c.layers, dropout=c.dropout if c.layers > 1 else 0.0
        )
        widths = (c.width, *c.linear)
        self.linear = nn.ModuleList(map(Linear, widths, widths[1:]))
        self.norms = nn.ModuleList(map(nn.LayerNorm, c.linear))
        self.output = Linear(widths[-1], vocab_size)

    def forward(self, ids: Tensor, segments: Tensor | None = None) -> Tensor:
        """Return logits (B, T, V) of ids (B, T) int64; each place has read those up to itself.

        segments (B, T) int64: where the number changes, the state starts anew.
        """
        noise = noise_for(self.config.dropout, self.training, self.embedding.weight)
        x = self.embedding(ids.t())  # (T, B, embedding)
        if x.device.type != "cpu":
            return self._head(drop(self._fused(x, segments), noise), noise)
        starts = (
            begins(segments) if segments is not None else torch.zeros_like(ids, dtype=torch.bool)
        )
        resets = recurrence.resets_of(starts, x)
        for number in range(self.config.layers):
            x = drop(self._layer(x, number, resets), noise)
        return self._head(x, noise)

    def _weights(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the matrices of inputs and of outputs, and the bias, of an LSTM layer."""
        w_ih, w_hh, b_ih, b_hh = self.lstm.all_weights[number]
        return w_ih, w_hh, b_ih + b_hh

    def _layer(self, x: Tensor, number: int, resets: recurrence.Resets) -> Tensor:
        if torch.is_grad_enabled():
            return recurrence.layer(x, *self._weights(number), resets)
        zero = x.new_zeros(x.shape[1], self.config.width)
        return recurrence.run(x, *self._weights(number), resets, (zero, zero), keep=False)[2]

    def _fused(self, x: Tensor, segments: Tensor | None) -> Tensor:
        """Return outputs (T, B, W) by way of cuDNN, which starts from an empty state only.

        So every segment becomes a row of its own.
        """
        if segments is None:
            return self.lstm(x)[0]
        row = begins(segments).flatten().cumsum(0) - 1
        place = places(segments).flatten()
        alone = x.new_zeros(int(place.max()) + 1, int(row[-1]) + 1, x.shape[2])
        alone[place, row] = x.transpose(0, 1).flatten(0, 1)
        y = self.lstm(alone)[0][place, row]
        return y.view(*segments.shape, -1).transpose(0, 1)

    def _head(self, x: Tensor, noise: Noise | None) -> Tensor:
        """Return logits (B, T, V) of outputs (T, B, W)."""
        for linear, norm in zip(self.linear, self.norms, strict=True):
            x = relu_drop(norm(linear(x)), noise)
        logits: Tensor = self.output(x.transpose(0, 1))
        return logits

    def new_cache(self, batch: int, length: int) -> Cache:
        """Return an empty cache for `batch` rows of up to `length` places."""
        return Cache(batch, length, self.config.layers, self.config.width, self.embedding.weight)

    def step(self, ids: Tensor, cache: Cache) -> Tensor:
        """Read ids (B, T) behind what the cache holds; return their logits (B, T, V).

        Raises MidigenError where the cache has no room for them.
        """
        T = ids.shape[1]
        cache.check_room(T)
        x = self.embedding(ids.t())
        resets = recurrence.resets_of(cache.begins(T), x)
        for number in range(self.config.layers):
            h, c = cache.states[number]
            _, cells, x = recurrence.run(x, *self._weights(number), resets, (h, c), keep=False)
            # In place: tensors that inference mode makes can not be written to outside of it.
            h.copy_(x[-1])
            c.copy_(cells[-1])
        cache.advance(T)
        return self._head(x, None)

"""What every decoder with attention does alike: whole windows, and step by step."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from midigen.layers.cache import Cache
from midigen.layers.noise import noise_for
from midigen.layers.places import places
from midigen.layers.reading import Reading, Seen


class Decoder(nn.Module, ABC):
    """A model that reads ids from left to right (`midigen.protocols.Model`).

    slots: pairs of keys and values that it caches. dropout: the rate of it while training.
    """

    def __init__(self, slots: int, heads: int, head: int, dropout: float) -> None:
        super().__init__()
        self.slots, self.heads, self.head, self.dropout = slots, heads, head, dropout

    @property
    def _any(self) -> Tensor:
        """A weight: it has the type and the device of all."""
        return next(self.parameters())

    @abstractmethod
    def read(self, ids: Tensor, at: Tensor, reading: Reading) -> Tensor:
        """Return logits (B, T, V) of ids (B, T).

        at: (T,) or (B, T) int64, how far each is behind its piece's start.
        """

    def forward(self, ids: Tensor, segments: Tensor | None = None) -> Tensor:
        """Return logits (B, T, V) of ids (B, T) int64, each place seeing those up to itself.

        segments (B, T) int64: places see only places of the same number.
        """
        at = torch.arange(ids.shape[1], device=ids.device)
        if segments is not None:
            at = places(segments)
        noise = noise_for(self.dropout, self.training, self._any)
        return self.read(ids, at, Reading(Seen(segments=segments), noise))

    def new_cache(self, batch: int, length: int) -> Cache:
        """Return an empty cache for `batch` rows of up to `length` places."""
        like = self._any
        return Cache(batch, length, self.slots, self.heads, self.head, like.device, like.dtype)

    def step(self, ids: Tensor, cache: Cache) -> Tensor:
        """Read ids (B, T) behind what the cache holds; return their logits (B, T, V).

        Raises MidigenError where the cache has no room for them.
        """
        T = ids.shape[1]
        cache.check_room(T)
        logits = self.read(ids, cache.places(T), Reading(Seen(cache.mask(T)), None, cache))
        cache.advance(T)
        return logits

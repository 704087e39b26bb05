"""What the layers of one forward pass share."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from midigen.layers.cache import Cache
from midigen.layers.noise import Noise


class Seen:
    """Each place sees all before it within its segment (B, T), or what a mask says.

    mask: bool (B or 1, 1, T, L), made of the segments when first asked for; None: all before.
    """

    def __init__(self, mask: Tensor | None = None, segments: Tensor | None = None) -> None:
        self.segments = segments
        self._mask = mask

    @property
    def mask(self) -> Tensor | None:
        if self._mask is None and self.segments is not None:
            T = self.segments.shape[1]
            same = self.segments[:, None, :, None] == self.segments[:, None, None, :]
            self._mask = same & torch.ones(T, T, dtype=torch.bool, device=same.device).tril()
        return self._mask

    @cached_property
    def starts(self) -> Tensor | None:
        """The first place (B, T) int32 that each place sees, None where that is always 0.

        Only where segments are numbered in order (`in_order`).
        """
        if self.segments is None:
            return None
        places = torch.arange(self.segments.shape[1], device=self.segments.device)
        begins = self.segments.diff(dim=1, prepend=self.segments[:, :1]) != 0
        return torch.where(begins, places, 0).cummax(1).values.int()

    @cached_property
    def in_order(self) -> bool:
        """Whether segments never fall along a row, so that each is in one piece."""
        return self.segments is None or not bool((self.segments.diff(dim=1) < 0).any())


@dataclass(slots=True)
class Reading:
    """One pass over ids: what they may see, the noise of dropout, and the cache they go on from."""

    seen: Seen
    noise: Noise | None = None
    cache: Cache | None = None

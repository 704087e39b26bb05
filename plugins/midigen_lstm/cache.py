"""The state of rows that are read step by step."""

import torch
from torch import Tensor

from midigen.errors import MidigenError

State = tuple[Tensor, Tensor]
"""Output and cell of a layer, (B, W) each; the cell in fp32 or better."""


class Cache:
    """What the layers remember of each row, and how far the rows have been read.

    Rows of different lengths are padded on the left: what is read before ``starts[b]`` leaves
    nothing in row b. starts: (B,) int64, 0 for full rows; set it before the first `step`. capacity:
    the number of places that may be read.
    """

    def __init__(self, batch: int, capacity: int, layers: int, width: int, like: Tensor) -> None:
        wide = torch.promote_types(like.dtype, torch.float32)
        self.states: list[State] = [
            (like.new_zeros(batch, width), like.new_zeros(batch, width, dtype=wide))
            for _ in range(layers)
        ]
        self.starts = torch.zeros(batch, device=like.device, dtype=torch.int64)
        self.length = 0
        self.capacity = capacity

    def check_room(self, count: int) -> None:
        """Raise MidigenError where `count` more places do not fit."""
        if self.length + count > self.capacity:
            raise MidigenError(
                f"{self.length} + {count} places do not fit a cache of {self.capacity}"
            )

    def begins(self, count: int) -> Tensor:
        """Return bool (B, count): True where a row starts, of the next `count` places."""
        new = torch.arange(self.length, self.length + count, device=self.starts.device)
        return new == self.starts[:, None]

    def advance(self, count: int) -> None:
        self.length += count

    def select(self, rows: Tensor) -> None:
        """Keep these rows (int64 indices), in this order: others are done."""
        self.states = [(h[rows], c[rows]) for h, c in self.states]
        self.starts = self.starts[rows]

    def put(self, row: int, other: "Cache") -> None:
        """Take the only row of `other`, which has the same length, in the place of row `row`."""
        for (h, c), (their_h, their_c) in zip(self.states, other.states, strict=True):
            h[row], c[row] = their_h[0], their_c[0]
        self.starts[row] = other.starts[0]

"""Keys and values of what has been read, for sampling one id at a time."""

import torch
from torch import Tensor

from midigen.errors import MidigenError


class Places:
    """Places of rows of different lengths, which are padded on the left.

    Row b holds what it has read in places ``starts[b]..length-1``, and nothing before is ever
    looked at. Models that see differences of places only need no more; others count from a row's
    start (`places`).

    capacity: places there are. length: places in use, the same in every row. starts: (B,) int64,
    0 for full rows; set it before the first `step`.
    """

    def __init__(self, batch: int, capacity: int, device: torch.device) -> None:
        self.capacity = capacity
        self.starts = torch.zeros(batch, device=device, dtype=torch.int64)
        self.length = 0

    @property
    def batch(self) -> int:
        return len(self.starts)

    def advance(self, count: int) -> None:
        self.length += count

    def check_room(self, count: int) -> None:
        """Raise MidigenError where `count` more places do not fit."""
        if self.length + count > self.capacity:
            raise MidigenError(
                f"{self.length} + {count} places do not fit a cache of {self.capacity}"
            )

    def places(self, count: int) -> Tensor:
        """Return (B, count) int64: how far the next places are behind their row's start.

        0 for places of padding.
        """
        new = torch.arange(self.length, self.length + count, device=self.starts.device)
        return (new - self.starts[:, None]).clamp(min=0)

    def rewind(self, length: int) -> None:
        """Forget what was read from place `length` on."""
        self.length = min(self.length, length)

    def moves(self, rows: Tensor) -> Tensor:
        """Return those of `rows` (int64 indices) that get another place, as indices into it."""
        return (rows != torch.arange(len(rows), device=rows.device)).nonzero().flatten()


class Cache(Places):
    """Preallocated keys and values of every layer: two (B, G, L, D) tensors a layer."""

    def __init__(
        self,
        batch: int,
        capacity: int,
        layers: int,
        groups: int,
        head: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        super().__init__(batch, capacity, device)
        shape = (batch, groups, capacity, head)
        self.keys = [torch.zeros(shape, device=device, dtype=dtype) for _ in range(layers)]
        self.values = [torch.zeros(shape, device=device, dtype=dtype) for _ in range(layers)]

    def append(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Store (B, G, T, D) behind `length`; return all keys and values up to there.

        `length` itself moves when `advance` is called, after the last layer.
        """
        end = self.length + key.shape[2]
        self.keys[layer][:, :, self.length : end] = key
        self.values[layer][:, :, self.length : end] = value
        return self.keys[layer][:, :, :end], self.values[layer][:, :, :end]

    def mask(self, count: int) -> Tensor | None:
        """Return bool (B or 1, 1, count, length + count), True where `count` new places may look.

        None where they may look everywhere: one new place in full rows.
        """
        end = self.length + count
        padded = bool(self.starts.any())
        if count == 1 and not padded:
            return None
        places = torch.arange(end, device=self.starts.device)
        new = places[self.length :, None]
        mask = (places <= new)[None, None]
        if padded:
            mask = mask & (places >= self.starts[:, None, None, None])
            # A place of padding sees itself, for a softmax over nothing is not a number.
            mask = mask | (places == new)
        return mask

    def select(self, rows: Tensor) -> None:
        """Keep these rows (int64 indices), in this order: others are done.

        What was read moves, and only where a row gets another place: a copy of the whole cache
        takes as long as dozens of steps.
        """
        place = self.moves(rows)
        for kept in self.keys + self.values:
            read = kept[:, :, : self.length]
            read[place] = read[rows[place]]
        self.keys = [key[: len(rows)] for key in self.keys]
        self.values = [value[: len(rows)] for value in self.values]
        self.starts = self.starts[rows]

    def put(self, row: int, other: "Cache") -> None:
        """Take the only row of `other`, which has the same length, in the place of row `row`."""
        end = self.length
        for mine, theirs in zip(self.keys + self.values, other.keys + other.values, strict=True):
            mine[row, :, :end] = theirs[0, :, :end]
        self.starts[row] = other.starts[0]

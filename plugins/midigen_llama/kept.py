"""Keys and values of the compiled step (`midigen_llama.native`), as step.c reads them."""

import torch
from torch import Tensor

from midigen.layers.cache import Places
from midigen.memory import ask_for_huge_pages

PLACES = 64
"""Places of a piece; step.c has the same."""


class Kept(Places):
    """Keys and values of every layer, in pieces of places: memory is taken as it is written.

    memory: (pieces, layers, 2, B, G, PLACES, row); keys, then values, `row` numbers each. What is
    read at every step lies together, in huge pages where the system has them, and the rest is not
    there yet: a window that is never filled costs nothing.
    """

    def __init__(
        self, batch: int, capacity: int, layers: int, groups: int, row: int, dtype: torch.dtype
    ) -> None:
        super().__init__(batch, capacity, torch.device("cpu"))
        shape = (-(-capacity // PLACES), layers, 2, batch, groups, PLACES, row)
        self.memory = torch.empty(shape, dtype=dtype)
        start = self.memory.data_ptr()
        ask_for_huge_pages(start, start + self.memory.nbytes)

    @property
    def rows(self) -> int:
        """Rows that there is memory for; the first `batch` of them are in use."""
        return self.memory.shape[3]

    @property
    def end(self) -> int:
        """Pieces that something was written to."""
        return -(-self.length // PLACES)

    def select(self, rows: Tensor) -> None:
        """Keep these rows (int64 indices), in this order: others are done.

        Only what gets another place moves.
        """
        place = self.moves(rows)
        if len(place):
            read = self.memory[: self.end]
            read[:, :, :, place] = read[:, :, :, rows[place]]
        self.starts = self.starts[rows]

    def put(self, row: int, other: "Kept") -> None:
        """Take the only row of `other`, which has the same length, in the place of row `row`."""
        begin = int(other.starts[0]) // PLACES
        self.memory[begin : self.end, :, :, row] = other.memory[begin : self.end, :, :, 0]
        self.starts[row] = other.starts[0]

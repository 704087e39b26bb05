"""Products of queries with vectors of distances, moved to where each distance is (Huang 2018, 3.4).

A place and one before it are `distance` apart. For t queries that end at place `end`, a product
with the vectors of all distances is (t, end + t - 1), and the scores are a view of it: row r begins
one column earlier than row r - 1. Nothing is copied.
"""

import torch
from torch import Tensor


def distances(t: int, end: int, most: int, device: torch.device) -> Tensor:
    """Return (end + t - 1,) int64: the distance that each column of the product is for.

    From end - 1 down to that of the last place from the first of the t, which is negative and never
    seen; all are held in 0..most - 1.
    """
    return (end - 1 - torch.arange(end + t - 1, device=device)).clamp_(0, most - 1)


def skewed(product: Tensor, end: int) -> Tensor:
    """Return the view (N, t, end) of a contiguous product (N, t, end + t - 1)."""
    N, t, wide = product.shape
    return product.as_strided(
        (N, t, end), (t * wide, wide - 1, 1), product.storage_offset() + t - 1
    )

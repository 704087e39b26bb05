"""Where in its piece each id of a window stands, and the sinusoids of such places."""

import torch
from torch import Tensor


def begins(segments: Tensor) -> Tensor:
    """Return bool (B, T): True where a segment, a run of equal numbers, begins."""
    found = torch.ones_like(segments, dtype=torch.bool)
    found[:, 1:] = segments[:, 1:] != segments[:, :-1]
    return found


def places(segments: Tensor) -> Tensor:
    """Return (B, T) int64: how far each place is behind the start of its segment."""
    at = torch.arange(segments.shape[1], device=segments.device)
    return at - torch.where(begins(segments), at, 0).cummax(1).values


def sinusoids(count: int, width: int, like: Tensor) -> Tensor:
    """Return (count, width): sines and cosines in turn (Vaswani et al., arXiv 1706.03762, 3.5)."""
    powers = torch.arange(0, width, 2, dtype=torch.float64) / width
    angles = torch.arange(count)[:, None] / 10000.0**powers  # (count, width / 2)
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1).to(like)

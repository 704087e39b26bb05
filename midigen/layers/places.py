"""Where in its piece each id of a window stands, and the sinusoids of such places."""

import torch
from torch import Tensor


def places(segments: Tensor) -> Tensor:
    """Return (B, T) int64: how far each place is behind the start of its segment.

    segments: (B, T) int64; a segment is a run of equal numbers.
    """
    at = torch.arange(segments.shape[1], device=segments.device)
    begins = torch.ones_like(segments, dtype=torch.bool)
    begins[:, 1:] = segments[:, 1:] != segments[:, :-1]
    return at - torch.where(begins, at, 0).cummax(1).values


def sinusoids(count: int, width: int, like: Tensor) -> Tensor:
    """Return (count, width): sines and cosines in turn (Vaswani et al., arXiv 1706.03762, 3.5)."""
    powers = torch.arange(0, width, 2, dtype=torch.float32, device=like.device) / width
    at = torch.arange(count, dtype=torch.float32, device=like.device)
    angles = at[:, None] / 10000.0**powers  # (count, width / 2)
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1).to(like.dtype)

"""Sampling rules: pure functions on logits. An id that may not come has the logit -inf.

Each takes and returns float arrays (..., V) and leaves its argument alone. The highest logit
survives every rule, so that something is always left to draw from.
"""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

NEVER = float("-inf")
_TINY = sys.float_info.min
"""The least normal number of float64."""


def mask(logits: "np.ndarray", allowed: "np.ndarray") -> "np.ndarray":
    """Forbid the ids where `allowed`, bool (..., V), is false."""
    import numpy as np

    return np.where(allowed, logits, NEVER)


def repetition(logits: "np.ndarray", seen: "Sequence[np.ndarray]", penalty: float) -> "np.ndarray":
    """Make the ids (K,) seen in each row of logits (B, V) less likely (Keskar et al. 2019).

    Their logits are divided by a penalty above 1, or multiplied where they are below 0.
    """
    found = logits.copy()
    for row, ids in zip(found, seen, strict=True):
        own = row[ids]
        own[own > 0] /= penalty
        own[own < 0] *= penalty
        row[ids] = own
    return found


def temperature(logits: "np.ndarray", value: float) -> "np.ndarray":
    """Divide by a temperature above 0; near 0 the highest logit alone keeps a chance."""
    import numpy as np

    # From the top down, so that a tiny temperature overflows to -inf and never to nan.
    top = logits.max(axis=-1, keepdims=True)
    with np.errstate(over="ignore"):
        return (logits - top) / value


def top_k(logits: "np.ndarray", k: int) -> "np.ndarray":
    """Keep the `k` highest logits (0: all of them) and what equals the lowest of these."""
    import numpy as np

    if not 0 < k < logits.shape[-1]:
        return logits
    lowest = np.partition(logits, -k, axis=-1)[..., -k, None]
    return mask(logits, logits >= lowest)


def top_p(logits: "np.ndarray", p: float) -> "np.ndarray":
    """Keep the fewest ids whose chances add up to `p` (Holtzman et al. 2020, nucleus sampling)."""
    import numpy as np

    if p >= 1:
        return logits
    size = logits.shape[-1]
    chances = softmax(logits)
    kept = np.zeros(logits.shape, dtype=bool)
    # What has less than this adds up to less than is left out: only the others need an order.
    least = (1 - p) / size
    rows = (array.reshape(-1, size) for array in (logits, chances, kept))
    for row, chance, keep in zip(*rows, strict=True):
        likely = np.flatnonzero(chance >= least)
        order = likely[np.argsort(-row[likely], kind="stable")]
        before = np.cumsum(chance[order]) - chance[order]
        keep[order[before < p]] = True
    return mask(logits, kept)


def min_p(logits: "np.ndarray", p: float) -> "np.ndarray":
    """Keep the ids with at least `p` times the chance of the likeliest (Nguyen et al. 2024)."""
    import numpy as np

    if p <= 0:
        return logits
    return mask(logits, logits >= logits.max(axis=-1, keepdims=True) + np.log(p))


def softmax(logits: "np.ndarray") -> "np.ndarray":
    """Return chances (..., V) that add up to 1."""
    import numpy as np

    chances = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return chances / chances.sum(axis=-1, keepdims=True)


def gumbel(uniform: "np.ndarray") -> "np.ndarray":
    """Return Gumbel noise for numbers in [0, 1).

    The highest of logits plus noise is a draw by their chances; the next highest is a draw from
    what is left, and so on (Vieira 2014).
    """
    import numpy as np

    # 0 would give -inf, which cannot be told from a forbidden id.
    found = np.maximum(uniform, _TINY)
    for _ in range(2):
        np.log(found, out=found)
        np.negative(found, out=found)
    return found

"""Random numbers that depend on what they are for, never on the order of lines."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import numpy as np

Choice = TypeVar("Choice")


def key(seed: int, id: str, aug: Mapping[str, float], stage: str) -> bytes:
    """Return 32 bytes for (seed, id, aug, stage): the source of every number below."""
    done = ",".join(f"{name}={aug[name]!r}" for name in sorted(aug))
    return hashlib.sha256(
        f"{seed}\n{id}\n{done}\n{stage}".encode("utf-8", "surrogatepass")
    ).digest()


def uniform(seed: int, id: str, aug: Mapping[str, float], stage: str) -> float:
    """Return a number in [0, 1) with 53 random bits."""
    return (int.from_bytes(key(seed, id, aug, stage)[:8]) >> 11) / (1 << 53)


def sample(
    items: Sequence[Choice], k: int, seed: int, id: str, aug: Mapping[str, float], stage: str
) -> list[Choice]:
    """Return `k` distinct places of `items` (all of them if there are fewer), in random order."""
    places = list(range(len(items)))
    drawn = []
    for i in range(min(k, len(items))):
        number = int.from_bytes(key(seed, id, aug, f"{stage}:{i}"))
        drawn.append(items[places.pop(number % len(places))])
    return drawn


def generator(seed: int, id: str, aug: Mapping[str, float], stage: str) -> "np.random.Generator":
    """Return a NumPy generator (Philox) for many numbers of one purpose."""
    import numpy as np

    return np.random.Generator(np.random.Philox(key=int.from_bytes(key(seed, id, aug, stage)[:16])))

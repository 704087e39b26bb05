"""Keyed permutations of 0..n-1 that take no memory, and hashes of many numbers at once."""

import numpy as np

_ROUNDS = 4


def mix(numbers: np.ndarray, seed: int, stage: int) -> np.ndarray:
    """Return uint64 hashes of uint64 numbers under a key (SplitMix64's finalizer, Steele 2014)."""
    key = (seed * 0x9E3779B97F4A7C15 + stage * 0xD1342543DE82EF95 + 0x632BE59BD9B4E019) % 2**64
    x = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(key)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


class Permutation:
    """A Feistel network of four rounds over the next even power of two, walked back into 0..n-1."""

    def __init__(self, n: int, seed: int, stage: int) -> None:
        self._n = n
        self._half = max(1, -(-(max(n, 2) - 1).bit_length() // 2))
        self._seed = seed
        self._stage = stage

    def __call__(self, places: np.ndarray) -> np.ndarray:
        """Return the numbers at `places` (0..n-1) of the order, int64."""
        x = self._network(places.astype(np.uint64))
        outside = x >= self._n
        while outside.any():
            x[outside] = self._network(x[outside])
            outside = x >= self._n
        return x.astype(np.int64)

    def _network(self, x: np.ndarray) -> np.ndarray:
        bits, low = np.uint64(self._half), np.uint64((1 << self._half) - 1)
        left, right = x >> bits, x & low
        for turn in range(_ROUNDS):
            left, right = right, left ^ (mix(right, self._seed, self._stage * 64 + turn) & low)
        return (left << bits) | right

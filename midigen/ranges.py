"""Numbers as conditions: a field of many numbers is cut into ranges, each a name as ``80..100``.

A range holds its lower end and not its upper one; the first and the last are open.
"""

import math
from collections.abc import Iterable, Mapping
from itertools import pairwise

COUNT = 8
"""Ranges that a field of numbers is cut into."""
_FEW = 16
"""A field of so many different numbers or fewer keeps them as names: signatures, say, or years."""


def ranges_of(counts: Mapping[str, int]) -> list[str]:
    """Return ranges that hold about as many each, lowest first; none where values are names.

    counts: how often each value occurs.
    """
    numbers: list[tuple[float, int]] = []
    for value, count in counts.items():
        number = _number(value)
        if number is None:
            return []
        numbers.append((number, count))
    if len(numbers) <= _FEW:
        return []
    numbers.sort()
    total = sum(counts.values())
    edges: list[str] = []
    seen, wanted = 0, 1
    for number, count in numbers:
        if wanted < COUNT and seen >= wanted * total / COUNT:
            edge = f"{number:g}"
            if edge not in edges:
                edges.append(edge)
            while wanted < COUNT and seen >= wanted * total / COUNT:
                wanted += 1
        seen += count
    ends = ["", *edges, ""]
    return [f"{low}..{high}" for low, high in pairwise(ends)]


def range_of(ranges: Iterable[str], value: str) -> str | None:
    """Return the range that holds a number; None where `value` is none, or there are no ranges."""
    number = _number(value)
    if number is None:
        return None
    for name in ranges:
        low, dots, high = name.partition("..")
        if not dots:
            return None
        if float(low or -math.inf) <= number < float(high or math.inf):
            return name
    return None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None

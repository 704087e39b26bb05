"""The best few records of a stream, by a number that stands in each."""

import heapq
from collections.abc import Iterable, Mapping
from typing import Any

from midigen.errors import UsageError
from midigen.jsonl import loads

BY = "score.loss"
"""What `tokscore` adds: nats a token."""


class Best:
    """Keeps the `count` lines with the lowest numbers at `by`, a path of keys (``n.notes``).

    A minus before the path keeps the highest. seen: lines offered. without: those that have no
    number there; they are never kept. Of equal ones the first stays.
    """

    def __init__(self, count: int, by: str = BY) -> None:
        self._sign = -1.0 if by.startswith("-") else 1.0
        self._keys = by.removeprefix("-").split(".")
        if not all(self._keys):
            raise UsageError(f"--by {by!r}: keys with dots between them, as {BY}")
        self._count = count
        self._held: list[tuple[float, int, bytes]] = []
        self.seen = self.without = 0

    def offer(self, line: bytes) -> None:
        """Take a record's line; it is kept while it is among the best."""
        number = self._number(loads(line))
        if number is None:
            self.without += 1
            return
        self.seen += 1
        # The heap's first is the worst: the highest number, the last that came.
        entry = (-number * self._sign, -self.seen, line)
        if len(self._held) < self._count:
            heapq.heappush(self._held, entry)
        else:
            heapq.heappushpop(self._held, entry)

    def _number(self, value: Any) -> float | None:
        for key in self._keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return float(value) if is_number else None

    def lines(self) -> list[bytes]:
        """Return what is kept, the best first."""
        return [line for _, _, line in sorted(self._held, reverse=True)]


def best(lines: Iterable[bytes], kept: Best) -> list[bytes]:
    """Return the best of some lines, the best first."""
    for line in lines:
        kept.offer(line)
    return kept.lines()

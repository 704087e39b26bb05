"""How much of a stream has labels: which keys, on what share, with which values."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

_DISTINCT = 10_000
"""Values of one key that are told apart; a stream has more titles than memory should hold."""
_TOP = 6
_KEYS = 20


class Coverage:
    """Counts the `meta` of records. matched: records by labeler."""

    def __init__(self, labelers: Iterable[str]) -> None:
        self.records = 0
        self.matched: Counter[str] = Counter(dict.fromkeys(labelers, 0))
        self._keys: Counter[str] = Counter()
        self._values: dict[str, Counter[str]] = {}

    def count(self, meta: Mapping[str, Any]) -> None:
        self.records += 1
        for key, value in meta.items():
            self._keys[key] += 1
            values = self._values.setdefault(key, Counter())
            for item in value if isinstance(value, list) else [value]:
                if len(values) < _DISTINCT or str(item) in values:
                    values[str(item)] += 1

    def lines(self) -> list[str]:
        """Return a line for each labeler, then one for each key, the commonest first."""
        found = [f"{spec} matched {self._share(n)}" for spec, n in self.matched.items()]
        common = self._keys.most_common(_KEYS)
        found += [f"{key} on {self._share(count)}: {self._top(key)}" for key, count in common]
        if len(self._keys) > _KEYS:
            found.append(f"and {len(self._keys) - _KEYS} more keys")
        return found

    def _share(self, count: int) -> str:
        return f"{count} of {self.records} records ({count / max(self.records, 1):.1%})"

    def _top(self, key: str) -> str:
        values = self._values[key]
        top = ", ".join(f"{value:.40} {count}" for value, count in values.most_common(_TOP))
        if len(values) <= _TOP:
            return top
        more = "at least " * (len(values) >= _DISTINCT)
        return f"{top} and {more}{len(values) - _TOP} more values"

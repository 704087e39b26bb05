"""How much of a stream has labels: who gave which keys, on what share, with which values."""

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
        self._given: dict[str, Counter[str]] = {spec: Counter() for spec in self.matched}
        self._keys: Counter[str] = Counter()
        self._values: dict[str, Counter[str]] = {}
        self._spans: dict[str, tuple[float, float]] = {}

    def count_labels(self, spec: str, keys: Iterable[str]) -> None:
        """Count a record that a labeler knows, and the keys that it gave to it."""
        self.matched[spec] += 1
        self._given[spec].update(keys)

    def count(self, meta: Mapping[str, Any]) -> None:
        self.records += 1
        for key, value in meta.items():
            self._keys[key] += 1
            values = self._values.setdefault(key, Counter())
            for item in value if isinstance(value, list) else [value]:
                if len(values) < _DISTINCT or str(item) in values:
                    values[str(item)] += 1
                if isinstance(item, int | float):
                    low, high = self._spans.get(key, (item, item))
                    self._spans[key] = (min(low, item), max(high, item))

    def lines(self) -> list[str]:
        """Return a line for each labeler, then one for each key, the commonest first."""
        matched = self.matched.items()
        found = [f"{spec} matched {self._share(n)}{self._gave(spec)}" for spec, n in matched]
        common = self._keys.most_common(_KEYS)
        found += [f"{key} on {self._share(count)}: {self._top(key)}" for key, count in common]
        if len(self._keys) > _KEYS:
            found.append(f"and {len(self._keys) - _KEYS} more keys")
        return found

    def _gave(self, spec: str) -> str:
        """Return which keys a labeler gave to how many records."""
        given = ", ".join(f"{key} {count}" for key, count in self._given[spec].items())
        return f": {given}" * bool(given)

    def _share(self, count: int) -> str:
        return f"{count} of {self.records} records ({count / max(self.records, 1):.1%})"

    def _top(self, key: str) -> str:
        values = self._values[key]
        top = ", ".join(f"{value:.40} {count}" for value, count in values.most_common(_TOP))
        if len(values) <= _TOP:
            return top
        more = "at least " * (len(values) >= _DISTINCT)
        span = "{:g} to {:g}: ".format(*self._spans[key]) if key in self._spans else ""
        return f"{span}{top} and {more}{len(values) - _TOP} more values"

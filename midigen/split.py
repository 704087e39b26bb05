"""Which pieces train, which validate, which test: a function of the group alone.

A corpus that brings its own split names it in `meta.split`. Else the bucket of a hash of the group
decides: 0..9 of 100 test, 10..19 validation, the rest train. Where that leaves either with fewer
than two groups, the groups with the smallest hashes are held out; of a single piece, its last
tenth. The rule is stored with a model, so that later evaluation obeys it.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from midigen.errors import MidigenError

SPLITS = ("train", "val", "test")
Split = Literal["train", "val", "test"]
_ALIASES = {"validation": "val", "valid": "val", "dev": "val", "eval": "val"}


def _hash(group: str) -> int:
    return int.from_bytes(hashlib.sha256(f"split:{group}".encode()).digest())


def bucket(group: str) -> int:
    """Return the bucket of a group, 0..99."""
    return _hash(group) % 100


def named_split(record: Mapping[str, Any]) -> Split | None:
    """Return the split that the record's corpus brings, if it does. Raises for an unknown word."""
    word = record.get("meta", {}).get("split")
    if word is None:
        return None
    name = _ALIASES.get(str(word).lower(), str(word).lower())
    if name not in SPLITS:
        raise MidigenError(f"meta.split {word!r} is not one of {', '.join(SPLITS)}")
    return name  # type: ignore[return-value]


def hash_split(group: str) -> Split:
    """Return the split of a group by its bucket."""
    place = bucket(group)
    return "test" if place < 10 else "val" if place < 20 else "train"


@dataclass(frozen=True, slots=True)
class SplitRule:
    """The rule that a training run used.

    kind: ``hash`` (buckets, but for the groups that are named), ``held`` (these groups are held
    out; all others train), ``tail`` (of the single group, the last tenth validates and tests).
    """

    kind: Literal["hash", "held", "tail"] = "hash"
    val: frozenset[str] = frozenset()
    test: frozenset[str] = frozenset()

    def split(self, record: Mapping[str, Any]) -> Split:
        """Return the split of a record; `meta.split` comes first."""
        named = named_split(record)
        if named is not None:
            return named
        group = record["group"]
        if group in self.test:
            return "test"
        if group in self.val:
            return "val"
        return hash_split(group) if self.kind == "hash" else "train"

    def to_json(self) -> dict[str, Any]:
        return {
            "version": 1,
            "kind": self.kind,
            "val": sorted(self.val),
            "test": sorted(self.test),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "SplitRule":
        if data.get("version") != 1 or data.get("kind") not in ("hash", "held", "tail"):
            raise MidigenError(f"split.json holds no rule that this midigen knows: {data!r:.80}")
        return cls(data["kind"], frozenset(data["val"]), frozenset(data["test"]))


def choose_rule(groups: Iterable[str]) -> SplitRule:
    """Return the rule for a corpus without splits of its own, from its distinct groups."""
    ordered = sorted(set(groups), key=_hash)
    if not ordered:
        raise MidigenError("no pieces to split")
    if len(ordered) == 1:
        return SplitRule("tail", frozenset(ordered), frozenset(ordered))
    sizes = [sum(hash_split(group) == name for group in ordered) for name in ("val", "test")]
    if min(sizes) >= 2:
        return SplitRule()
    held = max(1, len(ordered) // 10)
    if len(ordered) == 2:
        # One must train: the other serves as both.
        return SplitRule("held", frozenset(ordered[:1]), frozenset(ordered[:1]))
    return SplitRule("held", frozenset(ordered[held : 2 * held]), frozenset(ordered[:held]))

"""Test pieces of every value of a field, where hashes alone would leave too few of some."""

import math

import numpy as np

from midigen.corpus import split_rows
from midigen.errors import MidigenError
from midigen.split import SPLITS, SplitRule
from midigen.store import NO_SPLIT, Store

LEAST = 10
"""Test groups of a value that are enough."""
SHARE = 0.15
"""Of a value's groups that is enough where it has few."""


def stratified(store: Store, rule: SplitRule, field: str) -> SplitRule:
    """Return `rule` with test groups added, so that each value of a field has `LEAST` of them.

    `SHARE` of its groups will do where that is less, and one group always trains. Those with the
    smallest hashes are taken from training; what a corpus splits by `meta.split` stays where it is.
    Raises MidigenError for a field of which no piece names a value.
    """
    if not any(store.label_sets(field).sets):
        raise MidigenError(f"--stratify {field}: no piece names a value of it")
    if rule.kind == "tail" or rule.val & rule.test:
        return rule
    rows, own_rows = store.rows, _rows_by_value(store, field)
    split, groups = split_rows(store, rule), np.asarray(rows["group"])
    train, test = (split == SPLITS.index(name) for name in ("train", "test"))
    free = train & np.asarray(rows["named"] == NO_SPLIT)
    moved = np.zeros(0, groups.dtype)
    for own in own_rows:
        whole, has = np.unique(groups[own]), np.unique(groups[own[test[own]]])
        wanted = min(LEAST, math.ceil(SHARE * len(whole)), len(whole) - 1)
        missing = wanted - len(has) - int(np.isin(moved, whole).sum())
        # In the order of their hashes, as `unique` sorts.
        choice = np.setdiff1d(np.unique(groups[own[free[own]]]), moved)
        moved = np.concatenate((moved, choice[: max(0, missing)]))
    if not len(moved):
        return rule
    names = store.groups(np.isin(groups, moved))
    return SplitRule(rule.kind, rule.val, rule.test | frozenset(names))


def _rows_by_value(store: Store, field: str) -> list[np.ndarray]:
    """Return the rows that name each value of a field, in the order of the values."""
    labels = store.label_sets(field)
    order = np.argsort(labels.place, kind="stable")
    bounds = np.searchsorted(labels.place[order], np.arange(len(labels.sets) + 1))
    found: dict[str, list[np.ndarray]] = {}
    for place, values in enumerate(labels.sets):
        for value in set(values):
            found.setdefault(value, []).append(order[bounds[place] : bounds[place + 1]])
    return [np.concatenate(found[value]) for value in sorted(found)]

"""Grammars lifted through merges: which ids of base | merges may come next.

A merged id is allowed where all of its base ids are, one behind the other. Base ids that a grammar
treats alike have one class, and merges with the same classes are one: of thousands of merges a few
hundred remain, held in a trie and walked once a state.
"""

from collections.abc import Hashable, Iterable
from functools import lru_cache
from typing import Any

import numpy as np

from midigen.protocols import Grammar

_MASK_BYTES = 64 << 20
"""Memory that remembered masks may take."""
_FEWEST_MASKS = 256


class _Node:
    """A trie over classes. `groups`: the groups of merges that end here."""

    __slots__ = ("children", "groups")

    def __init__(self) -> None:
        self.children: dict[int, _Node] = {}
        self.groups: list[int] = []


class Lifted:
    """A `midigen.protocols.Grammar` over V base ids and M merged ids behind them.

    expansions: the base ids of each merged id, in the order of the ids. A grammar may offer
    ``classes``, (V,) ints: ids of one class are allowed in the same states, and lead to the same
    state. Without it every id is its own class. One with too many states for masks to be remembered
    may offer ``runs(expansions)``: a function of a state that returns bool (M,), which of them may
    come next, or None.
    """

    def __init__(self, grammar: Grammar, expansions: Iterable[Iterable[int]] = ()) -> None:
        self.grammar = grammar
        self._base = len(grammar.mask(grammar.start()))
        self._expansions = [tuple(map(int, ids)) for ids in expansions]
        offered: Any = getattr(grammar, "runs", None)
        self._runs: Any = offered(self._expansions) if offered else None
        classes: Any = getattr(grammar, "classes", None)
        self._classes: list[int] = (
            list(range(self._base)) if classes is None else np.asarray(classes).tolist()
        )
        self._members: dict[int, list[int]] = {}
        for id, c in enumerate(self._classes):
            self._members.setdefault(c, []).append(id)
        # One id stands for each class: any will do.
        self._example = {c: ids[0] for c, ids in self._members.items()}
        self._root = _Node()
        self._group_of = self._grow()
        size = self._base + len(self._expansions)
        self.mask = lru_cache(max(_FEWEST_MASKS, _MASK_BYTES // size))(self._mask)

    def _grow(self) -> np.ndarray:
        """Build the trie; return (M,) the group of each merge."""
        groups: dict[tuple[int, ...], int] = {}
        found = []
        for ids in self._expansions:
            key = tuple(self._classes[i] for i in ids)
            if key not in groups:
                groups[key] = len(groups)
                node = self._root
                for c in key:
                    node = node.children.setdefault(c, _Node())
                node.groups.append(groups[key])
            found.append(groups[key])
        self._groups = len(groups)
        return np.array(found, dtype=np.int64)

    def start(self) -> Hashable:
        return self.grammar.start()

    def _mask(self, state: Any) -> np.ndarray:
        """Return bool (V + M,), cached and read-only: the ids that may come next."""
        base = self.grammar.mask(state)
        if not self._expansions:
            return base
        if self._runs is not None:
            merged = self._runs(state)
        else:
            allowed = np.zeros(self._groups, dtype=bool)
            self._walk(self._root, state, base, allowed)
            merged = allowed[self._group_of]
        mask = np.concatenate((base, merged))
        mask.flags.writeable = False
        return mask

    def _walk(self, node: _Node, state: Any, base: np.ndarray, allowed: np.ndarray) -> None:
        """Mark the groups below `node` that are allowed from `state`, whose base mask is `base`."""
        for c, child in node.children.items():
            example = self._example[c]
            if not base[example]:
                continue
            allowed[child.groups] = True
            if child.children:
                behind = self.grammar.step(state, example)
                self._walk(child, behind, self.grammar.mask(behind), allowed)

    def step(self, state: Any, id: int) -> Any:
        """Return the state behind `id`, which must be allowed by `mask(state)`."""
        if id < self._base:
            return self.grammar.step(state, id)
        for base_id in self._expansions[id - self._base]:
            state = self.grammar.step(state, base_id)
        return state

    def branches(self, state: Any) -> dict[Hashable, list[int]]:
        """Return the states that one base id leads to, and by which ids."""
        base = self.grammar.mask(state)
        found: dict[Hashable, list[int]] = {}
        for ids in self._members.values():
            if base[ids[0]]:
                found.setdefault(self.grammar.step(state, ids[0]), []).extend(ids)
        return found

    def accepting(self, state: Any) -> bool:
        return self.grammar.accepting(state)

    def settled(self, state: Any) -> bool:
        """Return whether no event has been begun: a prompt may end here.

        Where a piece may end, unless a grammar says otherwise: notes may sound on.
        """
        offered = getattr(self.grammar, "settled", self.grammar.accepting)
        return bool(offered(state))

    def closing(self, state: Any) -> list[int]:
        """Return the shortest base ids to an accepting state."""
        return self.grammar.closing(state)

    def distance(self, state: Any) -> int:
        """Return the length of `closing`. A grammar may offer it, where it is known sooner."""
        quick = getattr(self.grammar, "distance", None)
        return int(quick(state)) if quick else len(self.grammar.closing(state))

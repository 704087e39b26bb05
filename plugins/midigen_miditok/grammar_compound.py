"""What the grammars of events of several ids share: one slot behind another."""

from abc import ABC, abstractmethod
from collections.abc import Hashable
from functools import cached_property
from typing import Any

import numpy as np

from midigen_miditok.flatten import Flat

_KEPT = 1 << 14
"""Masks remembered."""
USUAL_BPM = 120.0


class CompoundGrammar(ABC):
    """`midigen.protocols.Grammar` over V flattened ids; states have the next slot first."""

    def __init__(self, flat: Flat) -> None:
        self.flat = flat
        self._ids = [flat.ids_in(k) for k in range(flat.width)]
        self._masks: dict[Hashable, np.ndarray] = {}

    @abstractmethod
    def start(self) -> Any: ...

    @abstractmethod
    def step(self, state: Any, id: int) -> Any:
        """Return the state behind `id`, which `mask` must allow."""

    @abstractmethod
    def accepting(self, state: Any) -> bool: ...

    @abstractmethod
    def view(self, state: Any) -> Hashable:
        """Return what the mask depends on: fewer values than there are states."""

    @abstractmethod
    def fitting(self, state: Any, ids: np.ndarray) -> np.ndarray:
        """Return bool, one for each of the `ids` of the state's slot: which may come next."""

    @abstractmethod
    def alike(self, id: int) -> Hashable:
        """Return what an id does to a state: the same for ids that are treated alike."""

    def mask(self, state: Any) -> np.ndarray:
        """Return bool (V,), cached and read-only."""
        key = self.view(state)
        found = self._masks.get(key)
        if found is None:
            if len(self._masks) >= _KEPT:
                self._masks.clear()
            found = np.zeros(len(self.flat.vocab), dtype=bool)
            ids = self._ids[state[0]]
            found[ids] = self.fitting(state, ids)
            found.flags.writeable = False
            self._masks[key] = found
        return found

    @cached_property
    def classes(self) -> np.ndarray:
        """(V,) int64. Ids of one class are allowed in the same states and lead to the same one."""
        known: dict[Hashable, int] = {}
        keys = [(int(slot), self.alike(i)) for i, slot in enumerate(self.flat.slot)]
        return np.array([known.setdefault(key, len(known)) for key in keys])

    def closing(self, state: Any) -> list[int]:
        """Return the shortest ids to an accepting state, by way of the most ordinary values."""
        ids: list[int] = []
        while not self.accepting(state):
            id = self.ordinary(state, np.flatnonzero(self.mask(state)))
            ids.append(id)
            state = self.step(state, id)
        return ids

    def ordinary(self, state: Any, ids: np.ndarray) -> int:
        """Return which of the allowed `ids` a closing takes: a usual tempo, a middle value."""
        kinds = [self.flat.types[i] for i in ids.tolist()]
        if kinds[-1] == "Tempo":
            values = self.flat.vocab.values
            bpm = np.array([float(values[i]) if values[i] != "None" else 0 for i in ids.tolist()])
            return int(ids[np.argmin(abs(bpm - USUAL_BPM))])
        return int(ids[len(ids) // 2])

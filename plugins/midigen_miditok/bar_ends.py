"""REMI with Bar_End: a token before every Bar but the first, which says nothing more.

Everything else is `midigen_remi`'s: its decoder reads the ids without these tokens, and its grammar
is driven from one that puts them in. Repairs, and what happens:

    missing bar end      the bar begins all the same
    misplaced bar end    ignored: no Bar follows, or the first
"""

from collections import Counter
from functools import cached_property
from typing import NamedTuple

import numpy as np
from midigen_remi.grammar import RemiGrammar
from midigen_remi.grammar import State as RemiState
from midigen_remi.order import Type

from midigen.vocab import Vocab

BAR_END = "Bar_End"


def without_end(vocab: Vocab) -> Vocab:
    """Return the vocabulary with a name for Bar_End that `midigen_remi` takes for no bar."""
    return Vocab("BarEnd_None" if token == BAR_END else token for token in vocab.tokens)


class BarEnds:
    """What a vocabulary of V ids with Bar_End says of bars; `inner`: `without_end` of it."""

    def __init__(self, vocab: Vocab, inner: Vocab) -> None:
        self.end = vocab.index[BAR_END]
        self._is_bar = np.array([kind == "Bar" for kind in inner.types])
        self._begins = np.array([kind in ("Bar", "Rest") for kind in inner.types])

    def strip(self, ids: np.ndarray, repairs: Counter[str]) -> np.ndarray:
        """Return N ids without Bar_End, and count those that lack or are too many."""
        ends, bars = ids == self.end, self._is_bar[ids]
        begun = np.cumsum(self._begins[ids]) - self._begins[ids] > 0
        before = np.concatenate(([False], ends[:-1]))
        after = np.concatenate(((bars & begun)[1:], [False]))
        repairs["missing bar end"] += int((bars & begun & ~before).sum())
        repairs["misplaced bar end"] += int((ends & ~after).sum())
        kept: np.ndarray = ids[~ends]
        return kept


class State(NamedTuple):
    """begun: a Bar or Rest stands before. ended: a Bar_End stands directly before."""

    inner: RemiState
    begun: bool
    ended: bool


class BarEndGrammar:
    """`midigen.protocols.Grammar` over V ids."""

    def __init__(self, inner: RemiGrammar, end: int) -> None:
        self._inner = inner
        self._end = end
        types = inner.meaning.types
        self._is_bar = types == Type.Bar
        self._begins = self._is_bar | (types == Type.Rest)
        self._masks: dict[tuple[bytes, bool, bool], np.ndarray] = {}

    def start(self) -> State:
        return State(self._inner.start(), False, False)

    def accepting(self, state: State) -> bool:
        return not state.ended and self._inner.accepting(state.inner)

    def mask(self, state: State) -> np.ndarray:
        """Return bool (V,), cached and read-only."""
        plain = self._inner.mask(state.inner)
        if not state.begun:
            return plain
        key = plain.tobytes(), state.begun, state.ended
        found = self._masks.get(key)
        if found is None:
            found = plain & (self._is_bar if state.ended else ~self._is_bar)
            found[self._end] = not state.ended and (plain & self._is_bar).any()
            found.flags.writeable = False
            self._masks[key] = found
        return found

    def step(self, state: State, id: int) -> State:
        """Return the state behind `id`, which `mask` must allow."""
        if id == self._end:
            return state._replace(ended=True)
        begun = state.begun or bool(self._begins[id])
        return State(self._inner.step(state.inner, id), begun, False)

    def closing(self, state: State) -> list[int]:
        """Return the shortest ids to an accepting state."""
        ids: list[int] = []
        if state.ended:
            ids = np.flatnonzero(self.mask(state))[:1].tolist()
            state = self.step(state, ids[0])
        for id in self._inner.closing(state.inner):
            if self._is_bar[id] and state.begun:
                ids.append(self._end)
            ids.append(id)
            state = self.step(state._replace(ended=False), id)
        return ids

    @cached_property
    def classes(self) -> np.ndarray:
        """(V,) int64. Ids of one class are allowed in the same states and lead to the same one."""
        classes = self._inner.classes.copy()
        classes[self._end] = len(classes)
        return classes

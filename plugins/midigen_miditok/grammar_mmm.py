"""The automaton of MMM: one or more tracks, each a sequence that the base's grammar takes."""

from collections.abc import Hashable
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from midigen.vocab import Vocab
from midigen_miditok.config import MidiTokConfig
from midigen_miditok.mmm_tracks import MmmTracks

_KEPT = 1 << 14
"""Masks remembered."""


class State(NamedTuple):
    """inner: the base's state within a track, None outside. ended: whether a track has ended."""

    inner: Any
    ended: bool


class MmmGrammar:
    """`midigen.protocols.Grammar` over V ids."""

    def __init__(self, config: MidiTokConfig, vocab: Vocab) -> None:
        self.tracks = MmmTracks(config, vocab)
        self.base = self.tracks.grammar
        self._ids = self.tracks.ids
        # Back from the base: where its ids lie here.
        self._here = np.full(len(self.tracks.vocab), -1)
        known = np.flatnonzero(self._ids >= 0)
        self._here[self._ids[known]] = known
        self._outside = np.arange(len(vocab)) == self.tracks.start
        self._outside.flags.writeable = False
        self._masks: dict[Hashable, np.ndarray] = {}

    def start(self) -> State:
        return State(None, False)

    def accepting(self, state: State) -> bool:
        return state.inner is None and state.ended

    def mask(self, state: State) -> np.ndarray:
        """Return bool (V,), cached and read-only."""
        if state.inner is None:
            return self._outside
        base = self.base.mask(state.inner)
        # The base remembers its masks, so that one array stands for all states that share it.
        ends = self.base.accepting(state.inner)
        key = (base.tobytes(), ends)
        found = self._masks.get(key)
        if found is None:
            if len(self._masks) >= _KEPT:
                self._masks.clear()
            found = np.where(self._ids >= 0, base[self._ids], False)
            found[self.tracks.end] = ends
            found.flags.writeable = False
            self._masks[key] = found
        return found

    def step(self, state: State, id: int) -> State:
        """Return the state behind `id`, which `mask` must allow."""
        if id == self.tracks.start:
            return State(self.base.start(), state.ended)
        if id == self.tracks.end:
            return State(None, True)
        return State(self.base.step(state.inner, int(self._ids[id])), state.ended)

    def closing(self, state: State) -> list[int]:
        """Return the shortest ids to an accepting state."""
        if self.accepting(state):
            return []
        inner = self.base.start() if state.inner is None else state.inner
        rest = [int(self._here[id]) for id in self.base.closing(inner)]
        opening = [self.tracks.start] if state.inner is None else []
        return [*opening, *rest, self.tracks.end]

    @cached_property
    def classes(self) -> np.ndarray:
        """(V,) int64. Ids of one class are allowed in the same states and lead to the same one."""
        base: Any = getattr(self.base, "classes", np.arange(len(self.tracks.vocab)))
        own = len(self.tracks.vocab) + np.arange(len(self._ids))
        return np.where(self._ids >= 0, np.asarray(base)[self._ids], own)

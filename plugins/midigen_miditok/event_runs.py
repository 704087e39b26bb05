"""Which merges may come next in MIDILike, whose states are too many to remember their masks.

What a run of ids asks for falls into two parts. Its order is that of a finite automaton, in which
any note may end at any time. And the notes that it ends, but does not begin, must sound before it.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from midigen_remi.order import UNKNOWN

from midigen.constrain import Lifted
from midigen_miditok.event_order import OFFS, PITCHES, Type

if TYPE_CHECKING:
    from midigen_miditok.event_grammar import EventGrammar, State

_KEYS = 130 << 7
"""One more than the highest `EventGrammar.key`."""


class _Need(NamedTuple):
    """What must sound before a run: a pitch of a program (UNKNOWN: of the one in force).

    other, same: how often, where the program is another than the one in force, and where it is the
    same: then notes count that the run began, or ended, before it named the program.
    """

    program: int
    pitch: int
    other: int
    same: int


class Runs:
    """A function of a state: bool (M,), which of M runs may come next."""

    def __init__(
        self, grammar: "EventGrammar", free: "EventGrammar", expansions: Sequence[Sequence[int]]
    ) -> None:
        self._grammar = grammar
        self._free = free
        self._order = Lifted(free, expansions)
        self._size = len(grammar.meaning.types)
        rows = [(place, *need) for place, ids in enumerate(expansions) for need in self._needs(ids)]
        columns = np.array(rows, dtype=np.int64).reshape(-1, 5).T
        # R needs: of which run, a `_Need`.
        self._run, self._program, self._pitch, self._other, self._same = columns

    def __call__(self, state: "State") -> np.ndarray:
        coarse = state._replace(
            program=self._free.stand_in(state.program), sounding=(), fresh=False
        )
        allowed = self._order.mask(coarse)[self._size :].copy()
        program = np.where(self._program == UNKNOWN, state.program, self._program)
        needed = np.where(program == state.program, self._same, self._other)
        if not self._grammar.options.programs:
            program[:] = 0
        sounding = np.bincount(np.array(state.sounding, dtype=np.int64), minlength=_KEYS)
        # Where no program is in force, no run that ends a note of it is in order.
        keys = np.maximum(program + 1, 0) << 7 | self._pitch
        allowed[self._run[sounding[keys] < needed]] = False
        return allowed

    def _needs(self, ids: Sequence[int]) -> Iterator[_Need]:
        """Yield what must sound before `ids`."""
        meaning = self._grammar.meaning
        program = UNKNOWN
        begun: Counter[tuple[int, int]] = Counter()
        needed: Counter[tuple[int, int]] = Counter()
        for id in ids:
            kind, value = meaning.types[id], int(meaning.value[id])
            if kind == Type.Program:
                program = value
            elif kind in PITCHES:
                begun[program, value] += 1
            elif kind in OFFS:
                if begun[program, value]:
                    begun[program, value] -= 1
                else:
                    needed[program, value] += 1
        for (program, pitch), count in needed.items():
            first = UNKNOWN, pitch
            same = count if program == UNKNOWN else needed[first] + max(0, count - begun[first])
            yield _Need(program, pitch, count, same)

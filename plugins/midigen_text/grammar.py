"""UTF-8 as a table: the Unicode Standard 16.0, chapter 3.9, table 3-7."""

from enum import IntEnum
from typing import NamedTuple

import numpy as np


class State(IntEnum):
    """What must follow. TEXT: any character may; the others: so many bytes more, of a range."""

    TEXT = 0
    ONE = 1
    TWO = 2
    THREE = 3
    E0 = 4
    ED = 5
    F0 = 6
    F4 = 7


class Step(NamedTuple):
    """Bytes low to high lead from a state to `then`."""

    state: State
    low: int
    high: int
    then: State


STEPS = (
    Step(State.TEXT, 0x00, 0x7F, State.TEXT),
    Step(State.TEXT, 0xC2, 0xDF, State.ONE),
    Step(State.TEXT, 0xE0, 0xE0, State.E0),
    Step(State.TEXT, 0xE1, 0xEC, State.TWO),
    Step(State.TEXT, 0xED, 0xED, State.ED),
    Step(State.TEXT, 0xEE, 0xEF, State.TWO),
    Step(State.TEXT, 0xF0, 0xF0, State.F0),
    Step(State.TEXT, 0xF1, 0xF3, State.THREE),
    Step(State.TEXT, 0xF4, 0xF4, State.F4),
    Step(State.ONE, 0x80, 0xBF, State.TEXT),
    Step(State.TWO, 0x80, 0xBF, State.ONE),
    Step(State.THREE, 0x80, 0xBF, State.TWO),
    Step(State.E0, 0xA0, 0xBF, State.ONE),  # below: longer than it need be
    Step(State.ED, 0x80, 0x9F, State.ONE),  # above: surrogates
    Step(State.F0, 0x90, 0xBF, State.TWO),  # below: longer than it need be
    Step(State.F4, 0x80, 0x8F, State.TWO),  # above: past U+10FFFF
)
_NONE = -1


def _table() -> np.ndarray:
    """Return (states, 256) int8: the state behind each byte, or `_NONE`."""
    table = np.full((len(State), 256), _NONE, dtype=np.int8)
    for step in STEPS:
        table[step.state, step.low : step.high + 1] = step.then
    return table


class Utf8:
    """A `midigen.protocols.Grammar`: exactly the byte sequences that are UTF-8.

    classes: (256,) ints; bytes of one class lead everywhere to the same state.
    """

    def __init__(self) -> None:
        table = _table()
        self._next: list[list[int]] = table.tolist()
        self._masks = table != _NONE
        self._masks.flags.writeable = False
        self.classes = np.unique(table.T, axis=0, return_inverse=True)[1].reshape(256)

    def start(self) -> int:
        return State.TEXT.value

    def mask(self, state: int) -> np.ndarray:
        """Return bool (256,), read-only: the bytes that may come next."""
        return self._masks[state]

    def step(self, state: int, id: int) -> int:
        """Return the state behind `id`, which must be allowed by `mask(state)`."""
        return self._next[state][id]

    def accepting(self, state: int) -> bool:
        """Return whether no character is left open."""
        return state == State.TEXT

    def closing(self, state: int) -> list[int]:
        """Return the lowest bytes that complete the open character."""
        ids = []
        while state != State.TEXT:
            id = int(self._masks[state].argmax())
            ids.append(id)
            state = self._next[state][id]
        return ids


def malformed(data: bytes) -> int:
    """Return how many maximal sequences of `data` are not UTF-8: the ``�`` that a reader sees."""
    # The lead byte EF cannot continue a character, so that each EF BF BD is a � of the text's own.
    return data.decode(errors="replace").count("\ufffd") - data.count(b"\xef\xbf\xbd")

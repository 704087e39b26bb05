"""Events of several ids on one line: K slots, each with its own vocabulary, laid end to end.

The ids of slot k follow those of slot k - 1; token strings begin with the slot's number and a dot.
"""

from collections import Counter

import numpy as np

from midigen.vocab import Vocab

_PLAIN = (
    *("Family", "Ignore", "Bar", "Position", "BarPosEnc", "PositionPosEnc", "Rest", "TimeSig"),
    *("Tempo", "Program", "Pitch", "PitchDrum", "Velocity", "Duration", "Chord"),
)
"""The types of tokens that are not special: a tokenizer.json may have any special ones."""


class Flat:
    """A flattened vocabulary of V ids.

    slot: (V,) the slot of every id. types: the type of every id, without the slot's number.
    special: (V,) bool, the special tokens. padding: (V,) bool, PAD among them.
    """

    def __init__(self, vocab: Vocab) -> None:
        self.vocab = vocab
        prefixes, self.types = zip(*(name.split(".", 1) for name in vocab.types), strict=True)
        self.slot = np.array([int(prefix) for prefix in prefixes])
        self.width = int(self.slot[-1]) + 1
        self._type = np.array(self.types)
        self.special = ~self.is_type(*_PLAIN)
        self.padding = self.is_type("PAD")

    def is_type(self, *types: str) -> np.ndarray:
        """Return bool (V,): the ids of these types."""
        return np.isin(self._type, types)

    def ids_in(self, slot: int) -> np.ndarray:
        """Return the ids of a slot."""
        return np.flatnonzero(self.slot == slot)

    def events(self, ids: np.ndarray, repairs: Counter[str]) -> np.ndarray:
        """Return (N, K) ids: the whole events of `ids` (T,).

        A run of ids that make none is dropped, as an ``incomplete event``.
        """
        width = self.width
        slot = np.concatenate((self.slot[ids], np.full(width, -1)))
        first = np.ones(len(ids), dtype=bool)
        for k in range(width):
            first &= slot[k : k + len(ids)] == k
        starts = np.flatnonzero(first)
        gaps = np.diff(np.concatenate(([0], starts, [len(ids)])))
        # Before the first event nothing is due, behind each of the others K ids.
        repairs["incomplete event"] += int((gaps[:1] > 0).sum() + (gaps[1:] > width).sum())
        events: np.ndarray = ids[starts[:, None] + np.arange(width)]
        return events

"""`miditok`: MidiTok's other tokenizers, and any `tokenizer.json` of MidiTok.

Parameters as in `midigen_miditok.config`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from midigen.errors import Reject
from midigen.protocols import Decoded, Encoded, Grammar
from midigen_miditok.config import MidiTokConfig, read_config

if TYPE_CHECKING:
    import numpy as np


class MidiTok:
    """A tokenizer (`midigen.protocols.BatchTokenizer`).

    definition: what rebuilds a tokenizer that no spec can say, plain JSON; else None.
    """

    medium: Literal["score", "text"] = "score"

    def __init__(self, **params: str) -> None:
        config = read_config(params)
        self._set_up(config, config.spec())

    def _set_up(self, config: MidiTokConfig, spec: str) -> None:
        self.spec = spec
        self.config = config
        self._tokenizer = _tokenizer_of(config)
        self.vocab = self._tokenizer.vocab
        self.unit: int = self._tokenizer.unit

    def encode(self, x: Any) -> Encoded:
        """Encode a `symusic.Score` in ticks. Raises Reject (``no_notes``, ``tokenizer``)."""
        (result,) = self.encode_many([x])
        if isinstance(result, Reject):
            raise result
        return result

    def encode_many(self, xs: Sequence[Any]) -> list[Encoded | Reject]:
        """Encode scores, in order. What `encode` would raise stands in the score's place."""
        found: list[Encoded | Reject] = self._tokenizer.encode_many(xs)
        return found

    def decode(
        self, parts: "Sequence[np.ndarray | Sequence[int]]", programs: Sequence[int] | None = None
    ) -> Decoded:
        """Decode any ids, one sequence a part, to a `symusic.Score`; count what was repaired."""
        return self._tokenizer.decode(parts, programs)

    def grammar(self) -> Grammar:
        """Return the automaton of the sequences that decode without a repair."""
        return self._tokenizer.grammar()

    def bar_starts(self, ids: "np.ndarray") -> "np.ndarray":
        """Return the indices at which bars begin, ascending."""
        return self._tokenizer.bar_starts(ids)


def _tokenizer_of(config: MidiTokConfig) -> Any:
    """Return what does the work: the same methods, without a spec."""
    if config.kind in ("TSD", "MIDILike", "Structured"):
        from midigen_miditok.event_tokenizer import EventTokenizer

        return EventTokenizer(config)
    from midigen_miditok.engine_tokenizer import EngineTokenizer

    return EngineTokenizer(config)

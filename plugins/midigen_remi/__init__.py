"""`remi`: MidiTok's REMI tokens, computed with array code; MidiTok itself for what that lacks."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from midigen.errors import Reject
from midigen.protocols import Decoded, Encoded
from midigen_remi.config import read_config
from midigen_remi.vocabulary import build_vocab

if TYPE_CHECKING:
    import numpy as np

    from midigen_remi.grammar import RemiGrammar


class Remi:
    """A tokenizer (`midigen.protocols.BatchTokenizer`); parameters as in `midigen_remi.config`."""

    medium: Literal["score", "text"] = "score"
    unit = 1

    def __init__(self, **params: str) -> None:
        self.config = read_config(params)
        self.spec = self.config.spec()
        self.vocab = build_vocab(self.config)

    def encode(self, x: Any) -> Encoded:
        """Encode a `symusic.Score` in ticks. Raises Reject (``no_notes``, ``tokenizer``)."""
        (result,) = self.encode_many([x])
        if isinstance(result, Reject):
            raise result
        return result

    def encode_many(self, xs: Sequence[Any]) -> list[Encoded | Reject]:
        """Encode scores, in order. What `encode` would raise stands in the score's place."""
        return self._encoder.encode_many(xs)

    @cached_property
    def _encoder(self) -> Any:
        from midigen_remi.encode import Encoder, is_covered

        if is_covered(self.config):
            return Encoder(self.config, self.vocab)
        from midigen_remi.engine import Engine

        return Engine(self.config)

    def decode(
        self, parts: "Sequence[np.ndarray | Sequence[int]]", programs: Sequence[int] | None = None
    ) -> Decoded:
        """Decode any ids, one sequence a part, to a `symusic.Score`; count what was repaired."""
        from midigen_remi.decode import decode

        return decode(self.config, self.vocab, parts, programs)

    def grammar(self) -> "RemiGrammar":
        """Return the automaton of the sequences that decode without a repair."""
        from midigen_remi.grammar import RemiGrammar

        return RemiGrammar(self.config, self.vocab)

    def exports(self, merges: Sequence[tuple[tuple[int, ...], tuple[int, ...]]]) -> dict[str, str]:
        """Return MidiTok's tokenizer.json, with a model's merges."""
        from midigen_remi.export import FILE, tokenizer_json

        return {FILE: tokenizer_json("REMI", self.config.miditok_arguments(), merges)}

    def bar_starts(self, ids: "np.ndarray") -> "np.ndarray":
        """Return the indices of the Bar tokens, ascending."""
        import numpy as np

        return np.flatnonzero(np.asarray(ids) == self.vocab.index["Bar_None"])

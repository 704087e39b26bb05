"""`miditok`: MidiTok's other tokenizers, and any `tokenizer.json` of MidiTok.

Parameters as in `midigen_miditok.config`.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from midigen.errors import Reject
from midigen.protocols import Decoded, Encoded, Grammar
from midigen.vocab import Vocab
from midigen_miditok.config import MidiTokConfig, read_config

if TYPE_CHECKING:
    import numpy as np


class MidiTok:
    """A tokenizer (`midigen.protocols.BatchTokenizer`).

    definition: what rebuilds a tokenizer that no spec can say, plain JSON; else None. remarks: what
    a user of its file must know.
    """

    medium: Literal["score", "text"] = "score"
    definition: dict[str, Any] | None = None
    remarks: tuple[str, ...] = ()

    def __init__(self, **params: str) -> None:
        config = read_config(params)
        self._set_up(config, config.spec(), None)

    def _set_up(
        self, config: MidiTokConfig, spec: str, vocabulary: Sequence[Sequence[str]] | None
    ) -> None:
        self.spec = spec
        self.config = config
        self._tokenizer = _tokenizer_of(config, vocabulary)
        self.vocab: Vocab = self._tokenizer.vocab
        self.unit: int = self._tokenizer.unit

    @classmethod
    def from_definition(cls, definition: Mapping[str, Any]) -> "MidiTok":
        """Return the tokenizer of a tokenizer.json of MidiTok, or of a definition made of one.

        Raises MidigenError for what is neither.
        """
        from midigen_miditok.definition import complete, config_of

        made = cls.__new__(cls)
        made.definition = whole = complete(definition)
        made._set_up(config_of(whole), "miditok:@", whole["vocabulary"])
        if "_model" in definition:
            made.remarks = ("the merges of the tokenizer.json are left out: ids are base tokens",)
        return made

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
        decoded: Decoded = self._tokenizer.decode(parts, programs)
        return decoded

    def grammar(self) -> Grammar:
        """Return the automaton of the sequences that decode without a repair."""
        grammar: Grammar = self._tokenizer.grammar()
        return grammar

    def exports(self, merges: Sequence[tuple[tuple[int, ...], tuple[int, ...]]]) -> dict[str, str]:
        """Return MidiTok's tokenizer.json, with a model's merges."""
        from midigen_remi.export import FILE, tokenizer_json

        return {FILE: tokenizer_json(self.config.kind, self.config.miditok_arguments(), merges)}

    def bar_starts(self, ids: "np.ndarray") -> "np.ndarray":
        """Return the indices at which bars begin, ascending."""
        starts: np.ndarray = self._tokenizer.bar_starts(ids)
        return starts


def _tokenizer_of(config: MidiTokConfig, vocabulary: Sequence[Sequence[str]] | None) -> Any:
    """Return what does the work: the same methods, without a spec."""
    vocab = Vocab(vocabulary[0]) if vocabulary and len(vocabulary) == 1 else None
    if config.kind in ("TSD", "MIDILike", "Structured"):
        from midigen_miditok.event_tokenizer import EventTokenizer

        return EventTokenizer(config, vocab)
    if config.kind == "REMI":
        from midigen_miditok.remi_tokenizer import RemiTokenizer

        return RemiTokenizer(config, vocab)
    from midigen_miditok.engine_tokenizer import EngineTokenizer

    return EngineTokenizer(config, vocabulary)

"""TSD, MIDILike and Structured: what `midigen_miditok.MidiTok` needs of one of them."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from midigen.errors import Reject
from midigen.protocols import Decoded, Encoded
from midigen.vocab import Vocab
from midigen_miditok.config import MidiTokConfig
from midigen_miditok.event_vocab import build_vocab

if TYPE_CHECKING:
    import numpy as np

    from midigen_miditok.event_grammar import EventGrammar
    from midigen_miditok.event_meaning import Meaning
    from midigen_miditok.event_read import Reader


class EventTokenizer:
    """Array code where that covers the configuration, else MidiTok."""

    unit = 1

    def __init__(self, config: MidiTokConfig, vocab: Vocab | None = None) -> None:
        """vocab: of a tokenizer.json; without it the one that the configuration gives."""
        self.config = config
        self.vocab = vocab or build_vocab(config.kind, config.options)

    def encode_many(self, scores: Sequence[Any]) -> list[Encoded | Reject]:
        """Encode `symusic.Score`s in ticks; a Reject stands in the place of one that cannot be."""
        found: list[Encoded | Reject] = self._encoder.encode_many(scores)
        return found

    @cached_property
    def _encoder(self) -> Any:
        from midigen_remi.encode import is_covered

        from midigen_miditok.definition import is_exact

        if is_covered(self.config.options) and is_exact(self.config):
            from midigen_miditok.fast_encode import EventEncoder

            return EventEncoder(self.config, self.vocab)
        from midigen_miditok.engine import Engine

        return Engine(self.config, self.vocab)

    def decode(
        self, parts: "Sequence[np.ndarray | Sequence[int]]", programs: Sequence[int] | None = None
    ) -> Decoded:
        """Decode any ids, one sequence a part, to a `symusic.Score`; count what was repaired."""
        decoded: Decoded = self._decoder.decode(parts, programs)
        return decoded

    @cached_property
    def _decoder(self) -> Any:
        from midigen_miditok.event_decode import Decoder, is_covered

        if is_covered(self._meaning.order):
            return Decoder(self._meaning, self._reader)
        from midigen_miditok.event_decode_miditok import MidiTokDecoder

        return MidiTokDecoder(self.config, self.grammar())

    @cached_property
    def _meaning(self) -> "Meaning":
        from midigen_miditok.event_meaning import Meaning

        return Meaning(self.config.kind, self.config.options, self.vocab)

    @cached_property
    def _reader(self) -> "Reader":
        from midigen_miditok.event_read import Reader

        return Reader(self._meaning)

    def grammar(self) -> "EventGrammar":
        """Return the automaton of the sequences that decode without a repair."""
        from midigen_miditok.event_grammar import EventGrammar

        return EventGrammar(self._meaning)

    def bar_starts(self, ids: "np.ndarray") -> "np.ndarray":
        """Return the indices of the tokens that begin a bar, ascending: 0, and shifts of time.

        Time tells where bar lines are: `midigen_miditok.event_timeline`.
        """
        import numpy as np

        return self._reader.bar_starts(np.asarray(ids, dtype=np.int64))

"""`remi` decoding through MidiTok, for the token types that the array decoder does not read.

MidiTok's decoder takes sequences that its encoder could have written. So the ids first go through
the grammar: what it does not take is repaired and counted, and what remains decodes.
"""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from midigen.protocols import Decoded
from midigen.vocab import Vocab
from midigen_remi.grammar import RemiGrammar
from midigen_remi.order import ACCEPTING, Phase, Type
from midigen_remi.values import DRUMS

if TYPE_CHECKING:
    from midigen_remi.config import RemiConfig

_SETTLED = ACCEPTING | {Phase.Start, Phase.Head, Phase.Bar, Phase.Rest}
"""Where no event has been begun."""
_LACKING = {
    Phase.Start: "before the first bar",
    Phase.Head: "before the first bar",
    Phase.Bar: "missing time signature",
}


class MidiTokDecoder:
    """Decodes with MidiTok what the grammar leaves."""

    def __init__(self, config: "RemiConfig", vocab: Vocab) -> None:
        from miditok import REMI, TokenizerConfig

        self.config = config
        self.vocab = vocab
        self.grammar = RemiGrammar(config, vocab)
        self.miditok: Any = REMI(TokenizerConfig(**config.miditok_arguments()))
        # Decoding, MidiTok drops drum notes outside the range of the other pitches, which it
        # encodes; the grammar has seen to it that all pitches are of the vocabulary.
        self.miditok.config.pitch_range = (0, 127)

    def decode(self, parts: list[np.ndarray], programs: Sequence[int] | None) -> Decoded:
        from miditok import TokSequence

        repairs: Counter[str] = Counter()
        clean = [repaired(self.grammar, ids.tolist(), repairs) for ids in parts]
        sequences = [TokSequence(ids=ids) for ids in clean]
        if self.config.one_stream:
            # Several parts of one stream are no track each: MidiTok reads one sequence.
            sequence = TokSequence(ids=[id for ids in clean for id in ids])
            return Decoded(self.miditok.decode(sequence), dict(repairs))
        if self.config.programs:
            return Decoded(self.miditok.decode(sequences), dict(repairs))
        known = list(programs) if programs is not None else [self._guess(ids) for ids in clean]
        score = self.miditok.decode(sequences, programs=[(max(p, 0), p == DRUMS) for p in known])
        return Decoded(score, dict(repairs))

    def _guess(self, ids: list[int]) -> int:
        """Return the program of a track that does not say it: drums if its pitches are, else 0."""
        return DRUMS if any(self.vocab.types[i] == Type.PitchDrum.name for i in ids) else 0


def repaired(grammar: RemiGrammar, ids: list[int], repairs: Counter[str]) -> list[int]:
    """Return `ids` as the grammar takes them; count what was dropped or put in."""
    state = grammar.start()
    kept: list[int] = []
    settled = (state, 0)
    for id in ids:
        kind = Type[grammar.vocab.types[id]] if grammar.vocab.types[id] in Type.__members__ else 0
        if kind == Type.Special:
            repairs["special token"] += 1
            continue
        if not grammar.mask(state)[id] and state.phase not in _SETTLED:
            repairs["incomplete event"] += 1
            state, length = settled
            del kept[length:]
        if not grammar.mask(state)[id] and state.phase in _LACKING:
            repairs[_LACKING[Phase(state.phase)]] += 1
            for missing in grammar.closing(state):
                kept.append(missing)
                state = grammar.step(state, missing)
        if grammar.mask(state)[id]:
            kept.append(id)
            state = grammar.step(state, id)
        else:
            repairs[f"misplaced {grammar.vocab.types[id]}"] += 1
        if state.phase in _SETTLED:
            settled = (state, len(kept))
    if state.phase not in _SETTLED:
        repairs["incomplete event"] += 1
        del kept[settled[1] :]
    elif not grammar.accepting(state) and kept:
        repairs["incomplete event"] += 1
        kept += grammar.closing(state)
    return kept

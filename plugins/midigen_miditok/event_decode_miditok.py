"""Decoding through MidiTok, for the token types that the array decoder does not read.

MidiTok's decoders take sequences that its encoders could have written. So the ids first go through
the grammar: what it does not take is dropped and counted (``special token``, ``misplaced`` with a
type, ``incomplete event``), and what remains decodes.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from midigen_remi.values import DRUMS

from midigen.protocols import Decoded
from midigen_miditok.config import MidiTokConfig
from midigen_miditok.engine import Engine
from midigen_miditok.event_decode import Parts
from midigen_miditok.event_grammar import EventGrammar, State
from midigen_miditok.event_order import ACCEPTING, Phase, Type

_SETTLED = ACCEPTING | {Phase.Start, Phase.Head, Phase.Time}
"""Where no event has been begun."""


class MidiTokDecoder:
    """Decodes with MidiTok what the grammar leaves."""

    def __init__(self, config: MidiTokConfig, grammar: EventGrammar) -> None:
        self.config = config
        self.grammar = grammar
        self.miditok: Any = Engine(config).tokenizer
        # Decoding, MidiTok drops drum notes outside the range of the other pitches, which it
        # encodes; the grammar has seen to it that all pitches are of the vocabulary.
        self.miditok.config.pitch_range = (0, 127)

    def decode(self, parts: Parts, programs: Sequence[int] | None = None) -> Decoded:
        from miditok import TokSequence

        repairs: Counter[str] = Counter()
        clean = [
            repaired(self.grammar, np.asarray(part, dtype=np.int64).tolist(), repairs)
            for part in parts
        ]
        # Strings, as the special tokens of a tokenizer.json may give other ids.
        said = [[self.grammar.meaning.vocab.tokens[id] for id in ids] for ids in clean]
        if self.config.one_stream:
            # Several parts of one stream are no track each: MidiTok reads one sequence.
            sequence = TokSequence(tokens=[token for tokens in said for token in tokens])
            return Decoded(self.miditok.decode(sequence), dict(repairs))
        sequences = [TokSequence(tokens=tokens) for tokens in said]
        if self.config.options.programs:
            return Decoded(self.miditok.decode(sequences), dict(repairs))
        known = list(programs) if programs is not None else [self._guess(ids) for ids in clean]
        score = self.miditok.decode(sequences, programs=[(max(p, 0), p == DRUMS) for p in known])
        return Decoded(score, dict(repairs))

    def _guess(self, ids: list[int]) -> int:
        """Return the program of a track that does not say it: drums if its pitches are, else 0."""
        return DRUMS if (self.grammar.meaning.types[ids] == Type.PitchDrum).any() else 0


def repaired(grammar: EventGrammar, ids: Sequence[int], repairs: Counter[str]) -> list[int]:
    """Return `ids` as the grammar takes them; count what was dropped or put in."""
    types = grammar.meaning.types.tolist()
    state = grammar.start()
    kept: list[int] = []
    whole: tuple[State, int] = (state, 0)
    for id in ids:
        kind = Type(types[id])
        if kind == Type.Special:
            repairs["special token"] += 1
            continue
        if not grammar.mask(state)[id] and state.phase not in _SETTLED:
            repairs["incomplete event"] += 1
            state = whole[0]
            del kept[whole[1] :]
        missing = [] if grammar.mask(state)[id] else _missing(grammar, state)
        for put in missing:
            repairs["missing time signature"] += 1
            state = grammar.step(state, put)
            kept.append(put)
        if not grammar.mask(state)[id]:
            repairs[f"misplaced {kind.name}"] += 1
            continue
        kept.append(id)
        state = grammar.step(state, id)
        if state.phase in _SETTLED:
            whole = (state, len(kept))
    return _finished(grammar, kept, state, whole, repairs)


def _missing(grammar: EventGrammar, state: State) -> list[int]:
    """Return the time signature that a sequence lacks at its beginning."""
    return grammar.closing(state) if state.phase == Phase.Start and grammar.options.ts else []


def _finished(
    grammar: EventGrammar,
    kept: list[int],
    state: State,
    whole: tuple[State, int],
    repairs: Counter[str],
) -> list[int]:
    """Return `kept` led to an end where a sequence may end."""
    if state.phase not in _SETTLED:
        repairs["incomplete event"] += 1
        state = whole[0]
        del kept[whole[1] :]
    if not kept or grammar.accepting(state):
        return kept
    closing = grammar.closing(state)
    repairs["note without end" if state.sounding else "time without event"] += 1
    return [*kept, *closing]

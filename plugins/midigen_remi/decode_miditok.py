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
from midigen_remi.grammar import RemiGrammar, State
from midigen_remi.miditok_import import import_miditok
from midigen_remi.order import ACCEPTING, Phase, Type
from midigen_remi.values import DRUMS

if TYPE_CHECKING:
    from midigen_remi.config import RemiConfig


class MidiTokDecoder:
    """Decodes with MidiTok what the grammar leaves."""

    def __init__(self, config: "RemiConfig", vocab: Vocab) -> None:
        miditok = import_miditok()
        self.config = config
        self.vocab = vocab
        self.grammar = RemiGrammar(config, vocab)
        self.miditok: Any = miditok.REMI(miditok.TokenizerConfig(**config.miditok_arguments()))
        # Decoding, MidiTok drops drum notes outside the range of the other pitches, which it
        # encodes; the grammar has seen to it that all pitches are of the vocabulary.
        self.miditok.config.pitch_range = (0, 127)

    def decode(self, parts: list[np.ndarray], programs: Sequence[int] | None) -> Decoded:
        TokSequence = import_miditok().TokSequence
        repairs: Counter[str] = Counter()
        clean = [repaired(self.grammar, ids.tolist(), repairs) for ids in parts]
        # Strings, as the special tokens of a tokenizer.json may give other ids.
        said = [[self.vocab.tokens[id] for id in ids] for ids in clean]
        sequences = [TokSequence(tokens=tokens) for tokens in said]
        if self.config.one_stream:
            # Several parts of one stream are no track each: MidiTok reads one sequence.
            sequence = TokSequence(tokens=[token for tokens in said for token in tokens])
            return Decoded(self.miditok.decode(sequence), dict(repairs))
        if self.config.programs:
            return Decoded(self.miditok.decode(sequences), dict(repairs))
        known = list(programs) if programs is not None else [self._guess(ids) for ids in clean]
        score = self.miditok.decode(sequences, programs=[(max(p, 0), p == DRUMS) for p in known])
        return Decoded(score, dict(repairs))

    def _guess(self, ids: list[int]) -> int:
        """Return the program of a track that does not say it: drums if its pitches are, else 0."""
        return DRUMS if any(self.vocab.types[i] == Type.PitchDrum.name for i in ids) else 0


def repaired(grammar: RemiGrammar, ids: Sequence[int], repairs: Counter[str]) -> list[int]:
    """Return `ids` as the grammar takes them; count what was dropped or put in."""
    repair = _Repair(grammar, repairs)
    for id in ids:
        repair.take(id)
    return repair.finish()


_SETTLED = ACCEPTING | {Phase.Start, Phase.Head, Phase.Bar, Phase.Rest, Phase.Position}
"""Where no event has been begun."""
_LACKING = {
    Phase.Start: "before the first bar",
    Phase.Head: "before the first bar",
    Phase.Bar: "missing time signature",
    Phase.Rest: "rest without event",
}
_TIMES = (Type.Bar, Type.TimeSig, Type.Position, Type.Rest)


class _Repair:
    """Ids that the grammar takes, in the making.

    kept: those so far, and the state behind them. whole: state and length where the last event
    ended. unplaced: the same before the last Position.
    """

    def __init__(self, grammar: RemiGrammar, repairs: Counter[str]) -> None:
        self.grammar = grammar
        self.repairs = repairs
        self.types = grammar.meaning.types.tolist()
        self.state = grammar.start()
        self.kept: list[int] = []
        self.whole = self.unplaced = (self.state, 0)

    def take(self, id: int) -> None:
        """Keep an id, or count why it cannot be kept as it stands."""
        kind = Type(self.types[id])
        if kind == Type.Special:
            self.repairs["special token"] += 1
            return
        if not self._allows(id):
            self._drop_begun()
        if not self._allows(id) and self.state.phase == Phase.Position and kind in _TIMES:
            self._drop_position()
        if not self._allows(id):
            self._put_in_before(id)
        if self._allows(id):
            self._keep(id)
        else:
            self.repairs[f"misplaced {kind.name}"] += 1

    def finish(self) -> list[int]:
        """Return the ids, led to an end where a sequence may end."""
        self._drop_begun()
        if self.state.phase == Phase.Position:
            self._drop_position()
        if self.kept and not self.grammar.accepting(self.state):
            self.repairs[_LACKING[Phase(self.state.phase)]] += 1
            self.kept += self.grammar.closing(self.state)
        return self.kept

    def _allows(self, id: int) -> bool:
        return bool(self.grammar.mask(self.state)[id])

    def _keep(self, id: int) -> None:
        if self.types[id] == Type.Position:
            self.unplaced = (self.state, len(self.kept))
        self.kept.append(id)
        self.state = self.grammar.step(self.state, id)
        if self.state.phase in _SETTLED:
            self.whole = (self.state, len(self.kept))

    def _drop_begun(self) -> None:
        if self.state.phase not in _SETTLED:
            self.repairs["incomplete event"] += 1
            self.state, length = self.whole
            del self.kept[length:]

    def _drop_position(self) -> None:
        self.repairs["position without event"] += 1
        self.state, length = self.whole = self.unplaced
        del self.kept[length:]

    def _put_in_before(self, id: int) -> None:
        """Put in what `id` lacks before it (a bar, its signature, a position), if that helps."""
        state, missing, names = self.state, list[int](), list[str]()
        while not self.grammar.mask(state)[id]:
            found, name = self._lacking(state)
            if not found:
                return
            missing += found
            names.append(name)
            for put in found:
                state = self.grammar.step(state, put)
        self.repairs.update(names)
        for put in missing:
            self._keep(put)

    def _lacking(self, state: State) -> tuple[list[int], str]:
        """Return the ids that lead a step on from `state`, and the name of that repair."""
        if state.phase in (Phase.Start, Phase.Head, Phase.Bar):
            return self.grammar.closing(state), _LACKING[Phase(state.phase)]
        if state.phase in (Phase.Open, Phase.Rest):
            allowed = np.flatnonzero(self.grammar.mask(state))
            positions = allowed[self.grammar.meaning.types[allowed] == Type.Position]
            return positions[:1].tolist(), "note without position"
        return [], ""

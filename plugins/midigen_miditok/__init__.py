"""`miditok`: MidiTok's other tokenizers, and any ``tokenizer.json`` of MidiTok.

``miditok:class=TSD,...``: parameters as in `midigen_miditok.config`, vocabularies and ids those of
MidiTok 3 for the same configuration. TSD, MIDILike and Structured are encoded by array code where
it covers the configuration, all others by MidiTok; every class is decoded, and has its grammar,
here.

| class | a sequence | one note | time |
|---|---|---|---|
| TSD | a stream of tokens | Program Pitch Velocity Duration | TimeShift |
| MIDILike | the same | Program NoteOn Velocity ... NoteOff | TimeShift |
| Structured | the same, in one order | TimeShift Program Pitch Velocity Duration | TimeShift |
| CPWord | events: note, bar, position, rest | one event | bars, positions |
| Octuple | events: notes alone | one event | bar and position of each note |
| MuMIDI | events: note, program, position, bar | one event | bars, positions, both numbered |
| MMM | tracks behind one another | as its base: REMI, TSD or MIDILike | as its base |
| PerTok | a stream of tokens | Program Pitch MicroTiming Velocity Duration | TimeShift, Bar |
| BEAT | beats, in them programs | Pitch Pattern Velocity, in each beat | Bar, Beat and four steps |

Classes whose tokens are events have one vocabulary a place of the event. These are laid end to end,
their tokens numbered by place (``0.Pitch_60``, ``3.Velocity_63``), and `unit` is the number of
places. MuMIDI's shorter events are filled up with PAD.

**What it holds**

| class | onsets | durations | velocities | programs | tempos | signatures | more, if asked for |
|---|---|---|---|---|---|---|---|
| TSD, MIDILike | grid | yes | yes | yes | yes | yes | all of `remi` |
| Structured | grid | yes | yes | yes | no | no | - |
| CPWord | grid | yes | yes | yes | yes | yes | chords, rests |
| Octuple | grid | yes | yes | yes | at notes | see below | - |
| MuMIDI | grid | yes | yes | yes | at notes | no | chords |
| MMM | grid | yes | yes | yes | of the first track | of the first | all of `remi` but controls |
| PerTok | micro | yes | yes | yes | at notes | see below | bends, controls, keys, chords |
| BEAT | sixteenths of x/4 | whole | one a beat | yes | at bars | yes | keys (at bars) |

**What it loses.** What lies between the steps of the grid `res`; velocities between the 32 of
`velocities`; tempos between the 32 of `tempos`; durations beyond the longest; notes outside `pitch`
and `drumpitch`; track names, and tracks of one program apart where they share a stream. Octuple and
MuMIDI end after `bars` bars (`meta.lossy`: ``bars``). Octuple with signatures moves what follows a
change in an empty bar. PerTok with signatures has bars of numerator x denominator / 4 quarters and
tempos and signatures where the last event was, as MidiTok has. A signature outside `ts` is named in
`meta.lossy` (``time_signature``). Where MidiTok gives one sequence a track, there is one record a
part.

Structured has one shift of time a note: a gap beyond the fine part of `res` is rounded, one beyond
its end is cut, and all that follows moves. Where no token begins bars (TSD, MIDILike, Structured),
they begin with the shifts of time that lead to them: `event_timeline`.

BEAT tells pitches by their distance downwards, so that `tokaug --shift` refuses it.

**What a repair is**: `decode_cpword`, `decode_octuple`, `decode_mumidi`, `decode_mmm`,
`decode_pertok`, `decode_beat` and `event_decode` list theirs.

**Files.** ``--tokenizer FILE.json`` takes a tokenizer.json of MidiTok: records then name
``miditok:@#fingerprint``. Its merges stay out, as ids on the wire are base ids: `toktrain --bpe`
learns its own. A model that was trained on `remi` or `miditok` has a tokenizer.json in its folder,
with which MidiTok reads and writes the model's ids, merges included; conditions are not in it.
MidiTok encodes merged ids as the model has them where both see the same bars: for REMI without
rests.

Source: MidiTok (Fradet et al., MIT), https://github.com/Natooz/MidiTok, which names the paper of
each class.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from midigen.errors import MidigenError, Reject
from midigen.protocols import Decoded, Encoded, Grammar
from midigen.vocab import Vocab
from midigen_miditok.config import MidiTokConfig, read_config

if TYPE_CHECKING:
    import numpy as np


class MidiTok:
    """A tokenizer (`midigen.protocols.BatchTokenizer`).

    definition: what rebuilds a tokenizer that no spec can say, plain JSON; else None. remarks: what
    a user of its file must know. relative: whether pitches are told by their distance from one
    another, so that `tokaug` cannot shift them.
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
        self.relative = config.kind == "BEAT"

    @classmethod
    def from_definition(cls, definition: Mapping[str, Any]) -> "MidiTok":
        """Return the tokenizer of a tokenizer.json of MidiTok, or of a definition made of one.

        Raises MidigenError for what is neither.
        """
        from midigen_miditok.definition import complete, config_of

        made = cls.__new__(cls)
        made.definition = whole = complete(definition)
        try:
            made._set_up(config_of(whole), "miditok:@", whole["vocabulary"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise MidigenError(f"defines no tokenizer of MidiTok: {reason}") from error
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

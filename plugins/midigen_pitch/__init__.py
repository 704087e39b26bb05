"""`pitch`: the pitches of a piece in the order of time, and no time: strings as LSTMs read them.

A token is what begins at one moment: a note by its name (``Note_C#4``), or a chord. Names are those
of scientific pitch notation, spelt with sharps: middle C is C4; the notes are the 88 of a piano, A0
to C8. What begins less than a twelfth of a quarter behind the first note of a chord belongs to it.
Three vocabularies:

    pitch                 a chord is its set of pitch classes, Chord_0.4.7 for C major in any
                          position. All 4,083 sets of two to twelve classes have a token. Octaves
                          of one note are the highest of them.
    pitch:chords=top      no chords: the highest note of each moment.
    pitch:@, learned      the chords that occur in your files, as pitch classes or as the pitches
                          themselves, Chord_C4.E4.G4:
                          midigen learn --tokenizer pitch:chords=sets -o my.tok.json FILES

**It holds** the order of moments, the pitch of each note that begins alone, and of what begins
together the set of pitches, the set of pitch classes, or the highest pitch.

**It loses** times, durations, rests, velocities, tempos, signatures, programs and tracks; all
drums; notes off the piano (`meta.lossy`: ``pitch``). A chord that a learned vocabulary lacks is
written as the largest part of it that has a token, the highest note at least (``chord``).

**Decoded** every token is one step of a regular grid on a piano in 4/4 at 120 quarters a minute,
every velocity 100. The parameter `step` is the length of a step: 8, an eighth, is the default; 1,
2, 3, 4, 6, 12, 16, 24 and 32 are others. Pitch classes lie close together, the lowest from C4 to
B4.

**Repairs**: none. Any ids are a piece, and bars are as many ids as a bar of 4/4 has steps.

Source: the strings of pitches that are common with music21 (``C#4``, ``4.7.11``), with the classes
of a chord in ascending order, so that each set has one name.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from midigen.errors import MidigenError, Reject
from midigen.protocols import Decoded, Encoded
from midigen_pitch.chords import Chord, all_classes
from midigen_pitch.config import Config, read_config
from midigen_pitch.lexicon import Lexicon

if TYPE_CHECKING:
    import numpy as np

    from midigen_pitch.grammar import PitchGrammar
    from midigen_pitch.learner import ChordLearner


class Pitch:
    """A `midigen.protocols.Tokenizer`; parameters as in `midigen_pitch.config`.

    definition: of a learned vocabulary, what `from_definition` takes; None of a fixed one.
    """

    medium: Literal["score", "text"] = "score"
    unit = 1
    definition: dict[str, Any] | None = None

    def __init__(self, **params: str) -> None:
        """Raises MidigenError for parameters that there are not, or that need a learned file."""
        config = read_config(params)
        if config.chords == "sets":
            raise MidigenError(
                "pitch:chords=sets has no vocabulary until one is learned: midigen learn"
                f" --tokenizer {config.spec} -o NAME.tok.json FILES, then --tokenizer NAME.tok.json"
            )
        self._build(config, config.spec, all_classes() if config.chords == "classes" else [])

    def _build(
        self, config: Config, spec: str, chords: Sequence[Chord], more: Sequence[Chord] = ()
    ) -> None:
        self.config = config
        self.spec = spec
        self._lexicon = Lexicon(config.chords, chords, more)
        self.vocab = self._lexicon.vocab

    @classmethod
    def from_definition(cls, definition: Mapping[str, Any]) -> "Pitch":
        """Return the tokenizer of a learned vocabulary. Raises MidigenError for what is none."""
        from midigen_pitch.definition import read_definition

        learned = read_definition(definition)
        made = cls.__new__(cls)
        made._build(learned.config, "pitch:@", learned.own, learned.transposed)
        made.definition = learned.to_json()
        return made

    @staticmethod
    def learner(**params: str) -> "ChordLearner":
        """Return what learns a vocabulary. Raises MidigenError where there is nothing to learn."""
        from midigen_pitch.learner import ChordLearner

        return ChordLearner(read_config(params))

    def encode(self, x: Any) -> Encoded:
        """Encode a `symusic.Score` in ticks. Raises Reject (``no_notes``)."""
        import numpy as np

        from midigen_pitch.onsets import read_onsets

        onsets = read_onsets(x, self.config.chords)
        if not onsets.chords:
            raise Reject("no_notes", "none but drums and notes off the piano")
        find, nearest = self._lexicon.find, self._lexicon.nearest
        pairs = list(zip(onsets.chords, onsets.tops, strict=True))
        ids = [find(chord, top) for chord, top in pairs]
        lossy = ["pitch"] * bool(onsets.outside) + ["chord"] * (None in ids)
        whole = [nearest(*pair) if id is None else id for id, pair in zip(ids, pairs, strict=True)]
        return Encoded([np.array(whole, np.uint32)], tuple(lossy))

    def decode(
        self, parts: "Sequence[np.ndarray | Sequence[int]]", programs: Sequence[int] | None = None
    ) -> Decoded:
        """Decode any ids, one sequence a part, to a `symusic.Score`; nothing needs a repair."""
        from midigen_pitch.decode import decode

        return Decoded(decode(self._lexicon, self.config.step, parts))

    def grammar(self) -> "PitchGrammar":
        """Return the automaton that takes every sequence but the empty one."""
        from midigen_pitch.grammar import PitchGrammar

        return PitchGrammar(len(self.vocab))

    def bar_starts(self, ids: "np.ndarray") -> "np.ndarray":
        """Return every index at which a bar of the grid begins: a bar has `step` ids."""
        import numpy as np

        return np.arange(0, len(ids), self.config.step)

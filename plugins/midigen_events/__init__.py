"""`events`: MIDI events of eight ids each, those of the tokenizer v2 of SkyTNT's midi-model.

3,406 ids: PAD, BOS, EOS, six types of events, and a block of ids for each parameter:

    note              time1 time2 track channel pitch velocity duration
    patch_change      time1 time2 track channel patch
    control_change    time1 time2 track channel controller value
    set_tempo         time1 time2 track bpm
    time_signature    time1 time2 track numerator denominator
    key_signature     time1 time2 track sf mi

with PAD up to eight. A step is a sixteenth of a beat (a quarter): time1 is beats since the event
before, time2 the step in the beat. The BOS and EOS events of the format stay off the stream.

**Parameter.** `optimise=1` (the default): channels and tracks are numbered in one way for all files
and what concerns channels without notes goes, so that equal music has equal ids: what a model
should learn from. `optimise=0`: they are the file's.

**It holds** notes on a grid of sixteenths of a beat with track, channel, pitch and velocity (1 to
127), up to 127 15/16 beats long; patches, controllers, whole tempos up to 383 beats a minute, time
signatures from 1/2 to 16/16, keys. A key that the file does not name is found from its notes.

**It loses** whatever lies between the steps: of two notes of one pitch, channel and track that
begin in the same step, the first; the rest of a note that its pitch interrupts; tempos and
controller values that differ by less than 4 from the one before; pitch bends, pressure, texts and
system exclusive messages; pedals are controllers. What is set before the first note is set at 0.
`meta.lossy` names `duration` (notes of 128 beats and more), `gap` (all that follows 128 beats
without an event), `time_signature` (one that is not in the vocabulary) and `tracks` (from the 129th
on).

**Choices** where the format's description leaves one. Optimised, channels are numbered as they are
first named in the file, by a note, a patch or a controller; a key of a track without notes is left
out if a track with notes has one, else it is on track 0; and where a track is split, the part with
the drums has no sharps if the key was found and not named. Time signatures before the first note
keep their time. Notes that nothing ends are written last of their track. A time that 128 beats or
more separate from the last event is never reached again: all that follows is left out, and a file
that begins so late has no notes.

**Bars** begin with the first event at or behind a bar line; one without events has no beginning.
`--bpe` is refused: events are of fixed size, and merges would tear them.

**Repairs**, by kind, and what happens:

    special token         ignored: BOS or EOS
    stray id              ignored: a parameter or PAD where another id should be
    incomplete event      dropped, but moves time if it says how far: a parameter is missing
    missing padding       the event counts: less PAD than up to eight ids
    silent note           dropped: velocity 0
    note without length   sounds for one step: duration 0
    tempo too slow        3 beats a minute: less does not go into a MIDI file
    late event            dropped: after 2**30 steps

A sequence may go back in time within a beat, as the format can: events say where they play.

Decoded tempos are those whose whole part is the number; tracks of a score have no channels, so
each track, channel and patch becomes one of its own.

Source: the ids are those of midi-model (https://github.com/SkyTNT/midi-model, Apache-2.0), after a
description of its format and by its output; none of its code is used.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from midigen.errors import MidigenError, Reject
from midigen.protocols import Decoded, Encoded
from midigen.spec import format_spec
from midigen_events.vocabulary import UNIT, build_vocab

if TYPE_CHECKING:
    import numpy as np

    from midigen_events.grammar import EventsGrammar


class Events:
    """A tokenizer (`midigen.protocols.MidiTokenizer`); the parameter is described above."""

    medium: Literal["score", "text"] = "score"
    unit = UNIT

    def __init__(self, **params: str) -> None:
        """Raises MidigenError for a parameter that is not known, or a value that cannot be."""
        for key, value in params.items():
            if key != "optimise":
                raise MidigenError(f"events has no parameter {key!r}; known: optimise")
            if value not in ("0", "1"):
                raise MidigenError(f"events: optimise={value} is not 0 or 1")
        self._optimise = params.get("optimise") != "0"
        self.spec = format_spec("events", {} if self._optimise else {"optimise": "0"})
        self.vocab = build_vocab()

    def encode(self, x: Any) -> Encoded:
        """Encode a `symusic.Score` in ticks, as the MIDI file that it makes. Raises Reject.

        Not by its `dumps_midi`: that lets tracks of different programs share a channel if there are
        more than 15.
        """
        from midigen.midi import midi_bytes

        (result,) = self.encode_midi_many([midi_bytes(x, x.ticks_per_quarter)])
        if isinstance(result, Reject):
            raise result
        return result

    def encode_midi_many(self, files: Sequence[bytes]) -> list[Encoded | Reject]:
        """Encode Standard MIDI Files, in order.

        In the place of one that cannot be read, or has no notes, stands a Reject.
        """
        from midigen_events.encode import encode_many

        return encode_many(files, self._optimise)

    def decode(
        self, parts: "Sequence[np.ndarray | Sequence[int]]", programs: Sequence[int] | None = None
    ) -> Decoded:
        """Decode any ids to a `symusic.Score`; count what was repaired. `programs` is not used."""
        from midigen_events.decode import decode

        return decode(parts)

    @cached_property
    def _grammar(self) -> "EventsGrammar":
        from midigen_events.grammar import EventsGrammar

        return EventsGrammar()

    def grammar(self) -> "EventsGrammar":
        """Return the automaton of the sequences that decode without a repair."""
        return self._grammar

    def bar_starts(self, ids: "np.ndarray") -> "np.ndarray":
        """Return where the first events at or behind bar lines begin; none for a bar without."""
        import numpy as np

        from midigen_events.rows import bar_starts

        return bar_starts(np.asarray(ids, dtype=np.int64))

    def carry(self, past: Sequence[int], ids: Sequence[int], most: int) -> list[int]:
        """Return `ids` behind what `past` left in force, in at most `most` ids.

        Time signature, tempo and the patches of channels that play in `ids`.
        """
        import numpy as np

        from midigen_events.rows import in_force

        rows = in_force(*(np.asarray(part, dtype=np.int64) for part in (past, ids)))
        return [*rows[: most // UNIT].ravel().tolist(), *ids]

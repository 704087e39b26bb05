"""The order in which `remi` tokens may stand: one table for the grammar and the decoder.

A phase is what the tokens so far leave open. Which token types a phase takes is a table over the
configuration; what the table cannot know (positions inside the bar, the kind of a program) is
checked by those who read it.
"""

from collections.abc import Iterable
from enum import IntEnum
from functools import cached_property
from typing import TYPE_CHECKING

from midigen_remi.values import DRUMS

if TYPE_CHECKING:
    from midigen_remi.config import RemiConfig


class Type(IntEnum):
    """Token types, named as in the vocabulary; every special token is a Special."""

    Special = 0
    Bar = 1
    TimeSig = 2
    Position = 3
    Rest = 4
    Tempo = 5
    KeySig = 6
    Program = 7
    Pitch = 8
    PitchDrum = 9
    PitchIntervalTime = 10
    PitchIntervalChord = 11
    Velocity = 12
    Duration = 13
    Chord = 14
    Pedal = 15
    PedalOff = 16
    PitchBend = 17
    ControlChange = 18


class Phase(IntEnum):
    """What stands before the next token."""

    Start = 0  # nothing
    Head = 1  # the Program of a sequence that holds one track
    Bar = 2  # a Bar that needs its TimeSig
    Open = 3  # the beginning of a bar
    Position = 4
    Rest = 5
    Tempo = 6
    KeySig = 7
    Program = 8
    Pitch = 9  # a pitch that needs its Velocity
    Length = 10  # a pitch or velocity that needs its Duration
    Maybe = 11  # the same, where the program is not known and may have no durations
    Pedal = 12  # a pedal that needs its Duration
    End = 13  # a whole note or other event
    Lost = 14  # a special token: it means nothing, whatever follows


UNKNOWN = -3
"""Instead of a program: the tokens do not say which."""
MELODIC = -2
"""Instead of a program: one of 0..127."""
PITCHES = (Type.Pitch, Type.PitchDrum, Type.PitchIntervalTime, Type.PitchIntervalChord)
INTERVALS = PITCHES[2:]
PLAYED = (Type.PitchBend, Type.ControlChange, Type.Chord)
"""Events other than notes that belong to a program."""
ACCEPTING = frozenset({Phase.Open, Phase.Tempo, Phase.KeySig, Phase.Maybe, Phase.End})
"""Where a piece may end."""
FAST = frozenset(
    {
        *(Type.Special, Type.Bar, Type.TimeSig, Type.Position, Type.Rest, Type.Tempo, Type.Program),
        *(Type.Pitch, Type.PitchDrum, Type.Velocity, Type.Duration),
    }
)
"""The types that the array decoder reads."""


class Order:
    """The table of a configuration."""

    def __init__(self, config: "RemiConfig", types: Iterable[Type]) -> None:
        self.config = config
        self.present = frozenset(types)

    def _some(self, *types: Type) -> set[Type]:
        return set(self.present.intersection(types))

    @property
    def _notes(self) -> set[Type]:
        """What begins a note: its Program, or a pitch, before which a Program may change."""
        if self.config.program_before_notes:
            return self._some(Type.Program)
        changes = (Type.Program,) if self.config.one_stream else ()
        return self._some(*PITCHES, *PLAYED, *changes)

    @cached_property
    def follow(self) -> dict[Phase, frozenset[Type]]:
        """The types that each phase takes, in the order that MidiTok writes."""
        config = self.config
        events = self._notes | self._some(Type.Pedal, Type.PedalOff)
        times = self._some(Type.Position, Type.Bar, Type.Rest)
        # A sequence begins with its first bar; only where nothing stands at tick 0, neither a time
        # signature nor a tempo, MidiTok begins with a rest and writes no Bar until it is over.
        first = self._some(Type.Bar) | (set() if config.ts else self._some(Type.Rest))
        head = self._some(Type.Program) if config.changes and not config.one_stream else set()
        whole = events | times
        return {
            phase: frozenset(types)
            for phase, types in {
                Phase.Start: head or first,
                Phase.Head: first,
                Phase.Bar: self._some(Type.TimeSig),
                Phase.Open: times,
                Phase.Position: events | self._some(Type.Tempo, Type.KeySig),
                Phase.Rest: times | self._some(Type.TimeSig),
                Phase.Tempo: whole | self._some(Type.KeySig),
                Phase.KeySig: whole,
                Phase.Program: self._some(*PITCHES, *PLAYED),
                Phase.Pitch: self._some(Type.Velocity),
                Phase.Length: self._some(Type.Duration),
                Phase.Maybe: whole | self._some(Type.Duration),
                Phase.Pedal: self._some(Type.Duration),
                Phase.End: whole,
                Phase.Lost: self.present,
            }.items()
        }

    def length(self, program: int) -> Phase:
        """Return the phase behind a note's velocity (or its pitch, where there is none).

        program: -1..127, MELODIC or UNKNOWN.
        """
        choices = {UNKNOWN: range(-1, 128), MELODIC: range(128)}.get(program, (program,))
        found = {p in self._with_length for p in choices}
        return Phase.Maybe if len(found) > 1 else Phase.Length if True in found else Phase.End

    @cached_property
    def _with_length(self) -> frozenset[int]:
        return frozenset(self.config.durations)

    def after(self, kind: Type, before: Phase, program: int) -> Phase:
        """Return the phase behind a token of type `kind`; `program` as for `length`."""
        if kind in PITCHES:
            return Phase.Pitch if Type.Velocity in self.present else self.length(program)
        if kind == Type.Velocity:
            return self.length(program)
        if kind == Type.Program and before == Phase.Start:
            return Phase.Head
        return self._after[kind]

    @cached_property
    def _after(self) -> dict[Type, Phase]:
        """The phase behind every type whose phase does not hang on the note's program."""
        table = dict.fromkeys(Type, Phase.End) | {
            Type.Special: Phase.Lost,
            Type.Bar: Phase.Bar if self.config.ts else Phase.Open,
            Type.TimeSig: Phase.Open,
            Type.Position: Phase.Position,
            Type.Rest: Phase.Rest,
            Type.Tempo: Phase.Tempo,
            Type.KeySig: Phase.KeySig,
            Type.Program: Phase.Program,
        }
        if self.config.pedals == "duration":
            table[Type.Pedal] = Phase.Pedal
        return table

    def plays(self, program: int, kind: Type) -> bool:
        """Return whether a program may play pitches of type `kind`."""
        if program == UNKNOWN or not self.config.drums:
            return True
        return (kind == Type.PitchDrum) == (program == DRUMS)

    def heard(self, program: int, kind: Type) -> int:
        """Return what is known of the program behind a pitch of type `kind`."""
        if program != UNKNOWN or not self.config.drums:
            return program
        return DRUMS if kind == Type.PitchDrum else MELODIC

"""The order in which tokens of TSD, MIDILike and Structured may stand: one table for all readers.

A phase is what the tokens so far leave open. Whole events may follow one another in any order:
MidiTok drops what is left of a gap that no TimeShift is short enough for, so even a change of time
signature can come right behind a note.
"""

from collections.abc import Iterable
from enum import IntEnum
from functools import cached_property

from midigen_remi.config import RemiConfig
from midigen_remi.order import MELODIC, UNKNOWN
from midigen_remi.values import DRUMS


class Type(IntEnum):
    """Token types, named as in TSD's vocabulary; every special token is a Special."""

    Special = 0
    Tempo = 1
    TimeShift = 2
    Rest = 3
    KeySig = 4
    TimeSig = 5
    Program = 6
    Pitch = 7
    PitchDrum = 8
    PitchIntervalTime = 9
    PitchIntervalChord = 10
    NoteOff = 11
    DrumOff = 12
    Velocity = 13
    Duration = 14
    Chord = 15
    Pedal = 16
    PedalOff = 17
    PitchBend = 18
    ControlChange = 19


NAMES = {kind.name: kind for kind in Type} | {"NoteOn": Type.Pitch, "DrumOn": Type.PitchDrum}
"""The types by the names of all three classes."""


class Phase(IntEnum):
    """What stands before the next token."""

    Start = 0  # nothing
    Head = 1  # the Program of a sequence that holds one track
    Time = 2  # time has moved on, and nothing has happened then
    Program = 3
    Pitch = 4  # a pitch that needs its Velocity
    Length = 5  # a pitch or velocity that needs its Duration
    Maybe = 6  # the same, where the program is not known and may have no durations
    Pedal = 7  # a pedal that needs its Duration
    End = 8  # a whole note or other event
    Lost = 9  # a special token: it means nothing, whatever follows


PITCHES = (Type.Pitch, Type.PitchDrum, Type.PitchIntervalTime, Type.PitchIntervalChord)
INTERVALS = PITCHES[2:]
OFFS = (Type.NoteOff, Type.DrumOff)
TIMES = (Type.TimeShift, Type.Rest)
GLOBALS = (Type.TimeSig, Type.Tempo, Type.KeySig)
PLAYED = (Type.PitchBend, Type.ControlChange, Type.Chord)
"""Events other than notes that belong to a program."""
ACCEPTING = frozenset({Phase.Maybe, Phase.End})
"""Where a piece may end."""
FAST = frozenset(
    {
        *(Type.Special, Type.TimeSig, Type.Tempo, Type.Program, Type.Velocity, Type.Duration),
        *(Type.Pitch, Type.PitchDrum, *OFFS, *TIMES),
    }
)
"""The types that the array decoder reads."""


class Order:
    """The table of a class and its parameters."""

    def __init__(self, kind: str, options: RemiConfig, types: Iterable[Type]) -> None:
        self.kind = kind
        self.options = options
        self.present = frozenset(types)

    def _some(self, *types: Type) -> set[Type]:
        return set(self.present.intersection(types))

    @cached_property
    def _begins(self) -> set[Type]:
        """What begins a note, or its end: its Program, or a pitch, before which it may change."""
        if self.options.program_before_notes:
            return self._some(Type.Program)
        changes = (Type.Program,) if self.options.one_stream else ()
        return self._some(*self._sounding, *changes)

    @cached_property
    def _sounding(self) -> tuple[Type, ...]:
        """What may stand behind a Program. (DrumOff is there even where no note has an end.)"""
        return (*PITCHES, *PLAYED, *(OFFS if self.options.durations else ()))

    @cached_property
    def follow(self) -> dict[Phase, frozenset[Type]]:
        """The types that each phase takes."""
        options = self.options
        whole = self._begins | self._some(*TIMES, *GLOBALS, Type.Pedal, Type.PedalOff)
        first = self._some(Type.TimeSig) if options.ts else whole
        moved = whole
        if self.kind == "Structured":
            first = whole = self._some(Type.TimeShift)
            moved = self._begins
        head = self._some(Type.Program) if options.changes and not options.one_stream else set()
        return {
            phase: frozenset(types)
            for phase, types in {
                Phase.Start: head or first,
                Phase.Head: first,
                Phase.Time: moved,
                Phase.Program: self._some(*self._sounding),
                Phase.Pitch: self._some(Type.Velocity),
                Phase.Length: self._some(Type.Duration),
                Phase.Maybe: whole | self._some(Type.Duration),
                Phase.Pedal: self._some(Type.Duration),
                Phase.End: whole,
                Phase.Lost: self.present,
            }.items()
        }

    def has_length(self, program: int) -> bool | None:
        """Return whether notes of a program say how long they are; None where that is not known.

        program: -1..127, MELODIC or UNKNOWN.
        """
        return self._lengths[program]

    @cached_property
    def _lengths(self) -> dict[int, bool | None]:
        found: dict[int, bool | None] = {p: p in self.options.durations for p in range(-1, 128)}
        for unknown, first in ((UNKNOWN, -1), (MELODIC, 0)):
            choices = {found[p] for p in range(first, 128)}
            found[unknown] = None if len(choices) > 1 else choices.pop()
        return found

    def length(self, program: int) -> Phase:
        """Return the phase behind a note's velocity (or its pitch, where there is none)."""
        if self.kind == "MIDILike":
            return Phase.End
        return {True: Phase.Length, False: Phase.End, None: Phase.Maybe}[self.has_length(program)]

    def after(self, kind: Type, before: Phase, program: int) -> Phase:
        """Return the phase behind a token of type `kind`; `program` as for `has_length`."""
        if kind in PITCHES:
            return Phase.Pitch if Type.Velocity in self.present else self.length(program)
        if kind == Type.Velocity:
            return self.length(program)
        if kind == Type.Program and before == Phase.Start and self.options.changes:
            return Phase.Program if self.options.one_stream else Phase.Head
        return self._after[kind]

    @cached_property
    def _after(self) -> dict[Type, Phase]:
        """The phase behind every type whose phase does not hang on the note's program."""
        table = dict.fromkeys(Type, Phase.End) | {
            Type.Special: Phase.Lost,
            Type.TimeShift: Phase.Time,
            Type.Rest: Phase.Time,
            Type.Program: Phase.Program,
        }
        if self.options.pedals == "duration":
            table[Type.Pedal] = Phase.Pedal
        return table

    def plays(self, program: int, kind: Type) -> bool:
        """Return whether a program may play, or end, pitches of type `kind`."""
        if program == UNKNOWN or not self.options.drums:
            return True
        return (kind in (Type.PitchDrum, Type.DrumOff)) == (program == DRUMS)

    def heard(self, program: int, kind: Type) -> int:
        """Return what is known of the program behind a pitch of type `kind`."""
        if program != UNKNOWN or not self.options.drums:
            return program
        return DRUMS if kind == Type.PitchDrum else MELODIC

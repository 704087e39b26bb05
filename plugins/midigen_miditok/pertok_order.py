"""The order in which PerTok's tokens may stand: one table for the grammar and the decoder.

A phase is what the tokens so far leave open, as in `midigen_remi.order`.
"""

from enum import IntEnum
from functools import cached_property

from midigen_remi.order import MELODIC, UNKNOWN, Order
from midigen_remi.order import Phase as RemiPhase
from midigen_remi.order import Type as RemiType
from midigen_remi.values import DRUMS

from midigen.vocab import Vocab
from midigen_miditok.config import MidiTokConfig


class Type(IntEnum):
    """Token types, named as in the vocabulary; every special token is a Special."""

    Special = 0
    Bar = 1
    TimeShift = 2
    Position = 3
    Tempo = 4
    TimeSig = 5
    KeySig = 6
    Program = 7
    Pitch = 8
    PitchDrum = 9
    Chord = 10
    PitchBend = 11
    ControlChange = 12
    MicroTiming = 13
    Velocity = 14
    Duration = 15


class Phase(IntEnum):
    """What stands before the next token."""

    Start = 0  # nothing
    Open = 1  # all that has been begun is whole
    Moved = 2  # a shift or position, which needs its event
    Program = 3  # a program that needs its microtiming
    Named = 4  # a program that needs its event
    NamedMoved = 5  # the same, and time has moved once more
    Pitch = 6  # a pitch that needs its microtiming
    Timed = 7  # a pitch that needs its velocity
    Length = 8  # a pitch or velocity that needs its duration
    Maybe = 9  # the same, where the program is not known and may have no durations
    Event = 10  # a chord, bend or control that needs its microtiming


ACCEPTING = frozenset({Phase.Open, Phase.Maybe})
PITCHES = (Type.Pitch, Type.PitchDrum)
PLAYED = (Type.Chord, Type.PitchBend, Type.ControlChange)
MOVES = (Type.TimeShift, Type.Position)
GLOBAL = (Type.Tempo, Type.TimeSig, Type.KeySig)


class PerTokOrder:
    """The table of a configuration.

    types: the type of every id. has_head: whether a sequence begins with its one program.
    """

    def __init__(self, config: MidiTokConfig, vocab: Vocab) -> None:
        options = config.options
        self.options = options
        self.types = [Type[n] if n in Type.__members__ else Type.Special for n in vocab.types]
        self.present = frozenset(self.types)
        self.has_head = options.changes and not options.one_stream
        known = [RemiType[n] if n in RemiType.__members__ else 0 for n in vocab.types]
        self._shared = Order(options, map(RemiType, known))
        self._micro = Type.MicroTiming in self.present

    def _some(self, *types: Type) -> frozenset[Type]:
        return self.present.intersection(types)

    @cached_property
    def follow(self) -> dict[Phase, frozenset[Type]]:
        """The types that each phase takes, in the order that MidiTok writes."""
        played = self._some(*PITCHES, *PLAYED)
        named = self._some(Type.Program) if self.options.program_in_notes else frozenset()
        events = named if self.options.program_before_notes else named | played
        moves, length = self._some(*MOVES), self._some(Type.Duration)
        whole = events | moves | self._some(Type.Bar, *GLOBAL)
        micro = self._some(Type.MicroTiming)
        return {
            Phase.Start: self._some(Type.Program) if self.has_head else whole,
            Phase.Open: whole,
            Phase.Moved: events,
            Phase.Program: micro,
            # Time that is longer than any token moves twice, once more behind the program.
            Phase.Named: played | moves,
            Phase.NamedMoved: played,
            Phase.Pitch: micro,
            Phase.Timed: self._some(Type.Velocity),
            Phase.Length: length,
            Phase.Maybe: whole | length,
            Phase.Event: micro,
        }

    def after(self, kind: Type, before: Phase, program: int) -> Phase:
        """Return the phase behind a token that `before` takes.

        program: -1..127, MELODIC or UNKNOWN.
        """
        if kind in PITCHES:
            return Phase.Pitch if self._micro else self._timed(program)
        if kind in PLAYED:
            return Phase.Event if self._micro else Phase.Open
        if kind == Type.Program:
            if before == Phase.Start and self.has_head:
                return Phase.Open
            return Phase.Program if self._micro else Phase.Named
        if kind in MOVES:
            return Phase.NamedMoved if before == Phase.Named else Phase.Moved
        if kind == Type.MicroTiming and before == Phase.Pitch:
            return self._timed(program)
        if kind == Type.MicroTiming and before == Phase.Program:
            return Phase.Named
        return self._length(program) if kind == Type.Velocity else Phase.Open

    def _timed(self, program: int) -> Phase:
        """Return the phase behind a pitch and its microtiming."""
        return Phase.Timed if Type.Velocity in self.present else self._length(program)

    def _length(self, program: int) -> Phase:
        """Return the phase behind all of a note but its duration."""
        phases = {RemiPhase.Length: Phase.Length, RemiPhase.Maybe: Phase.Maybe}
        return phases.get(self._shared.length(program), Phase.Open)

    def plays(self, program: int, kind: Type) -> bool:
        """Return whether a program may play pitches of a type."""
        return self._shared.plays(program, RemiType[kind.name])

    def heard(self, program: int, kind: Type) -> int:
        """Return what is known of the program behind a pitch of a type."""
        if program != UNKNOWN or not self.options.drums:
            return program
        return DRUMS if kind == Type.PitchDrum else MELODIC

"""The order in which BEAT's tokens may stand, for its grammar and its decoder."""

from enum import IntEnum
from functools import cached_property

import numpy as np

from midigen.vocab import Vocab


class Type(IntEnum):
    """Token types, named as in the vocabulary; every special token is a Special."""

    Special = 0
    Bar = 1
    TimeSig = 2
    Tempo = 3
    KeySig = 4
    Beat = 5
    Rest = 6
    Program = 7
    Pitch = 8
    PitchDrum = 9
    Pattern = 10
    Velocity = 11


class Phase(IntEnum):
    """What stands before the next token."""

    Start = 0  # nothing
    Bar = 1  # a bar that needs its beats
    TimeSig = 2
    Tempo = 3
    KeySig = 4
    Beat = 5  # a beat that needs its notes or a rest
    Empty = 6  # a beat in which nothing sounds
    Program = 7  # a program that needs its notes or a rest
    Silent = 8  # a program that does not sound in this beat
    Pitch = 9  # a pitch that needs its pattern
    Pattern = 10  # a pattern that needs its velocity
    Note = 11  # a whole note


ACCEPTING = frozenset({Phase.Empty, Phase.Silent, Phase.Note})
PITCHES = (Type.Pitch, Type.PitchDrum)
STEPS = (27, 9, 3, 1)
"""What the digits of a pattern are worth: 0 silence, 1 a note begins, 2 it sounds on."""


def digits(pattern: int) -> list[int]:
    """Return what a pattern says of each of the four steps of a beat."""
    return [pattern // worth % 3 for worth in STEPS]


def fits(pattern: int, held: bool) -> bool:
    """Return whether a pattern says something, and lets sound on only what has begun.

    held: whether the pitch sounds at the end of the beat before.
    """
    sounding = held
    for digit in digits(pattern):
        if digit == 2 and not sounding:
            return False
        sounding = digit > 0
    return pattern > 0


class BeatOrder:
    """The table of a vocabulary.

    types: the type of every id. fitting: (81,) which patterns may stand where the pitch is held
    from the beat before (True) and where not.
    """

    def __init__(self, vocab: Vocab) -> None:
        self.types = [Type[n] if n in Type.__members__ else Type.Special for n in vocab.types]
        self.present = frozenset(self.types)
        choices = (False, True)
        self.fitting = {held: np.array([fits(p, held) for p in range(81)]) for held in choices}

    def _some(self, *types: Type) -> frozenset[Type]:
        return self.present.intersection(types)

    @cached_property
    def follow(self) -> dict[Phase, frozenset[Type]]:
        """The types that each phase takes, in the order that MidiTok writes."""
        keys = self._some(Type.KeySig, Type.Beat)
        tempos = keys | self._some(Type.Tempo)
        pitches, following = self._some(*PITCHES), self._some(Type.Bar, Type.Beat)
        velocity = self._some(Type.Velocity)
        note = pitches | following | self._some(Type.Program)
        return {
            Phase.Start: self._some(Type.Bar),
            Phase.Bar: tempos | self._some(Type.TimeSig),
            Phase.TimeSig: tempos,
            Phase.Tempo: tempos,
            Phase.KeySig: keys,
            Phase.Beat: self._some(Type.Rest, Type.Program),
            Phase.Empty: following,
            Phase.Program: pitches | self._some(Type.Rest),
            Phase.Silent: following | self._some(Type.Program),
            Phase.Pitch: self._some(Type.Pattern),
            Phase.Pattern: velocity,
            Phase.Note: note,
        }

    def after(self, kind: Type, before: Phase) -> Phase:
        """Return the phase behind a token."""
        if kind in PITCHES:
            return Phase.Pitch
        if kind == Type.Rest:
            return Phase.Silent if before == Phase.Program else Phase.Empty
        if kind == Type.Pattern:
            return Phase.Pattern if Type.Velocity in self.present else Phase.Note
        return Phase.Note if kind == Type.Velocity else Phase[kind.name]

"""What the tokens of a sequence say, as arrays: programs, whole notes, time. For any ids."""

from typing import NamedTuple

import numpy as np
from midigen_remi.order import MELODIC, UNKNOWN
from midigen_remi.timeline import last_index
from midigen_remi.values import DRUMS

from midigen_miditok import event_timeline
from midigen_miditok.event_meaning import Meaning
from midigen_miditok.event_order import Phase, Type


class Reading(NamedTuple):
    """One sequence of N ids.

    kinds: (N,) of `Type`. signature: (N,) the place of the one in force. program: (N,) what is
    known of it: a program, MELODIC, UNKNOWN. tick: (N,) as `event_timeline.ticks`. notes: (M,)
    the places of pitches that have all that a note needs. length: (M,) their ticks, as their own
    tokens say them.
    """

    ids: np.ndarray
    kinds: np.ndarray
    signature: np.ndarray
    program: np.ndarray
    tick: np.ndarray
    notes: np.ndarray
    length: np.ndarray


class Reader:
    """Reads sequences of one vocabulary."""

    def __init__(self, meaning: Meaning) -> None:
        self.meaning = meaning
        self.has_velocity = Type.Velocity in meaning.order.present
        self._has_program = Type.Program in meaning.order.present
        # What stands behind a pitch (or its velocity): (programs from UNKNOWN on,) of `Phase`.
        self._behind = np.array([meaning.order.length(p) for p in range(UNKNOWN, 128)])

    def read(self, ids: np.ndarray) -> Reading:
        """Read ids (N,)."""
        kinds = self.meaning.types[ids]
        signature = event_timeline.signatures(self.meaning, ids, kinds)
        program = self._programs(ids, kinds)
        notes, length = self._whole_notes(ids, kinds, signature, program)
        sounds = np.full(len(ids), -1, dtype=np.int64)
        sounds[notes] = length
        tick = event_timeline.ticks(self.meaning, ids, kinds, signature, sounds)
        return Reading(ids, kinds, signature, program, tick, notes, length)

    def bar_starts(self, ids: np.ndarray) -> np.ndarray:
        """Return the indices of `event_timeline.bar_starts`."""
        if not len(ids):
            return np.empty(0, dtype=np.int64)
        if not event_timeline.is_steady(self.meaning):
            found = self.read(ids)
            return event_timeline.bar_starts(self.meaning, ids, found.signature, found.tick)
        signature = event_timeline.signatures(self.meaning, ids, self.meaning.types[ids])
        tick = np.cumsum(event_timeline.moves(self.meaning, ids, signature))
        return event_timeline.bar_starts(self.meaning, ids, signature, tick)

    def _programs(self, ids: np.ndarray, kinds: np.ndarray) -> np.ndarray:
        if self._has_program:
            last = last_index(kinds == Type.Program)
            return np.where(last >= 0, self.meaning.value[ids[last]], UNKNOWN)
        known = np.full(len(ids), UNKNOWN)
        pitches = np.flatnonzero(self.meaning.is_pitch[ids])
        if len(pitches) and self.meaning.order.options.drums:
            drums = kinds[pitches[0]] == Type.PitchDrum
            known[pitches[0] :] = DRUMS if drums else MELODIC
        return known

    def _whole_notes(
        self, ids: np.ndarray, kinds: np.ndarray, signature: np.ndarray, program: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return (M,) places of pitches with all that a note needs, and their lengths."""
        # Two silent tokens behind the end, so that what should follow a pitch can be looked at.
        beyond = np.append(kinds, [Type.Special, Type.Special])
        places = np.flatnonzero(self.meaning.is_pitch[ids])
        behind = places + 1
        if self.has_velocity:
            whole = beyond[behind] == Type.Velocity
            places, behind = places[whole], behind[whole] + 1
        phase = self._behind[program[places] - UNKNOWN]
        given = (beyond[behind] == Type.Duration) & (phase != Phase.End)
        whole = given | (phase != Phase.Length)
        places, behind, given = places[whole], behind[whole], given[whole]
        lengths = self.meaning.default_length[signature[places]]
        lengths[given] = self.meaning.length[signature[places[given]], ids[behind[given]]]
        return places, lengths

"""What the decoders of events of several ids share: from events to a score."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import symusic
from midigen_remi.decode import Notes, by_program, track
from midigen_remi.meaning import Meaning
from midigen_remi.order import MELODIC
from midigen_remi.values import DRUMS

from midigen.protocols import Decoded
from midigen_miditok.config import MidiTokConfig
from midigen_miditok.flatten import Flat

Changes = list[tuple[int, int]]
"""Ticks, and what holds from there: microseconds a quarter, or a place in the signatures."""


class Sequenced(NamedTuple):
    """One sequence, read: its notes (program MELODIC where none is named) and global changes."""

    notes: Notes
    tempos: Changes
    signatures: Changes


def drop_special(flat: Flat, events: np.ndarray, repairs: Counter[str]) -> np.ndarray:
    """Return the events (N, K) without those that have a special token, and count these."""
    special = flat.special[events].any(axis=1)
    repairs["special token"] += int(special.sum())
    kept: np.ndarray = events[~special]
    return kept


class CompoundDecoder(ABC):
    """Decodes one class; `names`: the type that each slot holds, `bar`: (V,) the number of a Bar.

    The score's grid is that of MidiTok's `decode`.
    """

    def __init__(self, config: MidiTokConfig, flat: Flat) -> None:
        self.config = config
        self.options = config.options
        self.flat = flat
        self.meaning = Meaning(config.options, flat.vocab)
        # The last id of a slot is of the type that it is there for.
        self.names = [_slot_name(flat.types[flat.ids_in(k)[-1]]) for k in range(flat.width)]
        numbers = [v if t.startswith("Bar") and v != "None" else "0" for t, v in self._tokens()]
        self.bar = np.array([int(number) if number.isdecimal() else 0 for number in numbers])
        self.is_drum = flat.is_type("PitchDrum")
        usual: Any = symusic.Tempo(0, self.meaning.default_tempo)
        self.default_tempo: int = usual.mspq

    def _tokens(self) -> Iterable[tuple[str, str]]:
        return zip(self.flat.types, self.flat.vocab.values, strict=True)

    @abstractmethod
    def read(self, ids: np.ndarray, repairs: Counter[str]) -> Sequenced:
        """Read one sequence of T ids and count its repairs."""

    def decode(self, parts: Sequence[Any], programs: Sequence[int] | None) -> Decoded:
        """Return the `symusic.Score` of one sequence, or of one a track, and the repairs."""
        repairs: Counter[str] = Counter()
        read = [self.read(np.asarray(part, dtype=np.int64), repairs) for part in parts]
        empty: tuple[Changes, Changes] = ([], [(0, self.meaning.default_signature)])
        tempos, signatures = (read[0].tempos, read[0].signatures) if read else empty
        score: Any = symusic.Score(self.meaning.quarter)
        score.tempos = [
            symusic.Tempo(tick, mspq=mspq) for tick, mspq in tempos or [(0, self.default_tempo)]
        ]
        score.time_signatures = [
            symusic.TimeSignature(tick, *self.meaning.signatures[place])
            for tick, place in signatures
        ]
        score.tracks = [track(program, notes) for program, notes in self._tracks(read, programs)]
        return Decoded(score, {name: count for name, count in repairs.items() if count})

    def _tracks(
        self, read: list[Sequenced], programs: Sequence[int] | None
    ) -> Iterable[tuple[int, Notes]]:
        """Yield a program and its notes for each track that has any."""
        for k, part in enumerate(read):
            if self.config.one_stream:
                yield from by_program(part.notes)
            elif len(part.notes.time):
                said = int(part.notes.program[0])
                given = programs[k] if programs is not None and not self.options.programs else said
                yield 0 if given == MELODIC else given, part.notes

    def programs(
        self, pitch: np.ndarray, named: np.ndarray | None, repairs: Counter[str]
    ) -> np.ndarray:
        """Return (M,) the program of every note, and count what contradicts itself.

        pitch: (M,) ids. named: (M,) what the tokens say, None where they say nothing: then the kind
        of the first pitch tells drums (DRUMS) from others (MELODIC).
        """
        drums = self.is_drum[pitch]
        heard = np.full(len(pitch), DRUMS if drums[:1].any() else MELODIC)
        program = heard if named is None else named
        if self.options.drums:
            repairs["wrong kind of pitch"] += int((drums != (program == DRUMS)).sum())
        if named is not None and not self.config.one_stream:
            repairs["program change"] += int((named != named[:1]).sum())
        return program

    def tempos(self, tick: np.ndarray, ids: np.ndarray | None) -> Changes:
        """Return the tempos of M events: where one differs from that of the event before.

        As in MidiTok's `decode`, the usual tempo holds before the first event, and if that has
        the usual one, it holds from 0.
        """
        if ids is None or not len(ids):
            return []
        new = np.flatnonzero(np.concatenate(([True], ids[1:] != ids[:-1])))
        mspq = self.meaning.value[ids[new]].tolist()
        found = list(zip(tick[new].tolist(), mspq, strict=True))
        if found[0][1] == self.default_tempo:
            found[0] = (0, self.default_tempo)
        elif found[0][0] != 0:
            found.insert(0, (0, self.default_tempo))
        return found


def _slot_name(kind: str) -> str:
    """Return the name of a slot whose last id is of this type."""
    return "Pitch" if kind == "PitchDrum" else kind

"""PerTok ids back to a score: array code, for any ids.

What sounds is what MidiTok's ``PerTok.decode`` makes of the same ids, where it does not fail,
except that drum notes outside the range of the other pitches are kept. A bar lasts as long as
MidiTok's PerTok has it: numerator x denominator / 4 quarters, which is right for quarters only, but
encoder and decoder agree. Chords are names for notes that are there anyway. Repairs, and what
happens:

    special token            ignored
    incomplete note          dropped: a pitch without its velocity or duration
    stray value              ignored: a microtiming, velocity or duration that belongs to nothing
    missing microtiming      the event is on the grid
    program without event    ignored, but remembered where programs change
    event without program    plays on the last program, on 0 if there was none
    wrong kind of pitch      plays: a drum pitch on a melodic program or the other way round
    program change           ignored: a track has one program, its first
    shift without event      only moves time
    time backwards           goes back: a position before the one before it in the same bar

What its microtiming would place before tick 0 begins there.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import symusic
from midigen_remi.decode import DEFAULT_VELOCITY, Notes, track
from midigen_remi.order import MELODIC, UNKNOWN
from midigen_remi.timeline import last_index
from midigen_remi.values import DRUMS

from midigen.protocols import Decoded
from midigen.vocab import Vocab
from midigen_miditok.config import MidiTokConfig
from midigen_miditok.pertok_faults import PerTokFaults
from midigen_miditok.pertok_order import PITCHES, PerTokOrder, Phase, Type

USUAL_BPM = 120.0


class Sequenced(NamedTuple):
    """One sequence of N tokens, read: M whole notes and all else.

    kinds: (N,) of `Type`. tick, program: (N,) at each token. places: (M,) where the notes stand.
    """

    ids: np.ndarray
    kinds: np.ndarray
    tick: np.ndarray
    program: np.ndarray
    places: np.ndarray
    notes: Notes


class PerTokDecoder:
    """Decodes with arrays. kinds, value: (V,) the type of every id, and its number or ticks."""

    def __init__(self, config: MidiTokConfig, vocab: Vocab) -> None:
        self.config = config
        self.options = config.options
        self.vocab = vocab
        self.order = PerTokOrder(config, vocab)
        self.kinds = np.array(self.order.types)
        tokens = list(zip(self.order.types, vocab.values, strict=True))
        self.value = np.array([self._number(*token) for token in tokens])
        self._bar = np.array([self._bar_ticks(*token) for token in tokens])
        self.faults = PerTokFaults(self.order, self.value)

    def _number(self, kind: Type, text: str) -> int:
        if kind in (Type.TimeShift, Type.Duration):
            beats, part, _ = map(int, text.split("."))
            return beats * self.config.tpq + part
        told = (Type.Position, Type.Program, *PITCHES, Type.PitchBend, Type.MicroTiming)
        return int(text) if kind in (*told, Type.Velocity) else 0

    def _bar_ticks(self, kind: Type, text: str) -> float:
        if kind != Type.TimeSig:
            return 0.0
        numerator, denominator = map(int, text.split("/"))
        return denominator / 4 * numerator * self.config.tpq

    def decode(self, parts: Sequence[Any], programs: Sequence[int] | None) -> Decoded:
        """Return the `symusic.Score` of one sequence, or of one a track, and the repairs."""
        repairs: Counter[str] = Counter()
        read = [self._read(np.asarray(part, dtype=np.int64), repairs) for part in parts]
        score: Any = symusic.Score(self.config.tpq)
        self._write_globals(score, read[0] if read else self._read(np.empty(0, int), repairs))
        known = None if self.options.programs else programs
        score.tracks = list(self._tracks(read, known))
        return Decoded(score, {name: count for name, count in repairs.items() if count})

    def _read(self, ids: np.ndarray, repairs: Counter[str]) -> Sequenced:
        kinds = self.kinds[ids]
        program = self._programs(ids, kinds)
        repairs.update(self.faults.count(ids, kinds, program))
        tick = self._ticks(ids, kinds)
        return Sequenced(ids, kinds, tick, program, *self._notes(ids, kinds, tick, program))

    def _programs(self, ids: np.ndarray, kinds: np.ndarray) -> np.ndarray:
        """Return (N,) what is known of the program at every token: a program, MELODIC, UNKNOWN."""
        named = kinds == Type.Program
        if Type.Program in self.order.present:
            last = last_index(named)
            if not self.options.one_stream and named.any():
                # A track has one.
                last = np.where(last >= 0, np.argmax(named), -1)
            return np.where(last >= 0, self.value[ids[last]], UNKNOWN)
        known = np.full(len(ids), UNKNOWN)
        pitches = np.flatnonzero(np.isin(kinds, PITCHES))
        if len(pitches) and self.options.drums:
            known[pitches[0] :] = DRUMS if kinds[pitches[0]] == Type.PitchDrum else MELODIC
        return known

    def _ticks(self, ids: np.ndarray, kinds: np.ndarray) -> np.ndarray:
        """Return (N,) the tick at every token, as MidiTok counts: with whole bars before a Bar."""
        is_bar = kinds == Type.Bar
        count = np.cumsum(is_bar)
        signature = last_index(kinds == Type.TimeSig)
        length = np.where(signature >= 0, self._bar[ids[signature]], 4.0 * self.config.tpq)
        bar = last_index(is_bar)
        start = np.where(bar >= 0, count * length[bar], 0.0)
        if Type.Position in self.order.present:
            place = last_index(is_bar | (kinds == Type.Position))
            offset = np.where((place >= 0) & (place > bar), self.value[ids[place]], 0)
        else:
            moved = np.cumsum(np.where(kinds == Type.TimeShift, self.value[ids], 0))
            offset = moved - np.where(bar >= 0, moved[bar], 0)
        ticks: np.ndarray = start + offset
        return ticks

    def _notes(
        self, ids: np.ndarray, kinds: np.ndarray, tick: np.ndarray, program: np.ndarray
    ) -> tuple[np.ndarray, Notes]:
        """Return where the whole notes stand, and the notes."""
        # Three silent tokens behind the end, so that what should follow a pitch can be looked at.
        beyond = np.append(kinds, [Type.Special] * 3)
        value = np.append(self.value[ids], [0] * 3)
        places = np.flatnonzero(np.isin(kinds, PITCHES))
        timed = beyond[places + 1] == Type.MicroTiming
        micro = np.where(timed, value[places + 1], 0)
        behind = places + 1 + timed
        whole = np.ones(len(places), dtype=bool)
        velocity = np.full(len(places), DEFAULT_VELOCITY)
        if Type.Velocity in self.order.present:
            whole = beyond[behind] == Type.Velocity
            velocity = np.where(whole, value[behind], 0)
            behind = behind + whole
        phase = self.faults.length_phase(program[places])
        given = (beyond[behind] == Type.Duration) & (phase != Phase.Open)
        whole &= given | (phase != Phase.Length)
        usual = int(self.options.notelen * self.config.tpq)
        length = np.where(given, value[behind], usual)
        onset = np.maximum((tick[places] + micro).astype(np.int64), 0)
        columns = (program[places], onset, length, self.value[ids[places]], velocity)
        return places[whole], Notes(*(column[whole] for column in columns))

    def _write_globals(self, score: Any, read: Sequenced) -> None:
        tempos = [(tick, float(text)) for tick, text in self._told(read, Type.Tempo)]
        signatures = [
            (tick, *map(int, text.split("/"))) for tick, text in self._told(read, Type.TimeSig)
        ]
        if not tempos or tempos[0][0] != 0:
            tempos.insert(0, (0, self._usual_tempo()))
        if not signatures or signatures[0][0] != 0:
            signatures.insert(0, (0, 4, 4))
        score.tempos = [symusic.Tempo(tick, bpm) for tick, bpm in tempos]
        score.time_signatures = [symusic.TimeSignature(*change) for change in signatures]
        score.key_signatures = [
            symusic.KeySignature(tick, *map(int, text.split(":")))
            for tick, text in self._told(read, Type.KeySig)
        ]

    def _usual_tempo(self) -> float:
        """Return what MidiTok writes where no tempo is given: the vocabulary's nearest to 120."""
        texts = zip(self.order.types, self.vocab.values, strict=True)
        tempos = [float(text) for kind, text in texts if kind == Type.Tempo]
        return min(tempos or [USUAL_BPM], key=lambda bpm: abs(bpm - USUAL_BPM))

    def _told(self, read: Sequenced, kind: Type) -> Iterable[tuple[int, str]]:
        """Yield the tick and the value of every token of a type."""
        for place in np.flatnonzero(read.kinds == kind).tolist():
            yield int(read.tick[place]), self.vocab.values[read.ids[place]]

    def _tracks(self, read: list[Sequenced], given: Sequence[int] | None) -> Iterable[Any]:
        """Yield the tracks, in the order in which they first do something."""
        for k, part in enumerate(read):
            owner = np.where(part.program <= MELODIC, 0, part.program)
            if not self.config.one_stream and len(owner):
                owner[:] = owner[-1] if given is None else given[k]
            active = np.isin(part.kinds, (Type.PitchBend, Type.ControlChange))
            active[part.places] = True
            for program in dict.fromkeys(owner[active].tolist()):
                yield self._track(part, owner == program, program)

    def _track(self, part: Sequenced, mine: np.ndarray, program: int) -> Any:
        """Return the track of a program; mine: (N,) bool, its tokens."""
        made = track(program, Notes(*(column[mine[part.places]] for column in part.notes)))
        values, texts = self.value[part.ids], self.vocab.values
        for place in np.flatnonzero(mine & (part.kinds == Type.PitchBend)).tolist():
            made.pitch_bends.append(symusic.PitchBend(int(part.tick[place]), int(values[place])))
        for place in np.flatnonzero(mine & (part.kinds == Type.ControlChange)).tolist():
            timed = part.kinds[place + 1 : place + 2] == Type.MicroTiming
            micro = int(values[place + 1]) if timed.any() else 0
            number, _, value = texts[part.ids[place]].partition("-")
            tick = max(int(part.tick[place] + micro), 0)
            made.controls.append(symusic.ControlChange(tick, int(number), int(value)))
        return made

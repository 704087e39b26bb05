"""BEAT ids back to a score, token by token, for any ids.

What sounds is what MidiTok's ``BEAT.decode`` makes of the same ids; tracks in which nothing does
are left out. Repairs, and what happens:

    special token            ignored
    before the first bar     plays, counted from 0
    bar without beat         passes as long as it is
    short bar                the next begins where it would: the beats that lack are silent
    beat outside the bar     counts on into the bar behind
    empty beat               silent
    program without note     ignored
    program in a silent beat plays
    note without program     plays on the last program, on 0 if there was none
    wrong kind of pitch      plays: a drum pitch on a melodic program or the other way round
    pitch out of order       plays; one outside of 0..127 is dropped
    incomplete note          dropped: a pitch without its pattern or velocity
    sustain of nothing       silent: what sounds on has not begun
    stray value              ignored: a pattern, velocity or rest that belongs to nothing
    misplaced change         holds from the bar's beginning: a signature, tempo or key
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import symusic
from midigen_remi.decode import DEFAULT_VELOCITY, Notes, track
from midigen_remi.meaning import Meaning
from midigen_remi.values import DRUMS

from midigen.protocols import Decoded
from midigen.vocab import Vocab
from midigen_miditok.beat_order import ACCEPTING, PITCHES, BeatOrder, Phase, Type, digits
from midigen_miditok.config import MidiTokConfig

Voice = tuple[int, int]
"""A program, and which of its tracks."""
_CHANGES = (Type.TimeSig, Type.Tempo, Type.KeySig)
_LACKING = {
    Phase.Start: "before the first bar",
    Phase.Bar: "bar without beat",
    Phase.TimeSig: "bar without beat",
    Phase.Tempo: "bar without beat",
    Phase.KeySig: "bar without beat",
    Phase.Beat: "empty beat",
    Phase.Program: "program without note",
    Phase.Pitch: "incomplete note",
    Phase.Pattern: "incomplete note",
}


def fault(phase: Phase, kind: Type) -> str:
    """Name the repair for a token of type `kind` that `phase` does not take."""
    if phase not in ACCEPTING and kind not in _CHANGES:
        return _LACKING[phase]
    if kind in _CHANGES:
        return "misplaced change"
    if kind in PITCHES:
        return "note without program"
    return "program in a silent beat" if kind == Type.Program else "stray value"


@dataclass(slots=True)
class _Sounds:
    """What has been read. notes: [onset, duration, pitch, velocity]. held: the last of a pitch."""

    notes: dict[Voice, list[list[int]]] = field(default_factory=dict)
    held: dict[tuple[Voice, int], list[int]] = field(default_factory=dict)
    changes: list[tuple[Type, int, str]] = field(default_factory=list)


class BeatDecoder:
    """Decodes one vocabulary of V ids. value: (V,) numbers; see `midigen_remi.meaning`."""

    def __init__(self, config: MidiTokConfig, vocab: Vocab) -> None:
        self.options = config.options
        self.vocab = vocab
        self.order = BeatOrder(vocab)
        # A rest has no length here.
        timeless = ("Silence_None" if t == "Rest_None" else t for t in vocab.tokens)
        self.meaning = Meaning(config.options, Vocab(timeless))
        plain = (Type.Pitch, Type.PitchDrum, Type.Pattern, Type.Velocity, Type.Program)
        texts = zip(self.order.types, vocab.values, strict=True)
        self.value = [int(text) if kind in plain else 0 for kind, text in texts]
        self.place = self.meaning.value.tolist()
        # Ticks of a beat in every signature: its denominator says what a beat is.
        bars = zip(self.meaning.bar.tolist(), self.meaning.signatures, strict=True)
        self.beat = [bar // above for bar, (above, _) in bars]

    def decode(self, parts: Sequence[Any], _programs: Sequence[int] | None) -> Decoded:
        """Return the `symusic.Score` of all parts, and the repairs."""
        repairs: Counter[str] = Counter()
        read = [_Reader(self, repairs).read(np.asarray(p, dtype=np.int64)) for p in parts]
        score: Any = symusic.Score(self.meaning.quarter)
        self._write_changes(score, read[0].changes if read else [])
        for sounds in read:
            for (program, _), notes in sounds.notes.items():
                if notes:
                    columns = np.array(sorted(notes, key=lambda n: (n[0], n[1], n[2]))).T
                    score.tracks.append(track(program, Notes(columns[0], *columns)))
        return Decoded(score, {name: count for name, count in repairs.items() if count})

    def _write_changes(self, score: Any, changes: list[tuple[Type, int, str]]) -> None:
        told = {kind: [(t, text) for k, t, text in changes if k == kind] for kind in _CHANGES}
        usual: Any = symusic.Tempo(0, self.meaning.default_tempo)
        score.tempos = [symusic.Tempo(t, float(text)) for t, text in told[Type.Tempo]]
        if not score.tempos or score.tempos[0].time:
            score.tempos.insert(0, usual)
        score.time_signatures = [
            symusic.TimeSignature(t, *map(int, text.split("/"))) for t, text in told[Type.TimeSig]
        ]
        if not score.time_signatures or score.time_signatures[0].time:
            score.time_signatures.insert(0, symusic.TimeSignature(0, 4, 4))
        score.key_signatures = [
            symusic.KeySignature(t, *map(int, text.split(":"))) for t, text in told[Type.KeySig]
        ]


class _Reader:
    """One sequence, token by token."""

    def __init__(self, decoder: BeatDecoder, repairs: Counter[str]) -> None:
        self.decoder = decoder
        self.repairs = repairs
        self.sounds = _Sounds()
        self.phase = Phase.Start
        self.signature = decoder.meaning.default_signature
        self.bar, self.beats, self.tick = -1, 0, 0
        self.voice: Voice = (0, 0)
        self.seen: Counter[int] = Counter()
        self.pitch: int | None = None
        self.pattern: int | None = None

    def read(self, ids: np.ndarray) -> _Sounds:
        decoder = self.decoder
        for id in ids.tolist():
            kind = decoder.order.types[id]
            if kind == Type.Special:
                self.repairs["special token"] += 1
                continue
            before = self.phase
            known = kind in decoder.order.follow[before]
            if not known:
                self.repairs[fault(before, kind)] += 1
            self.phase = decoder.order.after(kind, before)
            self._take(kind, id, known)
        if len(ids) and self.phase not in ACCEPTING:
            self.repairs[_LACKING[self.phase]] += 1
        return self.sounds

    def _take(self, kind: Type, id: int, known: bool) -> None:
        if kind == Type.Bar:
            self._begin_bar()
        elif kind == Type.Beat:
            self._begin_beat()
        elif kind in _CHANGES:
            if kind == Type.TimeSig:
                self.signature = self.decoder.place[id]
                self.tick = max(self.bar, 0) - self._beat_ticks()
            text = self.decoder.vocab.values[id]
            self.sounds.changes.append((kind, max(self.bar, 0), text))
        elif kind == Type.Program:
            program = self.decoder.value[id]
            self.voice = program, self.seen[program]
            self.seen[program] += 1
            self.sounds.notes.setdefault(self.voice, [])
            self.pitch = None
        elif kind in PITCHES:
            self._take_pitch(kind, self.decoder.value[id])
        elif kind == Type.Pattern and known:
            self.pattern = self.decoder.value[id]
            if Type.Velocity not in self.decoder.order.present:
                self._sound(DEFAULT_VELOCITY)
        elif kind == Type.Velocity and known:
            self._sound(self.decoder.value[id])

    def _beat_ticks(self) -> int:
        return self.decoder.beat[self.signature]

    def _begin_bar(self) -> None:
        meaning = self.decoder.meaning
        if self.bar >= 0:
            self.repairs["short bar"] += self.beats < meaning.signatures[self.signature][0]
            self.bar += int(meaning.bar[self.signature])
        else:
            self.bar = 0
        self.beats, self.tick, self.pitch = 0, self.bar - self._beat_ticks(), None

    def _begin_beat(self) -> None:
        self.beats += 1
        above = self.decoder.meaning.signatures[self.signature][0]
        self.repairs["beat outside the bar"] += self.beats > above
        self.tick += self._beat_ticks()
        self.pitch = None
        self.seen.clear()

    def _take_pitch(self, kind: Type, value: int) -> None:
        is_drum = kind == Type.PitchDrum
        if self.decoder.options.drums and is_drum != (self.voice[0] == DRUMS):
            self.repairs["wrong kind of pitch"] += 1
        last = self.pitch
        self.pitch = value if last is None or is_drum else last - value
        if last is not None and not 0 <= self.pitch < last:
            self.repairs["pitch out of order"] += 1

    def _sound(self, velocity: int) -> None:
        """Play the pattern of the last pitch in this beat."""
        pattern, pitch = self.pattern, self.pitch
        if pattern is None or pitch is None or not 0 <= pitch <= 127:
            return
        sounds, key, step = self.sounds, (self.voice, pitch), self._beat_ticks() // 4
        start = max(self.tick, 0)
        held = sounds.held.get(key)
        sounding = held is not None and held[0] + held[1] == start
        if not self.decoder.order.fitting[sounding][pattern]:
            self.repairs["sustain of nothing"] += 1
        for number, digit in enumerate(digits(pattern)):
            tick = start + number * step
            if digit == 1:
                held = sounds.held[key] = [tick, step, pitch, velocity]
                sounds.notes.setdefault(self.voice, []).append(held)
            elif digit == 2 and held is not None and held[0] + held[1] == tick:
                held[1] += step

"""The tokens of a TSD, MIDILike or Structured vocabulary as numbers, by id."""

import numpy as np
from midigen_remi.config import RemiConfig
from midigen_remi.meaning import DEFAULT_BPM, DEFAULT_SIGNATURE, ticks

from midigen.vocab import Vocab
from midigen_miditok.event_order import NAMES, PITCHES, TIMES, Order, Type
from midigen_miditok.event_vocab import NO_SHIFT


class Meaning:
    """The vocabulary in numbers. V ids, S time signatures (4/4 alone where there are none).

    types: (V,) of `Type`.
    value: (V,) pitch, interval, velocity, program, place in `signatures`, microseconds a quarter of
        a tempo, or 0.
    length: (S, V) ticks of every Duration, TimeShift and Rest in every signature.
    is_time, is_pitch: (V,) bool, the TimeShifts and Rests, and what begins a note.
    bar: (S,) ticks a bar.
    default_length: (S,) ticks of a note that does not say it. default_signature: the place of 4/4.
    default_tempo: quarters a minute where a piece gives none.
    quarter: ticks a quarter, as in the scores of MidiTok's `decode`: a beat of the shortest kind
        has `resolution` ticks.
    """

    def __init__(self, kind: str, options: RemiConfig, vocab: Vocab) -> None:
        self.vocab = vocab
        self.signatures = options.signatures
        finest = max(denominator for _, denominator in self.signatures)
        beats = [options.resolution * finest // below for _, below in self.signatures]
        self.quarter = options.resolution * finest // 4
        self.bar = np.array([n * beat for (n, _), beat in zip(self.signatures, beats, strict=True)])
        self.default_length = np.array([int(options.notelen * beat) for beat in beats])
        self.default_signature = self.signatures.index(DEFAULT_SIGNATURE)

        kinds = [NAMES.get(name, Type.Special) for name in vocab.types]
        self.types = np.array(kinds, dtype=np.int8)
        self.value = np.zeros(len(vocab), dtype=np.int64)
        self.length = np.zeros((len(self.signatures), len(vocab)), dtype=np.int64)
        for i, (type_, text) in enumerate(zip(kinds, vocab.values, strict=True)):
            if type_ in (*TIMES, Type.Duration):
                self.length[:, i] = [ticks(text, beat) for beat in beats]
            else:
                self.value[i] = self._number(type_, text)
        if NO_SHIFT in vocab.index:
            self.length[:, vocab.index[NO_SHIFT]] = 0
        self.is_time = np.isin(self.types, TIMES)
        self.is_pitch = np.isin(self.types, PITCHES)
        bpms = [float(vocab.values[i]) for i in np.flatnonzero(self.types == Type.Tempo)]
        self.default_tempo = min(bpms or [DEFAULT_BPM], key=lambda bpm: abs(bpm - DEFAULT_BPM))
        self.order = Order(kind, options, kinds)

    def _number(self, kind: Type, text: str) -> int:
        if kind == Type.TimeSig:
            above, _, below = text.partition("/")
            return self.signatures.index((int(above), int(below)))
        if kind == Type.Tempo:
            return round(60_000_000 / float(text))
        if kind in (Type.Special, Type.KeySig, Type.Chord, Type.ControlChange):
            return 0
        return int(text)

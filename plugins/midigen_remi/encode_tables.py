"""Lookup tables from MIDI values to the ids of a `remi` vocabulary."""

import numpy as np

from midigen.vocab import Vocab
from midigen_remi.config import RemiConfig
from midigen_remi.values import DRUMS, Spans
from midigen_remi.vocabulary import tempo_values, times, velocity_values

DEFAULT_TEMPO = 120


def nearest(values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the places in ascending `values` of those nearest to `wanted`; the higher of two."""
    places = np.searchsorted(values, wanted)
    below = np.maximum(places - 1, 0)
    above = np.minimum(places, len(values) - 1)
    lower = np.abs(wanted - values[below]) < np.abs(wanted - values[above])
    return np.where(lower | (places == len(values)), below, above)


def span_ticks(spans: Spans, ticks_per_beat: int) -> np.ndarray:
    """Return the lengths of `times(spans)` in ticks."""
    return np.array([(beat * r + pos) * ticks_per_beat // r for beat, pos, r in times(spans)])


def pitch_ids(
    config: RemiConfig, index: dict[str, int], melodic: str = "Pitch", drums: str = "PitchDrum"
) -> np.ndarray:
    """Return uint16 (2, 128), the ids of pitches of melodic programs and of drums, 0 for none."""
    ids = np.zeros((2, 128), np.uint16)
    low, high = config.pitch
    ids[:, low : high + 1] = index[f"{melodic}_{low}"] + np.arange(high - low + 1)
    if config.drums:
        low, high = config.drumpitch
        ids[1] = 0
        ids[1, low : high + 1] = index[f"{drums}_{low}"] + np.arange(high - low + 1)
    return ids


class Tables:
    """Ids by value; 0 (PAD, which no event has) says that there is none.

    pitch: uint16 (2, 128), melodic and drums.
    velocity: uint16 (128,).
    program: uint16 (129,), drums (-1) last.
    duration, duration_ticks: (S, width): by log2 of the ticks a position, then by ticks.
    tempo_mspq: ascending microseconds a quarter; tempo: the ids in the same order.
    """

    def __init__(self, config: RemiConfig, vocab: Vocab) -> None:
        index = vocab.index
        self.pitch = pitch_ids(config, index)
        self.bar = index["Bar_None"]
        self.position = index["Position_0"]
        self._set_notes(config, index)
        self._set_durations(config, index)
        self._set_tempos(config, index)
        self._set_rests(config, index)

    def _set_notes(self, config: RemiConfig, index: dict[str, int]) -> None:
        self.velocity = np.zeros(128, np.uint16)
        if config.velocities:
            velocities = velocity_values(config)
            first = index[f"Velocity_{velocities[0]}"]
            self.velocity[:] = first + nearest(np.array(velocities), np.arange(128))
        self.program = np.zeros(129, np.uint16)
        if config.programs:
            for program in config.only:
                self.program[program] = index[f"Program_{program}"]
        self.signature = {(n, d): index[f"TimeSig_{n}/{d}"] for n, d in config.ts}

    def _set_durations(self, config: RemiConfig, index: dict[str, int]) -> None:
        shifts = range(shift_count(config))
        width = duration_width(config)
        self.duration = np.zeros((len(shifts), width), np.uint16)
        self.duration_ticks = np.zeros((len(shifts), width), np.int32)
        if not config.durations:
            return
        ids = np.array([index[f"Duration_{b}.{p}.{r}"] for b, p, r in times(config.res)])
        for shift in shifts:
            ticks = span_ticks(config.res, config.resolution << shift)
            place = nearest(ticks, np.arange(width))
            self.duration_ticks[shift] = ticks[place]
            # MidiTok names equal lengths by the last of them.
            self.duration[shift] = ids[np.searchsorted(ticks, ticks[place], side="right") - 1]

    def _set_tempos(self, config: RemiConfig, index: dict[str, int]) -> None:
        tempos = np.array(tempo_values(config))
        self.tempo_mspq = 60_000_000 / tempos[::-1]
        self.tempo = np.array([index[f"Tempo_{t}"] for t in tempos[::-1].tolist()], np.uint16)
        if not config.tempos:
            return
        self.default_tempo = tempos[np.argmin(np.abs(tempos - DEFAULT_TEMPO))]
        self.default_tempo_id = index[f"Tempo_{self.default_tempo}"]
        # symusic holds whole microseconds, so that most tempos are no longer what they were.
        self.tempo_is_default = 60_000_000 / np.trunc(self.tempo_mspq) == self.default_tempo

    def _set_rests(self, config: RemiConfig, index: dict[str, int]) -> None:
        self.rest_ticks = np.zeros((shift_count(config), 0), np.int64)
        if config.rests:
            beat, position, r = times(config.rests)[0]
            self.rest = index[f"Rest_{beat}.{position}.{r}"]
            self.rest_ticks = np.array(
                [
                    span_ticks(config.rests, config.resolution << shift)
                    for shift in range(shift_count(config))
                ]
            )


def shift_count(config: RemiConfig) -> int:
    """Return how many sizes a position can have: 1, 2, 4 ... ticks."""
    denominators = [denominator for _, denominator in config.signatures]
    return (max(denominators) // min(denominators)).bit_length()


def duration_width(config: RemiConfig) -> int:
    """Return the longest duration in ticks, plus one."""
    beats = sum(beats for beats, _ in config.res)
    return (beats * config.resolution << (shift_count(config) - 1)) + 1


def program_row(program: int) -> int:
    """Return the row of `Tables.pitch`: 1 for drums."""
    return int(program == DRUMS)

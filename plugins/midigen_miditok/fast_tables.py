"""Lookup tables from MIDI values to the ids of TSD, MIDILike and Structured."""

import numpy as np
from midigen_remi.config import RemiConfig
from midigen_remi.encode_tables import Tables, nearest, pitch_ids, shift_count, span_ticks
from midigen_remi.vocabulary import times

from midigen.vocab import Vocab
from midigen_miditok.event_vocab import NO_SHIFT


class EventTables(Tables):
    """As `midigen_remi.encode_tables.Tables`, with shifts of time instead of bars.

    off: uint16 (2, 128), what ends a note, of melodic programs and of drums (MIDILike).
    longest: int64 (S,), ticks of the longest TimeShift by log2 of the ticks a position; the same
    token, `longest_id`, in all.
    steps, chain: (S * M,) and uint16 (K, S * M), M ticks being the longest of all: how many
    TimeShifts say so many ticks (fewer than the longest has), and which; 0 behind the last.
    MidiTok takes the longest that fits, then the longest that fits into what is left, and drops
    what is shorter than any.
    closest: uint16 (M + 1,), the one TimeShift that is nearest to so many ticks (Structured).
    """

    def __init__(self, kind: str, config: RemiConfig, vocab: Vocab) -> None:
        index = vocab.index
        if kind == "MIDILike":
            self.pitch = pitch_ids(config, index, "NoteOn", "DrumOn")
            if config.durations:
                self.off = pitch_ids(config, index, "NoteOff", "DrumOff")
        else:
            self.pitch = pitch_ids(config, index)
            self._set_durations(config, index)
        self._set_notes(config, index)
        self._set_tempos(config, index)
        self._set_rests(config, index)
        self._set_shifts(config, index)
        if kind == "Structured":
            self._set_closest(config, index)

    def _set_shifts(self, config: RemiConfig, index: dict[str, int]) -> None:
        beats, position, per = times(config.res)[0]
        self._first_shift = index[f"TimeShift_{beats}.{position}.{per}"]
        bins = [
            span_ticks(config.res, config.resolution << shift)
            for shift in range(shift_count(config))
        ]
        self.longest = np.array([ticks[-1] for ticks in bins])
        self.longest_id = self._first_shift + len(bins[0]) - 1
        ways = [self._greedy(ticks) for ticks in bins]
        deep, wide = (max(way.shape[axis] for way in ways) for axis in (0, 1))
        padding = [((0, deep - len(way)), (0, wide - way.shape[1])) for way in ways]
        chain = np.concatenate([np.pad(w, p) for w, p in zip(ways, padding, strict=True)])
        self.chain = np.ascontiguousarray(chain.T)
        self.steps = np.count_nonzero(self.chain, axis=0)

    def _greedy(self, ticks: np.ndarray) -> np.ndarray:
        """Return uint16 (M, K), the ids that say 0, 1, ... M - 1 ticks, filled up with 0.

        ticks: what each TimeShift says, ascending to M.
        """
        left = np.arange(ticks[-1])
        columns = [np.zeros_like(left)]
        while (fits := left >= ticks[0]).any():
            place = np.searchsorted(ticks, left, side="right") - 1
            columns.append(np.where(fits, self._first_shift + place, 0))
            left = np.where(fits, left - ticks[place], left)
        return np.stack(columns[1:] or columns, axis=1).astype(np.uint16)

    def _set_closest(self, config: RemiConfig, index: dict[str, int]) -> None:
        ticks = span_ticks(config.res, config.resolution)
        place = nearest(ticks, np.arange(ticks[-1] + 1))
        self.closest = (self._first_shift + place).astype(np.uint16)
        self.closest[0] = index[NO_SHIFT]

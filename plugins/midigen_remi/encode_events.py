"""Notes, tempos and time signatures of many sequences, in the order of their tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from midigen_remi.config import RemiConfig
from midigen_remi.encode_read import Notes, Piece
from midigen_remi.encode_tables import Tables
from midigen_remi.encode_tempo import Tempos


@dataclass(slots=True)
class Heads:
    """What is not a note, in the order of sequences: H = C + T time signatures and tempos.

    seq, time: int64 (H,); the C signatures come first. tempo: uint16 (T,), ids.
    The sections of all sequences in their order, (sections,) each: start, bar, ticks (a bar), shift
    as in `encode_meter.Section`, and the id of the TimeSig token. Where the vocabulary has time
    signatures, the C signatures are the starts of the sections.
    """

    seq: np.ndarray
    time: np.ndarray
    signatures: int
    tempo: np.ndarray
    start: np.ndarray
    bar: np.ndarray
    ticks: np.ndarray
    shift: np.ndarray
    signature_id: np.ndarray


@dataclass(slots=True)
class Events:
    """E = H + N events in the order of their tokens, of S sequences.

    seq, time: int64 (E,). source: int64 (E,), the place among heads and notes as they came.
    first: int64 (S,), the first event of each sequence.
    """

    seq: np.ndarray
    time: np.ndarray
    source: np.ndarray
    first: np.ndarray

    def take(self, place: np.ndarray) -> "Events":
        """Return the events at `place`, which keeps one of each sequence and their order."""
        seq = self.seq[place]
        first = np.searchsorted(seq, np.arange(len(self.first)))
        return Events(seq, self.time[place], self.source[place], first)


@dataclass(slots=True)
class Places:
    """Where events are, in bars.

    bar: int64 (E,), counted from the piece's start. position: int64 (E,), in the bar. section:
    int64 (E,), the place in `Heads`. shift: of that section; 0 where it is 0 in all.
    """

    bar: np.ndarray
    position: np.ndarray
    section: np.ndarray
    shift: np.ndarray | int

    def take(self, place: np.ndarray) -> "Places":
        """Return what is at `place`."""
        shift = self.shift if isinstance(self.shift, int) else self.shift[place]
        return Places(self.bar[place], self.position[place], self.section[place], shift)


def read_heads(
    owners: Sequence[int],
    pieces: Sequence[Piece],
    tempos: Tempos,
    config: RemiConfig,
    tables: Tables,
) -> Heads:
    """Return the heads of sequences that belong to these pieces; `tempos` are those of all."""
    sections = [section for owner in owners for section in pieces[owner].meter.sections]
    counts = np.array([len(pieces[owner].meter.sections) for owner in owners])
    start, bar, ticks, shift = np.array([section[:4] for section in sections]).T
    lengths = np.bincount(tempos.piece, minlength=len(pieces))
    begins = np.cumsum(lengths) - lengths
    wanted = np.asarray(owners)
    place = ranges(begins[wanted], lengths[wanted])
    seq = np.repeat(np.arange(len(owners)), lengths[wanted])
    time = tempos.time[place]
    if config.ts:
        seq = np.concatenate((np.repeat(np.arange(len(owners)), counts), seq))
        time = np.concatenate((start, time))
    return Heads(
        seq=seq,
        time=time,
        signatures=len(start) if config.ts else 0,
        tempo=tempos.id[place],
        start=start,
        bar=bar,
        ticks=ticks,
        shift=shift,
        signature_id=np.array([tables.signature.get(s.signature, 0) for s in sections], np.uint16),
    )


def ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return start, start + 1, ... of each range, one range behind the other."""
    ends = np.cumsum(lengths)
    return np.repeat(starts - ends + lengths, lengths) + np.arange(lengths.sum())


def order_events(notes: Notes, note_seq: np.ndarray, heads: Heads, sequences: int) -> Events:
    """Return heads and notes by sequence and onset; what shares an onset keeps its order."""
    seq = np.concatenate((heads.seq, note_seq))
    time = np.concatenate((heads.time, notes.time))
    source = np.arange(len(seq))
    seq_bits, time_bits = sequences.bit_length(), int(time.max()).bit_length()
    source_bits = len(seq).bit_length()
    if seq_bits + time_bits + source_bits > 63:
        source = np.lexsort((time, seq))
        seq, time = seq[source], time[source]
    else:
        # One sort of packed int64 keys is stable and ten times as fast as lexsort.
        key = (seq << time_bits | time) << source_bits | source
        key.sort()
        source = key & (1 << source_bits) - 1
        key >>= source_bits
        time = key & (1 << time_bits) - 1
        seq = key >> time_bits
    return Events(seq, time, source, np.searchsorted(seq, np.arange(sequences)))


def place_events(events: Events, heads: Heads) -> Places:
    """Return the bar and position of every event."""
    signatures = np.flatnonzero(events.source < heads.signatures)
    starts = signatures if len(signatures) else events.first
    lengths = np.diff(starts, append=len(events.time))
    local = events.time - np.repeat(heads.start, lengths)
    ticks = np.repeat(heads.ticks, lengths)
    # Exact, as both are far below 2**26, and twice as fast as the division of integers.
    bar = (local / ticks).astype(np.int64)
    position = local - bar * ticks
    shift: np.ndarray | int = 0
    if heads.shift.any():
        shift = np.repeat(heads.shift, lengths)
        position >>= shift
    bar += np.repeat(heads.bar, lengths)
    return Places(bar, position, np.repeat(np.arange(len(lengths)), lengths), shift)

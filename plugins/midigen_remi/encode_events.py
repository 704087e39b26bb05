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
    """E = H + N events in the order of their tokens, of S sequences. All int64.

    onset: (E,), ascending, the same for events of one sequence and tick. time: (E,) ticks. source:
    (E,), the place among heads and notes as they came. first: (S,), where each sequence begins.
    """

    onset: np.ndarray
    time: np.ndarray
    source: np.ndarray
    first: np.ndarray

    @property
    def seq(self) -> np.ndarray:
        """The sequence of each event, int64 (E,)."""
        return np.repeat(np.arange(len(self.first)), np.diff(self.first, append=len(self.time)))

    def select(self, place: np.ndarray) -> "Events":
        """Return the events at `place`, which keeps their sequences and onsets in order."""
        first = np.searchsorted(self.seq[place], np.arange(len(self.first)))
        return Events(self.onset[place], self.time[place], self.source[place], first)


@dataclass(slots=True)
class Places:
    """Where events are, in bars. All int64.

    bar: (E,), counted from the piece's start. position: (E,), in the bar. shift: (E,), log2 of the
    ticks a position, or 0 where it is 0 for all. sections: (sections,), the first event of each.
    """

    bar: np.ndarray
    position: np.ndarray
    shift: np.ndarray | int
    sections: np.ndarray

    def section_of(self, event: np.ndarray) -> np.ndarray:
        """Return the sections of these events, as places in `Heads`."""
        return np.searchsorted(self.sections, event, side="right") - 1

    def select(self, place: np.ndarray) -> "Places":
        """Return what is at `place`, which keeps the first event of every section."""
        shift = self.shift if isinstance(self.shift, int) else self.shift[place]
        sections = np.searchsorted(self.section_of(place), np.arange(len(self.sections)))
        return Places(self.bar[place], self.position[place], shift, sections)


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


def order_events(notes: Notes, voice_seq: Sequence[int], heads: Heads, sequences: int) -> Events:
    """Return heads and notes by sequence and onset; what shares an onset keeps its order.

    voice_seq: the sequence of each voice.
    """
    counts = [voice.notes for voice in notes.voices]
    first_note = len(heads.seq)
    size = first_note + len(notes.time)
    latest = max(int(notes.time.max()), int(heads.time.max(initial=0)))
    time_bits, source_bits = latest.bit_length(), size.bit_length()
    onset = np.empty(size, np.int64)
    onset[:first_note] = heads.seq << time_bits | heads.time
    np.add(notes.time, np.repeat(np.array(voice_seq) << time_bits, counts), out=onset[first_note:])
    if sequences.bit_length() + time_bits + source_bits > 63:
        source = np.argsort(onset, kind="stable")
        onset = onset[source]
    else:
        # Sorting keys that hold the source is stable and five times as fast as a stable argsort.
        onset <<= source_bits
        onset |= np.arange(size)
        onset.sort()
        source = onset & (1 << source_bits) - 1
        onset >>= source_bits
    first = np.searchsorted(onset, np.arange(sequences) << time_bits)
    return Events(onset, onset & (1 << time_bits) - 1, source, first)


def place_events(events: Events, heads: Heads) -> Places:
    """Return the bar and position of every event."""
    signatures = np.flatnonzero(events.source < heads.signatures)
    sections = signatures if len(signatures) else events.first
    lengths = np.diff(sections, append=len(events.time))
    time = events.time
    if heads.start.any():
        time = time - np.repeat(heads.start, lengths)
    ticks = np.repeat(heads.ticks, lengths)
    # Exact for ticks below 2**52, and twice as fast as the division of integers.
    bar = (time / ticks).astype(np.int64)
    position = time - np.multiply(bar, ticks, out=ticks)
    shift: np.ndarray | int = 0
    if heads.shift.any():
        shift = np.repeat(heads.shift, lengths)
        position >>= shift
    if heads.bar.any():
        bar += np.repeat(heads.bar, lengths)
    return Places(bar, position, shift, sections)

"""The tokens of TSD, MIDILike and Structured: MidiTok's strings in MidiTok's order, without it."""

from collections.abc import Iterator

from midigen_remi.config import RemiConfig
from midigen_remi.vocabulary import SPECIALS, other_tokens, times, velocity_values

from midigen.vocab import Vocab

NO_SHIFT = "TimeShift_0.0.1"
"""Structured's word for no time at all."""


def build_vocab(kind: str, options: RemiConfig) -> Vocab:
    """Return the vocabulary of a class. Raises MidigenError where two tokens would be the same."""
    drums = ("DrumOn", "DrumOff") if kind == "MIDILike" else ("PitchDrum",)
    return Vocab((*SPECIALS, *_note_tokens(kind, options), *other_tokens(options, drums)))


def _note_tokens(kind: str, options: RemiConfig) -> Iterator[str]:
    pitches = range(options.pitch[0], options.pitch[1] + 1)
    lengths = [f"{beats}.{positions}.{per}" for beats, positions, per in times(options.res)]
    if kind == "MIDILike":
        yield from (f"NoteOn_{p}" for p in pitches)
        yield from (f"NoteOff_{p}" for p in pitches if options.durations)
    else:
        yield from (f"Pitch_{p}" for p in pitches)
    if options.velocities:
        yield from (f"Velocity_{v}" for v in velocity_values(options))
    if (options.durations and kind != "MIDILike") or options.pedals == "duration":
        yield from (f"Duration_{length}" for length in lengths)
    if kind == "Structured":
        yield NO_SHIFT
    yield from (f"TimeShift_{length}" for length in lengths)

"""The vocabularies of MidiTok's classes, by MidiTok's rules but without MidiTok: lists of tokens.

A class whose tokens are events has one vocabulary a place of its events, a *slot*; the others have
one. Each begins with the special tokens.
"""

from collections.abc import Iterable, Iterator, Sequence
from math import floor

from midigen_remi.config import RemiConfig
from midigen_remi.vocabulary import (
    SPECIALS,
    chord_tokens,
    note_tokens,
    other_tokens,
    program_order,
    tempo_values,
    times,
    velocity_values,
)

from midigen.vocab import Vocab
from midigen_miditok.config import MidiTokConfig
from midigen_miditok.event_vocab import build_vocab

Slots = list[list[str]]


def build_slots(config: MidiTokConfig) -> Slots:
    """Return the vocabulary of each slot; one where tokens are no events."""
    options = config.options
    if config.kind == "Octuple":
        return _with_specials(_octuple(config))
    if config.kind == "CPWord":
        return _with_specials(_cpword(options))
    if config.kind == "MuMIDI":
        return _with_specials(_mumidi(config))
    if config.kind == "PerTok":
        return _with_specials([list(dict.fromkeys(_pertok(config)))])
    if config.kind == "BEAT":
        return _with_specials([_beat(options)])
    if config.kind == "MMM":
        # Its own two stand behind the other special tokens.
        return _with_specials([["Track_Start", "Track_End", *_base_tokens(config)]])
    raise AssertionError(config.kind)


def _base_tokens(config: MidiTokConfig) -> tuple[str, ...]:
    """Return the tokens of MMM's base, without the special ones."""
    if config.base == "REMI":
        return ("Bar_None", *note_tokens(config.options), *other_tokens(config.options))
    return build_vocab(config.base, config.options).tokens[len(SPECIALS) :]


def _with_specials(slots: Iterable[Iterable[str]]) -> Slots:
    return [[*SPECIALS, *slot] for slot in slots]


def _pitches(options: RemiConfig, drums: bool) -> Iterator[str]:
    yield from (f"Pitch_{pitch}" for pitch in range(options.pitch[0], options.pitch[1] + 1))
    if drums:
        low, high = options.drumpitch
        yield from (f"PitchDrum_{pitch}" for pitch in range(low, high + 1))


def _positions(options: RemiConfig) -> range:
    return range(options.resolution * max(numerator for numerator, _ in options.signatures))


def _velocities(options: RemiConfig) -> Slots:
    """Return the slot of velocities, if there is one; so do those that follow."""
    return [[f"Velocity_{v}" for v in velocity_values(options)]] if options.velocities else []


def _durations(options: RemiConfig) -> Slots:
    if not options.durations:
        return []
    return [[f"Duration_{b}.{p}.{r}" for b, p, r in times(options.res)]]


def _programs(options: RemiConfig) -> Slots:
    return [[f"Program_{p}" for p in program_order(options)]] if options.programs else []


def _tempos(options: RemiConfig) -> Slots:
    return [[f"Tempo_{tempo}" for tempo in tempo_values(options)]] if options.tempos else []


def _signatures(options: RemiConfig) -> Slots:
    return [[f"TimeSig_{n}/{d}" for n, d in options.ts]] if options.ts else []


def _octuple(config: MidiTokConfig) -> Slots:
    options = config.options
    return [
        list(_pitches(options, options.drums)),
        [f"Position_{i}" for i in _positions(options)],
        [f"Bar_{i}" for i in range(config.bars)],
        *_velocities(options),
        *_durations(options),
        *_programs(options),
        *_tempos(options),
        *_signatures(options),
    ]


def _cpword(options: RemiConfig) -> Slots:
    rests = [[f"Rest_{b}.{p}.{r}" for b, p, r in times(options.rests)]] if options.rests else []
    ignorable = [
        ["Bar_None", *(f"Position_{i}" for i in _positions(options))],
        list(_pitches(options, options.drums)),
        *_velocities(options),
        *_durations(options),
        *_programs(options),
        *([list(chord_tokens(options))] if options.chords else []),
        *rests,
        *_tempos(options),
        *_signatures(options),
    ]
    return [["Family_Metric", "Family_Note"], *(["Ignore_None", *slot] for slot in ignorable)]


def _mumidi(config: MidiTokConfig) -> Slots:
    options = config.options
    first = [
        *_pitches(options, True),
        "Bar_None",
        *(f"Position_{i}" for i in _positions(options)),
        *(f"Program_{program}" for program in program_order(options)),
        *chord_tokens(options),
    ]
    return [
        first,
        [f"BarPosEnc_{i}" for i in range(config.bars)],
        ["PositionPosEnc_None", *(f"PositionPosEnc_{i}" for i in _positions(options))],
        *_tempos(options),
        *_velocities(options),
        *_durations(options),
    ]


def _beat(options: RemiConfig) -> list[str]:
    return [
        *("Bar_None", "Beat_None", "Rest_None"),
        *(f"Pitch_{pitch}" for pitch in range(128)),
        *(f"Pattern_{pattern}" for pattern in range(81)),
        *(velocity for slot in _velocities(options) for velocity in slot),
        *other_tokens(options),
    ]


def _pertok(config: MidiTokConfig) -> Iterator[str]:
    options = config.options
    lengths = [f"{beat}.{part}.{config.tpq}" for beat, part in pertok_lengths(config)]
    yield "Bar_None"
    yield from _pitches(options, False)
    yield from (velocity for slot in _velocities(options) for velocity in slot)
    if options.durations:
        yield from (f"Duration_{length}" for length in lengths)
    if config.positions:
        ticks = {beat * config.tpq + part for beat, part in pertok_lengths(config)}
        yield from (f"Position_{tick}" for tick in [0, *sorted(ticks)])
    else:
        yield from (f"TimeShift_{length}" for length in lengths)
    yield from (f"MicroTiming_{shift}" for shift in microtimings(config))
    yield from other_tokens(options)


def pertok_lengths(config: MidiTokConfig) -> list[tuple[int, int]]:
    """Return PerTok's lengths as (beats, ticks), in MidiTok's order; some stand there twice."""
    return [
        (beat, config.tpq // positions * part)
        for beats, positions in config.options.res
        for beat in range(beats)
        for part in range(positions)
        if beat or part
    ]


def microtimings(config: MidiTokConfig) -> list[int]:
    """Return PerTok's small shifts in ticks, ascending, as `numpy.linspace` gives them."""
    bins, most = config.microtimings, config.microrange * config.tpq
    if not bins:
        return []
    step = 2 * most / bins
    return list(dict.fromkeys([*(floor(i * step - most) for i in range(bins)), floor(most)]))


def flat_vocab(slots: Sequence[Sequence[str]]) -> Vocab:
    """Return the vocabulary of K slots laid end to end; of a single one as it is.

    The slot's number and a dot go before each token, so that all are distinct: ``0.Pitch_60``.
    """
    if len(slots) == 1:
        return Vocab(slots[0])
    return Vocab(f"{k}.{token}" for k, slot in enumerate(slots) for token in slot)

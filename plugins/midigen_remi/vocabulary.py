"""The tokens of a `remi` configuration: the strings and the order of MidiTok's REMI.

The steps of velocities, tempos, bends and controls are what `numpy.linspace` gives MidiTok, to the
last bit, but without NumPy: a filter that wants names for ids starts in half the time.
"""

from collections.abc import Iterable, Iterator
from math import floor

from midigen.vocab import Vocab
from midigen_remi.config import RemiConfig
from midigen_remi.values import DRUMS, Spans

Time = tuple[int, int, int]
"""A length (beats, positions, positions a beat), as in ``Duration_1.2.8``."""

SPECIALS = ("PAD_None", "BOS_None", "EOS_None", "MASK_None")

# fmt: off
CHORDS = (
    "min", "maj", "dim", "aug", "sus2", "sus4",
    "7dom", "7min", "7maj", "7halfdim", "7dim", "7aug", "9maj", "9min",
)
ROOTS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
CONTINUOUS_CONTROLS = {
    1, 2, 4, 5, 7, 8, 10, 11, 64, 67, 71, 72, 73, 74, 75, 76, 77, 78, 91, 92, 93, 94, 95,
}
# fmt: on
SWITCH_CONTROLS = {65, 66, 68, 69, 122}


def times(spans: Spans) -> list[Time]:
    """Return the lengths that `spans` can say, shortest first, without zero."""
    found: list[Time] = []
    start = 0
    for beats, resolution in spans:
        for beat in range(start, start + beats):
            found += [(beat, position, resolution) for position in range(resolution)]
        start += beats
    return [*found[1:], (start, 0, spans[-1][1])]


def _steps(first: float, last: float, number: int) -> list[float]:
    """Return `number` values from `first` to `last`, evenly spaced, as `numpy.linspace` does."""
    step = (last - first) / (number - 1) if number > 1 else 0.0
    return [i * step + first for i in range(number - 1)] + [float(last if number > 1 else first)]


def velocity_values(config: RemiConfig) -> list[int]:
    """Return the velocities of the vocabulary, ascending."""
    return [floor(velocity) for velocity in _steps(0, 127, config.velocities + 1)[1:]]


def tempo_values(config: RemiConfig) -> list[float]:
    """Return the tempos of the vocabulary in quarters a minute, ascending."""
    if config.logtempos:
        import numpy as np

        return np.geomspace(*config.temporange, config.tempos).round(2).tolist()
    if not config.tempos:
        return []
    return [round(tempo * 100) / 100 for tempo in _steps(*config.temporange, config.tempos)]


def program_order(config: RemiConfig) -> list[int]:
    """Return the programs in the vocabulary's order: drums (-1) behind program 127.

    MidiTok walks a Python set: small ints in ascending order, and -1, whose hash is -2, last.
    """
    return [p for p in config.only if p != DRUMS] + [DRUMS] * (DRUMS in config.only)


def build_vocab(config: RemiConfig) -> Vocab:
    """Return the vocabulary. Raises MidigenError where two tokens would be the same."""
    return Vocab((*SPECIALS, "Bar_None", *note_tokens(config), *other_tokens(config)))


def note_tokens(config: RemiConfig) -> Iterator[str]:
    """Yield pitches, velocities, durations and positions."""
    yield from (f"Pitch_{p}" for p in range(config.pitch[0], config.pitch[1] + 1))
    yield from (f"Velocity_{v}" for v in velocity_values(config))
    if config.durations or config.pedals == "duration":
        yield from (f"Duration_{b}.{p}.{r}" for b, p, r in times(config.res))
    longest = max(numerator for numerator, _ in config.signatures)
    yield from (f"Position_{i}" for i in range(config.resolution * longest))


def other_tokens(config: RemiConfig, drums: Iterable[str] = ("PitchDrum",)) -> Iterator[str]:
    """Yield the tokens that all of MidiTok's classes have behind those of notes and of time.

    drums: the types that say the pitches of drums.
    """
    for kind in ("PitchIntervalTime", "PitchIntervalChord") if config.intervals else ():
        yield from (f"{kind}_{i}" for i in range(-config.intervals, config.intervals + 1))
    for kind in drums if config.drums else ():
        yield from (f"{kind}_{p}" for p in range(config.drumpitch[0], config.drumpitch[1] + 1))
    yield from chord_tokens(config)
    if config.rests:
        yield from (f"Rest_{b}.{p}.{r}" for b, p, r in times(config.rests))
    yield from (f"Tempo_{tempo}" for tempo in tempo_values(config))
    if config.programs:
        yield from (f"Program_{program}" for program in program_order(config))
    yield from (f"TimeSig_{numerator}/{denominator}" for numerator, denominator in config.ts)
    if config.keys:
        yield from (f"KeySig_{key}:{minor}" for key in range(-7, 8) for minor in (0, 1))
    if config.pedals != "0":
        programs = program_order(config) if config.programs else [0]
        yield from (f"Pedal_{program}" for program in programs)
        if config.pedals != "duration":
            yield from (f"PedalOff_{program}" for program in programs)
    yield from _wheel_tokens(config)


def chord_tokens(config: RemiConfig) -> Iterator[str]:
    """Yield the chords, if there are any."""
    if not config.chords:
        return
    unknown = tuple(f"ukn{notes}" for notes in range(3, 6)) if config.chordunknown else ()
    for quality in CHORDS + unknown:
        if config.chordroot:
            yield from (f"Chord_{root}:{quality}" for root in ROOTS)
        else:
            yield f"Chord_{quality}"


def _wheel_tokens(config: RemiConfig) -> Iterator[str]:
    if config.bends:
        yield from (f"PitchBend_{floor(bend)}" for bend in _steps(-8192, 8191, config.bends))
    bins = [round(value) for value in _steps(0, 127, config.controlbins)]
    for number in config.controls:
        if number in CONTINUOUS_CONTROLS:
            values = bins
        else:
            values = [0, 127] if number in SWITCH_CONTROLS else list(range(128))
        yield from (f"ControlChange_{number}-{value}" for value in values)

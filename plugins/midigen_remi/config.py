"""What a `remi` tokenizer is told: parameters of its spec, and MidiTok's names for them.

| parameter | default | MidiTok's `TokenizerConfig` |
|---|---|---|
| `res` | `4x8+8x4` | `beat_res={(0, 4): 8, (4, 12): 4}`; beats x positions; 12 is `12x12` |
| `velocities` | `32` | `num_velocities`; 0: `use_velocities=False` |
| `durations` | `all` | `use_note_duration_programs`: all, none or programs `0-7+32+drums` |
| `notelen` | `0.5` | `default_note_duration`, in beats (for notes without duration tokens) |
| `pitch` | `21-109` | `pitch_range`, both ends included |
| `drums` | `1` | `use_pitchdrum_tokens` |
| `drumpitch` | `27-88` | `drums_pitch_range`, both ends included |
| `tempos` | `32` | `num_tempos`; 0: `use_tempos=False` |
| `temporange` | `40-250` | `tempo_range` |
| `logtempos` | `0` | `log_tempos` |
| `mergetempos` | `0` | `delete_equal_successive_tempo_changes` |
| `ts` | `default` | `time_signature_range`; 0: `use_time_signatures=False`; or `miditok` |
| `programs` | `1` | `use_programs` |
| `only` | `all` | `programs`: tracks of other programs are left out |
| `stream` | `one` | `one_token_stream_for_programs`: one sequence, or one a track (`tracks`) |
| `changes` | `0` | `program_changes` |
| `rests` | `0` | `use_rests`, `beat_res_rest`; 1: `1x8+1x4+10x2` |
| `dedupe` | `0` | `remove_duplicated_notes` |
| `chords` | `0` | `use_chords` |
| `chordroot` | `0` | `chord_tokens_with_root_note` |
| `chordunknown` | `0` | `chord_unknown=(3, 6)`; needs `chordroot=1` |
| `pedals` | `0` | `use_sustain_pedals`; `duration`: `sustain_pedal_duration=True` |
| `bends` | `0` | `use_pitch_bends`, `pitch_bend_range=(-8192, 8191, N)` |
| `keys` | `0` | `use_key_signatures` |
| `controls` | `none` | `use_control_changes`, `control_change_numbers`: none, all or `1+7+10-11` |
| `controlbins` | `32` | `control_change_n_bins` |
| `intervals` | `0` | `use_pitch_intervals`, `max_pitch_interval` |
| `intervaldist` | `1` | `pitch_intervals_max_time_dist`, in beats |

Special tokens (PAD, BOS, EOS, MASK), chord maps and default tempo are MidiTok's.
`delete_equal_successive_time_sig_changes` changes nothing in REMI, and attribute controls, numbered
bars, `Bar_End` and trailing bars are not offered.
"""

from dataclasses import dataclass, fields
from typing import Any, ClassVar

from midigen.errors import MidigenError
from midigen.spec import format_spec
from midigen_remi import values
from midigen_remi.values import PROGRAMS, Codec, Signatures, Spans

SIGNATURES: Signatures = (
    *((n, 2) for n in range(1, 5)),
    *((n, 4) for n in range(1, 10)),
    *((n, 8) for n in (*range(1, 13), 15)),
    *((n, 16) for n in (3, 4, 6, 7, 9, 12)),
)
MIDITOK_SIGNATURES: Signatures = (
    *((n, 8) for n in (3, 12, 6)),
    *((n, 4) for n in (5, 6, 3, 2, 1, 4)),
)
RESTS: Spans = ((1, 8), (1, 4), (10, 2))
# fmt: off
CONTROLS = (
    0, 1, 2, 4, 5, 6, 7, 8, 10, 11, 32, 33, 34, 36, 37, 38, 39, 40, 42, 43, 64, 65, 66, 67, 68, 69,
    70, 71, 72, 73, 74, 75, 76, 77, 78, 84, 88, 91, 92, 93, 94, 95, 96, 97, 100, 101,
    120, 121, 122, 123, 124, 125, 126, 127,
)
# fmt: on


CODECS: dict[str, Codec] = {
    "res": values.spans(),
    "velocities": values.count(0, 127),
    "durations": values.numbers({"all": PROGRAMS, "none": ()}, 0, 127, allow_drums=True),
    "notelen": values.decimal(0.01, 64),
    "pitch": values.between(0, 127),
    "drums": values.switch(),
    "drumpitch": values.between(0, 127),
    "tempos": values.count(0, 1000),
    "temporange": values.between(5, 1000),
    "logtempos": values.switch(),
    "mergetempos": values.switch(),
    "ts": values.signatures({"default": SIGNATURES, "miditok": MIDITOK_SIGNATURES}),
    "programs": values.switch(),
    "only": values.numbers({"all": PROGRAMS}, 0, 127, allow_drums=True),
    "stream": values.choice("one", "tracks"),
    "changes": values.switch(),
    "rests": values.rests(RESTS),
    "dedupe": values.switch(),
    "chords": values.switch(),
    "chordroot": values.switch(),
    "chordunknown": values.switch(),
    "pedals": values.choice("0", "1", "duration"),
    "bends": values.count(0, 1024),
    "keys": values.switch(),
    "controls": values.numbers({"none": (), "all": CONTROLS}, 0, 127, allow_drums=False),
    "controlbins": values.count(2, 128),
    "intervals": values.count(0, 127),
    "intervaldist": values.decimal(0.01, 64),
}


@dataclass(frozen=True)
class RemiConfig:
    """The parameters, named as in a spec; what has no effect is set back to its default.

    Raises MidigenError for values that contradict each other.
    """

    plugin: ClassVar[str] = "remi"

    res: Spans = ((4, 8), (8, 4))
    velocities: int = 32
    durations: tuple[int, ...] = PROGRAMS
    notelen: float = 0.5
    pitch: tuple[int, int] = (21, 109)
    drums: bool = True
    drumpitch: tuple[int, int] = (27, 88)
    tempos: int = 32
    temporange: tuple[int, int] = (40, 250)
    logtempos: bool = False
    mergetempos: bool = False
    ts: Signatures = SIGNATURES
    programs: bool = True
    only: tuple[int, ...] = PROGRAMS
    stream: str = "one"
    changes: bool = False
    rests: Spans = ()
    dedupe: bool = False
    chords: bool = False
    chordroot: bool = False
    chordunknown: bool = False
    pedals: str = "0"
    bends: int = 0
    keys: bool = False
    controls: tuple[int, ...] = ()
    controlbins: int = 32
    intervals: int = 0
    intervaldist: float = 1.0

    def __post_init__(self) -> None:
        for key, used in self._used().items():
            if not used:
                object.__setattr__(self, key, _DEFAULTS[key])
        faults = {
            "tempos=1 is no scale; use 0 or at least 2": self.tempos == 1,
            "rests need durations of all programs": self.rests
            and not set(self.kept) <= set(self.durations),
            "rests are finer than res": self.rests
            and max(r for _, r in self.rests) > self.resolution,
            "chordunknown needs chordroot=1": self.chordunknown and not self.chordroot,
            "controls has 64, which says the same as pedals": 64 in self.controls
            and self.pedals != "0",
        }
        for fault, found in faults.items():
            if found:
                raise MidigenError(f"{self.plugin}: {fault}")

    def _used(self) -> dict[str, bool]:
        """Say of every parameter that hangs on another whether it has an effect."""
        return {
            "notelen": self.durations != PROGRAMS,
            "drumpitch": self.drums,
            "temporange": self.tempos > 0,
            "logtempos": self.tempos > 0,
            "mergetempos": self.tempos > 0,
            "only": self.programs,
            "stream": self.programs,
            "changes": self.programs,
            "chordroot": self.chords,
            "chordunknown": self.chords,
            "controlbins": bool(self.controls),
            "intervaldist": self.intervals > 0,
        }

    @property
    def resolution(self) -> int:
        """Positions a beat: the finest of `res`."""
        return max(resolution for _, resolution in self.res)

    @property
    def one_stream(self) -> bool:
        """True where all tracks share one sequence, false where each has its own."""
        return self.programs and self.stream == "one"

    @property
    def program_before_notes(self) -> bool:
        """True where a Program token stands before every note."""
        return self.programs and not self.changes

    @property
    def program_in_notes(self) -> bool:
        """True where one can stand before a note: every one, or one that changes the program."""
        return self.programs and (self.one_stream or not self.changes)

    @property
    def kept(self) -> tuple[int, ...]:
        """The programs (-1 drums) whose tracks are encoded."""
        return self.only if self.programs else PROGRAMS

    @property
    def signatures(self) -> Signatures:
        """The time signatures that bars can have: 4/4 alone without TimeSig tokens."""
        return self.ts or ((4, 4),)

    def spec(self) -> str:
        """Return the canonical spec: equal configurations give equal text."""
        changed = {
            key: codec.write(getattr(self, key))
            for key, codec in CODECS.items()
            if getattr(self, key) != _DEFAULTS[key]
        }
        return format_spec("remi", changed)

    def miditok_arguments(self) -> dict[str, Any]:
        """Return the arguments of MidiTok's `TokenizerConfig` for the same tokenizer."""
        signature_range: dict[int, list[int]] = {}
        for numerator, denominator in self.ts or MIDITOK_SIGNATURES:
            signature_range.setdefault(denominator, []).append(numerator)
        return {
            "beat_res": _beat_ranges(self.res),
            "num_velocities": self.velocities or 32,
            "use_velocities": self.velocities > 0,
            "use_note_duration_programs": list(self.durations),
            "default_note_duration": self.notelen,
            "pitch_range": self.pitch,
            "use_pitchdrum_tokens": self.drums,
            "drums_pitch_range": self.drumpitch,
            "num_tempos": self.tempos or 32,
            "use_tempos": self.tempos > 0,
            "tempo_range": self.temporange,
            "log_tempos": self.logtempos,
            "delete_equal_successive_tempo_changes": self.mergetempos,
            "use_time_signatures": bool(self.ts),
            "time_signature_range": signature_range,
            "use_programs": self.programs,
            "programs": list(self.only),
            "one_token_stream_for_programs": self.stream == "one",
            "program_changes": self.changes,
            "use_rests": bool(self.rests),
            "beat_res_rest": _beat_ranges(self.rests or RESTS),
            "remove_duplicated_notes": self.dedupe,
            "use_chords": self.chords,
            "chord_tokens_with_root_note": self.chordroot,
            "chord_unknown": (3, 6) if self.chordunknown else None,
            "use_sustain_pedals": self.pedals != "0",
            "sustain_pedal_duration": self.pedals == "duration",
            "use_pitch_bends": self.bends > 0,
            "pitch_bend_range": (-8192, 8191, self.bends or 32),
            "use_key_signatures": self.keys,
            "use_control_changes": bool(self.controls),
            "control_change_numbers": list(self.controls),
            "control_change_n_bins": self.controlbins,
            "use_pitch_intervals": self.intervals > 0,
            "max_pitch_interval": self.intervals or 16,
            "pitch_intervals_max_time_dist": self.intervaldist,
        }


def _beat_ranges(spans: Spans) -> dict[tuple[int, int], int]:
    """Return spans as MidiTok writes them: ``{(0, 4): 8, (4, 12): 4}``."""
    ranges, start = {}, 0
    for beats, resolution in spans:
        ranges[start, start + beats] = resolution
        start += beats
    return ranges


_DEFAULTS = {option.name: option.default for option in fields(RemiConfig)}


def read_config(params: dict[str, str]) -> RemiConfig:
    """Return the configuration of a spec's parameters.

    Raises MidigenError for a key that is not known (naming those that are) or a value that cannot
    be.
    """
    unknown = [key for key in params if key not in CODECS]
    if unknown:
        raise MidigenError(f"remi has no parameter {unknown[0]!r}; known: {', '.join(CODECS)}")
    return RemiConfig(**{k: values.parse(CODECS[k], k, v) for k, v in params.items()})

"""What a `miditok` tokenizer is told: MidiTok's class, and parameters of its spec.

``class`` is TSD (the default), MIDILike, Structured, CPWord, Octuple, MuMIDI, MMM, PerTok or BEAT.
Parameters are those of `midigen_remi.config`, as far as the class takes them (`kinds`), with the
same defaults but for these:

| class | default |
|---|---|
| Octuple | `ts=0`, and no `mergetempos`: it is always on |
| PerTok | `ts=0`; `res=12x4+4x3`: grids that lie over one another, each from beat 0 |

and these of single classes:

| class | parameter | default | MidiTok's `TokenizerConfig` |
|---|---|---|---|
| Octuple, MuMIDI | `bars` | `256` | `max_bar_embedding`: what comes later is cut off |
| MMM | `base` | `REMI` | `base_tokenizer`: REMI, TSD or MIDILike |
| PerTok | `tpq` | `320` | `ticks_per_quarter` |
| PerTok | `microtimings` | `30` | `num_microtiming_bins`; 0: `use_microtiming=False` |
| PerTok | `microrange` | `0.125` | `max_microtiming_shift`, in quarters |
| PerTok | `positions` | `0` | `use_position_toks`: Position instead of TimeShift |

MidiTok's default of 60 bars would cut half of a song.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from midigen_remi import values
from midigen_remi.config import CODECS, RemiConfig
from midigen_remi.values import PROGRAMS, Codec

from midigen.errors import MidigenError
from midigen.spec import format_spec
from midigen_miditok.kinds import ALL_OR_NONE, KINDS, Kind

CLASSES = tuple(name for name in KINDS if name != "REMI")
BASES = ("REMI", "TSD", "MIDILike")

OWN_CODECS: dict[str, Codec] = {
    "bars": values.count(1, 4096),
    "base": values.choice(*BASES),
    "tpq": values.count(24, 960),
    "microtimings": values.count(0, 256),
    "microrange": values.decimal(0.001, 1),
    "positions": values.switch(),
}


def _all_or_none() -> Codec:
    names = {"all": PROGRAMS, "none": ()}

    def read(text: str) -> tuple[int, ...]:
        if text not in names:
            raise ValueError(text)
        return names[text]

    return Codec(read, lambda value: "all" if value else "none", "all or none")


@dataclass(frozen=True)
class Options(RemiConfig):
    """The parameters that all classes share.

    arguments: of a tokenizer.json, those of MidiTok's `TokenizerConfig`, which may say more than
    the parameters can; None where a spec says it all.
    """

    plugin: ClassVar[str] = "miditok"
    arguments: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)

    def miditok_arguments(self) -> dict[str, Any]:
        """Return the arguments of MidiTok's `TokenizerConfig` for the same tokenizer."""
        if self.arguments is not None:
            return deepcopy(dict(self.arguments))
        return super().miditok_arguments()


@dataclass(frozen=True)
class MidiTokConfig:
    """The parameters of one tokenizer, named as in a spec.

    kind: MidiTok's class. options: the shared parameters, as they are in force: those that the
    class does not take have the only value that it knows.
    """

    kind: str
    options: Options
    bars: int = 256
    base: str = "REMI"
    tpq: int = 320
    microtimings: int = 30
    microrange: float = 0.125
    positions: bool = False

    @property
    def rules(self) -> Kind:
        """What the class takes, sets and adds."""
        return KINDS[self.kind]

    @property
    def one_stream(self) -> bool:
        """True where all tracks share one sequence, false where each has its own."""
        return self.kind == "MMM" or self.options.one_stream

    def spec(self) -> str:
        """Return the canonical spec: equal configurations give equal text."""
        found = {} if self.kind == CLASSES[0] else {"class": self.kind}
        plain = MidiTokConfig(self.kind, default_options(self.kind))
        for key in self.rules.keys:
            value = getattr(self.options, key)
            if value != getattr(plain.options, key):
                found[key] = codec_of(self.kind, key).write(value)
        for key in self.rules.own:
            if getattr(self, key) != getattr(plain, key):
                found[key] = OWN_CODECS[key].write(getattr(self, key))
        return format_spec("miditok", found)

    def miditok_arguments(self) -> dict[str, Any]:
        """Return the arguments of MidiTok's `TokenizerConfig` for the same tokenizer."""
        arguments = self.options.miditok_arguments()
        if self.options.arguments is not None:
            return arguments
        if "bars" in self.rules.own:
            arguments["max_bar_embedding"] = self.bars
        if self.kind == "MMM":
            arguments["base_tokenizer"] = self.base
        if self.kind == "PerTok":
            arguments["beat_res"] = {(0, beats): positions for beats, positions in self.options.res}
            arguments["ticks_per_quarter"] = self.tpq
            arguments["use_microtiming"] = self.microtimings > 0
            arguments["num_microtiming_bins"] = self.microtimings or 30
            arguments["max_microtiming_shift"] = self.microrange
            arguments["use_position_toks"] = self.positions
        return arguments


def codec_of(kind: str, key: str) -> Codec:
    """Return how a class's parameter is read and written."""
    if key in KINDS[kind].own:
        return OWN_CODECS[key]
    return _all_or_none() if key == "durations" and kind in ALL_OR_NONE else CODECS[key]


def default_options(kind: str) -> Options:
    """Return the shared parameters of a class where a spec names none."""
    return Options(**KINDS[kind].fixed)


def read_config(params: dict[str, str]) -> MidiTokConfig:
    """Return the configuration of a spec's parameters.

    Raises MidigenError for a class or key that is not known (naming those that are), a value that
    cannot be, or values that contradict each other.
    """
    given = dict(params)
    kind = given.pop("class", CLASSES[0])
    if kind not in CLASSES:
        hint = " (that is the plugin remi)" if kind == "REMI" else ""
        raise MidigenError(f"miditok has no class {kind!r}{hint}; known: {', '.join(CLASSES)}")
    rules = KINDS[kind]
    known = (*rules.keys, *rules.own)
    for key in given:
        if key not in known:
            raise MidigenError(
                f"miditok:class={kind} has no parameter {key!r}; known: {', '.join(known)}"
            )
    read = {k: values.parse(codec_of(kind, k), k, v, "miditok") for k, v in given.items()}
    shared = {key: value for key, value in read.items() if key in rules.keys}
    own = {key: value for key, value in read.items() if key in rules.own}
    config = MidiTokConfig(kind, replace(default_options(kind), **shared), **own)
    _check(config)
    return config


def _check(config: MidiTokConfig) -> None:
    """Raise MidigenError for what MidiTok's class cannot have, or loses time with."""
    grids = config.options.res
    if config.kind == "PerTok" and len({beats for beats, _ in grids}) < len(grids):
        raise MidigenError("miditok: two grids of res end at the same beat, which MidiTok excludes")
    if config.kind == "CPWord" and config.options.rests and config.options.ts:
        raise MidigenError(
            "miditok: CPWord with rests needs ts=0: a signature that changes during a rest is lost"
        )
    if config.kind == "PerTok" and config.options.resolution > config.tpq:
        raise MidigenError("miditok: res is finer than tpq")

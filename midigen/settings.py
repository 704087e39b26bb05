"""What a training run was asked for, as it is kept beside its state for ``--resume``."""

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from midigen.errors import MidigenError, UsageError
from midigen.modelfolder import write_json
from midigen.schedule import KINDS, PARTS

Unit = Literal["steps", "minutes", "epochs"]
DEFAULT_MINUTES = 20.0
DEFAULT_PRESET = "small"


@dataclass(frozen=True, slots=True)
class Settings:
    """A run. batch, eval_tokens: in model tokens. lr 0: chosen by the model's size.

    model: a spec of a model plugin; preset: what its settings are unless the spec says otherwise.
    stride: 0: a piece is cut into windows, which are packed into rows; else it is read in windows
    that start so many ids apart. window_growth: the share of the run over which windows grow to
    their length (`midigen.schedule`). epoch_share: how much of the windows an epoch takes.
    optimizer auto: muon, but adamw where that cannot be (--lora, --shard).
    betas, weight_decay, clip, label_smoothing: as the optimiser's and the loss's papers have them;
    weight_decay None: with Muon by the size of the data (`midigen.schedule.default_decay`), else
    0.1; clip 0: gradients are not clipped. dropout_rise: what an epoch over distinct pieces adds to
    the dropout of a model that has none of its own. schedule, warmup, lr_min, lr_factor: as in
    `midigen.schedule`; plateau: validations without gain that make a plateau. lora: the rank of
    `midigen.lora`, 0: all weights learn.
    condition: fields in order. condition_least: pieces that a value needs. condition_dropout: how
    often a window lacks a field; field_dropout: the same of single fields. stratify: the field of
    which every value gets test pieces, "" for none. infill_rate: the share of windows that teach to
    fill in.
    unit, amount: how long; most_epochs: of distinct pieces, after which a run of minutes ends all
    the same (`midigen.schedule.most_steps`), 0 for never.
    evals: validations over the whole run. patience: validations without gain before it stops, 0 for
    never.
    """

    model: str = "llama"
    preset: str = DEFAULT_PRESET
    window: int = 512
    window_growth: float = 0.0
    stride: int = 0
    batch: int = 4096
    lr: float = 0.0
    optimizer: str = "auto"
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float | None = None
    clip: float = 1.0
    label_smoothing: float = 0.0
    dropout_rise: float = 0.005
    schedule: str = "cosine"
    warmup: float = 0.03
    lr_min: float = 0.0
    lr_factor: float = 0.5
    plateau: int = 2
    lora: int = 0
    seed: int = 0
    unit: Unit = "minutes"
    amount: float = DEFAULT_MINUTES
    most_epochs: float = 40.0
    epoch_share: float = 1.0
    bpe: int = 0
    specials: bool = True
    condition: tuple[str, ...] = ("genre", "artist", "era")
    condition_least: int = 5
    condition_dropout: float = 0.1
    field_dropout: tuple[tuple[str, float], ...] = ()
    stratify: str = ""
    infill_rate: float = 0.0
    evals: int = 20
    eval_tokens: int = 65536
    patience: int = 5
    save_dtype: str = "fp32"
    dtype: str = "auto"
    compile: bool = False

    def __post_init__(self) -> None:
        """Raise UsageError for what no run can be."""
        limits: dict[str, tuple[float, float]] = {
            "window": (8, 1 << 20),
            "batch": (self.window, 1 << 30),
            "lr": (0.0, 10.0),
            "stride": (0, self.window),
            "window_growth": (0.0, 0.9),
            "weight_decay": (0.0, 10.0),
            "clip": (0.0, 1e9),
            "label_smoothing": (0.0, 0.9),
            "dropout_rise": (0.0, 1.0),
            "most_epochs": (0.0, 1e9),
            "warmup": (0.0, 1e9),
            "lr_min": (0.0, 10.0),
            "lr_factor": (1e-6, 1.0),
            "plateau": (0, 1_000_000),
            "lora": (0, 4096),
            "amount": (1e-6, 1e9),
            "epoch_share": (1e-6, 1.0),
            "bpe": (0, 1 << 20),
            "condition_dropout": (0.0, 1.0),
            "infill_rate": (0.0, 1.0),
            "evals": (1, 100_000),
            "eval_tokens": (1, 1 << 40),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if value is None:
                continue
            if not low <= value <= high:
                option = self.unit if name == "amount" else _option(name)
                raise UsageError(f"--{option} {value:g} is not in {low:g}..{high:g}")
        if self.window_growth and self.window % PARTS[0]:
            raise UsageError(
                f"--window-growth begins with an eighth of --window; {self.window} has none"
            )
        for name, share in self.field_dropout:
            if name not in self.condition:
                raise UsageError(f"--condition-dropout {name}: --condition does not name that")
            if not 0.0 <= share <= 1.0:
                raise UsageError(f"--condition-dropout {name}={share:g} is not in 0..1")
        if not all(0.0 <= beta < 1.0 for beta in self.betas):
            raise UsageError(f"--betas {self.betas}: both must be in 0..1, 1 excluded")
        for name, choices in (
            ("optimizer", ("auto", "adamw", "adamax", "muon")),
            ("schedule", KINDS),
            ("save_dtype", ("fp32", "bf16", "fp16")),
            ("dtype", ("auto", "fp32", "bf16")),
        ):
            if getattr(self, name) not in choices:
                value = getattr(self, name)
                raise UsageError(f"--{_option(name)} {value!r} is not {', '.join(choices)}")

    def chosen(self, shard: bool = False) -> "Settings":
        """Return these settings with an optimiser instead of ``auto``.

        shard: weights are split between processes. Raises UsageError for Muon then: it needs whole
        matrices.
        """
        if shard and self.optimizer == "muon":
            raise UsageError("--optimizer muon does not go with --shard: it needs whole matrices")
        if self.optimizer != "auto":
            return self
        return replace(self, optimizer="adamw" if shard or self.lora else "muon")

    @property
    def decay(self) -> float:
        """The weight decay that holds, where the data have no say."""
        return 0.1 if self.weight_decay is None else self.weight_decay

    @property
    def rows(self) -> int:
        """Rows of a batch, B."""
        return self.batch // self.window

    def save(self, path: Path) -> None:
        write_json(path, {"version": 1, **asdict(self)})

    @classmethod
    def read(cls, path: Path) -> "Settings":
        """Raise MidigenError where the file is of another version."""
        data: dict[str, Any] = json.loads(path.read_text())
        if data.pop("version", None) != 1 or set(data) != {item.name for item in fields(cls)}:
            raise MidigenError(f"{path}: a run of another version of midigen")
        lists = ("betas", "condition")
        data["field_dropout"] = tuple((name, share) for name, share in data["field_dropout"])
        return cls(**data | {name: tuple(data[name]) for name in lists})

    def resumed(self, asked: dict[str, Any]) -> "Settings":
        """Return the settings of a continued run: how long it may go on alone may change.

        Raises UsageError for another option that differs.
        """
        free = {"unit", "amount", "most_epochs", "patience"}
        for name, value in asked.items():
            if name not in free and value != getattr(self, name):
                raise UsageError(
                    f"--resume goes on with {name.replace('_', ' ')} {getattr(self, name)},"
                    f" not {value}"
                )
        return replace(self, **{name: asked[name] for name in free & asked.keys()})


def parse_betas(text: str) -> tuple[float, float]:
    """Return the two numbers of ``0.9,0.95``. Raises UsageError."""
    try:
        first, second = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--betas {text!r} is not two numbers, as 0.9,0.95") from None
    return first, second


def parse_dropout(text: str) -> dict[str, Any]:
    """Return what ``0.1,instruments=0.5`` sets: of all fields, and of single ones (none: of none).

    Raises UsageError for what is no number, and a field named twice.
    """
    found: dict[str, Any] = {}
    single: dict[str, float] = {}
    for part in text.split(","):
        name, equals, number = part.rpartition("=")
        try:
            share = float(number)
        except ValueError:
            raise UsageError(
                f"--condition-dropout {text!r} is not as 0.1 or 0.1,instruments=0.5"
            ) from None
        if (name in single) if equals else found:
            raise UsageError(f"--condition-dropout {text!r} says a share twice")
        if equals:
            single[name] = share
        else:
            found["condition_dropout"] = share
    return found | {"field_dropout": tuple(single.items())}


def _option(name: str) -> str:
    return name.replace("_", "-")

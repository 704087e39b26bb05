"""The parameters of `pitch`."""

from collections.abc import Mapping
from dataclasses import dataclass

from midigen.errors import MidigenError
from midigen.spec import format_spec

CHORDS = ("classes", "sets", "top")
STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
"""Parts of a whole note: 8 is an eighth, 12 an eighth of a triplet."""


@dataclass(frozen=True)
class Config:
    """chords: what becomes of several notes at once. step: of the grid, a part of a whole note."""

    chords: str = "classes"
    step: int = 8

    def params(self) -> dict[str, str]:
        """Return the parameters that are not at their default."""
        params = {"chords": self.chords, "step": str(self.step)}
        default = {"chords": "classes", "step": "8"}
        return {key: value for key, value in params.items() if value != default[key]}

    @property
    def spec(self) -> str:
        return format_spec("pitch", self.params())


def read_config(params: Mapping[str, str]) -> Config:
    """Return the parameters of a spec. Raises MidigenError that lists what there is."""
    for name in params:
        if name not in ("chords", "step"):
            raise MidigenError(f"pitch has no parameter {name!r}; there are chords, step")
    chords, step = params.get("chords", "classes"), params.get("step", "8")
    if chords not in CHORDS:
        raise MidigenError(f"pitch: chords={chords} is not one of {', '.join(CHORDS)}")
    if step not in map(str, STEPS):
        raise MidigenError(f"pitch: step={step} is not one of {', '.join(map(str, STEPS))}")
    return Config(chords, int(step))

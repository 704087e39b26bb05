"""The parameters of `barnote`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from midigen.errors import MidigenError
from midigen.spec import format_spec

CHOICES = {"outside": ("reject", "drop", "fold"), "short": ("drop", "keep")}
"""The values of each parameter that is a choice, the default first."""
_SIGNATURE = re.compile(r"([1-9]\d{0,2})/(1|2|4|8|16|32)\Z")


@dataclass(frozen=True)
class Config:
    """What becomes of music that the vocabulary cannot hold.

    outside: of a pitch outside 21 to 108: the piece is rejected, or the note is dropped, or moved
    by octaves. short: of a note that begins and ends in one place of the grid: it is dropped, or
    gets a sixteenth. meter: the time signature before the first that a piece names; None: a piece
    without any is rejected, and has no bars before the first.
    """

    outside: str = "reject"
    short: str = "drop"
    meter: tuple[int, int] | None = None

    @property
    def spec(self) -> str:
        params = {name: getattr(self, name) for name in CHOICES}
        params = {name: value for name, value in params.items() if value != CHOICES[name][0]}
        if self.meter is not None:
            params["meter"] = "{}/{}".format(*self.meter)
        return format_spec("barnote", params)


def read_config(params: Mapping[str, str]) -> Config:
    """Return the parameters of a spec. Raises MidigenError that lists what there is."""
    chosen: dict[str, str] = {}
    meter = None
    for name, value in params.items():
        if name == "meter":
            match = _SIGNATURE.match(value)
            if match is None:
                raise MidigenError(f"barnote: meter={value} is not a time signature such as 4/4")
            meter = int(match[1]), int(match[2])
        elif name not in CHOICES:
            known = ", ".join(sorted([*CHOICES, "meter"]))
            raise MidigenError(f"barnote has no parameter {name!r}; there are {known}")
        elif value not in CHOICES[name]:
            listed = ", ".join(CHOICES[name])
            raise MidigenError(f"barnote: {name}={value} is not one of {listed}")
        else:
            chosen[name] = value
    return Config(**chosen, meter=meter)

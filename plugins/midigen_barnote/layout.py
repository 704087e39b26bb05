"""The 153 ids of `barnote`: 0 bar, then 32 offsets, 88 pitches and 32 durations."""

from midigen.vocab import Vocab

BAR = 0
FIRST_OFFSET = 1
OFFSETS = 32
"""Offsets are 0 to 31 units from the bar before; a unit is a sixteenth note."""
FIRST_PITCH = FIRST_OFFSET + OFFSETS
LOWEST, HIGHEST = 21, 108
"""The pitches of a piano."""
FIRST_DURATION = FIRST_PITCH + HIGHEST - LOWEST + 1
LONGEST = 32
"""Durations are 1 to 32 units."""
SIZE = FIRST_DURATION + LONGEST

UNITS_PER_QUARTER = 4
REACH = OFFSETS - 1
"""Bars further apart than this have markers between them, as far apart as this."""


def build_vocab() -> Vocab:
    return Vocab(
        (
            "Bar_None",
            *(f"Offset_{units}" for units in range(OFFSETS)),
            *(f"Pitch_{pitch}" for pitch in range(LOWEST, HIGHEST + 1)),
            *(f"Duration_{units}" for units in range(1, LONGEST + 1)),
        )
    )

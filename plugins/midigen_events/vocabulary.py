"""The 3,406 ids of `events`: three specials, six event types, then a block for each parameter."""

from typing import NamedTuple

from midigen.vocab import Vocab

PAD, BOS, EOS = range(3)
UNIT = 8
"""Ids an event: its type, its parameters, PAD for the rest."""

NOTE, PATCH_CHANGE, CONTROL_CHANGE, SET_TEMPO, TIME_SIGNATURE, KEY_SIGNATURE = range(3, 9)
"""The ids of the event types."""
TYPES = {
    "note": ("time1", "time2", "track", "channel", "pitch", "velocity", "duration"),
    "patch_change": ("time1", "time2", "track", "channel", "patch"),
    "control_change": ("time1", "time2", "track", "channel", "controller", "value"),
    "set_tempo": ("time1", "time2", "track", "bpm"),
    "time_signature": ("time1", "time2", "track", "numerator", "denominator"),
    "key_signature": ("time1", "time2", "track", "sf", "mi"),
}
"""The parameters of every event type, in the order of its id."""


class Block(NamedTuple):
    """The ids of a parameter: `size` of them from `first` on, named by their `values`."""

    first: int
    size: int
    values: tuple[int, ...]


def _blocks(**values: range | tuple[int, ...]) -> dict[str, Block]:
    blocks, first = {}, NOTE + len(TYPES)
    for name, named in values.items():
        blocks[name] = Block(first, len(named), tuple(named))
        first += len(named)
    return blocks


BLOCKS = _blocks(
    time1=range(128),  # beats since the event before
    time2=range(16),  # sixteenths of the beat
    duration=range(2048),  # sixteenths of a beat
    track=range(128),
    channel=range(16),
    pitch=range(128),
    velocity=range(128),
    patch=range(128),
    controller=range(128),
    value=range(128),
    bpm=range(384),
    numerator=range(1, 17),
    denominator=(2, 4, 8, 16),
    sf=range(-7, 8),  # sharps, or flats below 0
    mi=range(2),  # 1: minor
)
STEPS = BLOCKS["time2"].size
"""Steps of time a beat (a quarter)."""
SLOWEST = 3
"""Quarters a minute, without the fraction, of the slowest tempo that a MIDI file holds."""


def build_vocab() -> Vocab:
    """Return the vocabulary: `Pad_None`, ..., `Event_note`, ..., `Time1_0`, ..., `Mi_1`.

    The first is not called `PAD_None`, as the filler behind a model's sequences is: it is a part of
    events, and a model must write it.
    """
    names = ["Pad_None", "BOS_None", "EOS_None", *(f"Event_{name}" for name in TYPES)]
    for name, block in BLOCKS.items():
        names += (f"{name.capitalize()}_{value}" for value in block.values)
    return Vocab(names)

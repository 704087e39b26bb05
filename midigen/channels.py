"""Which MIDI channel each note is sent on: 15 of them for melodic programs, number 10 for drums."""

from collections.abc import Sequence
from typing import NamedTuple

DRUM_CHANNEL = 9
"""Channel 10 of General MIDI, counted from 0."""
MELODIC_CHANNELS = (*range(DRUM_CHANNEL), *range(DRUM_CHANNEL + 1, 16))


class Part(NamedTuple):
    """What a track plays: a program (-1 drums) and the (start, end) of its notes, by start."""

    program: int
    spans: list[tuple[int, int]]


class Channels(NamedTuple):
    """Where a part is sent. notes: the channel of each. turns: (tick, channel) of program changes.

    A part takes its channel with a program change; what it sends holds until its next turn.
    """

    notes: list[int]
    turns: list[tuple[int, int]]


class Lasting:
    """Channels that programs keep from piece to piece; of 16 the one unused for longest goes."""

    def __init__(self) -> None:
        self._channel: dict[int, int] = {}

    def __call__(self, part: Part) -> Channels:
        """Return where a part is sent."""
        program = part.program
        if program < 0:
            return _fixed(DRUM_CHANNEL, part)
        # The order of the keys is that of their last use.
        channel = self._channel.pop(program, None)
        if channel is None:
            free = [c for c in MELODIC_CHANNELS if c not in self._channel.values()]
            channel = free[0] if free else self._channel.pop(next(iter(self._channel)))
        self._channel[program] = channel
        return _fixed(channel, part)


def assign(parts: Sequence[Part]) -> list[Channels]:
    """Return the channels of every part.

    Parts have channels of their own while there are 15; then each program has one; then programs
    take turns: a program moves to a channel on which nothing sounds, and holds it until another one
    needs it. Where more than 15 programs sound at once MIDI has no channel left, and the note goes
    to the channel that falls silent first.
    """
    melodic = [part for part in parts if part.program >= 0]
    programs = list(dict.fromkeys(part.program for part in melodic))
    if len(melodic) <= len(MELODIC_CHANNELS):
        free = iter(MELODIC_CHANNELS)
        own = [DRUM_CHANNEL if part.program < 0 else next(free) for part in parts]
    elif len(programs) <= len(MELODIC_CHANNELS):
        channel_of = dict(zip(programs, MELODIC_CHANNELS, strict=False)) | {-1: DRUM_CHANNEL}
        own = [channel_of[part.program] for part in parts]
    else:
        return _take_turns(parts)
    return [_fixed(channel, part) for channel, part in zip(own, parts, strict=True)]


def _fixed(channel: int, part: Part) -> Channels:
    return Channels([channel] * len(part.spans), [(0, channel)])


class _Hold(NamedTuple):
    """Who has a channel: a program, since when, its last note's start, and when all will end."""

    program: int
    since: int
    began: int
    ends: int


def _take_turns(parts: Sequence[Part]) -> list[Channels]:
    found = [_fixed(DRUM_CHANNEL, part) if part.program < 0 else Channels([], []) for part in parts]
    holds = dict.fromkeys(MELODIC_CHANNELS, _Hold(-1, -1, -1, -1))
    channel_of: dict[int, int] = {}
    notes = sorted(
        (start, end, k)
        for k, part in enumerate(parts)
        if part.program >= 0
        for start, end in part.spans
    )
    for start, end, k in notes:
        program = parts[k].program
        channel = channel_of.get(program, MELODIC_CHANNELS[0])
        if holds[channel].program != program:
            channel = channel_of[program] = _free(holds, start)
            holds[channel] = _Hold(program, start, start, end)
        hold = holds[channel]
        holds[channel] = _Hold(program, hold.since, start, max(end, hold.ends))
        mine = found[k]
        if not mine.turns or mine.turns[-1][0] < hold.since or mine.turns[-1][1] != channel:
            mine.turns.append((start, channel))
        mine.notes.append(channel)
    return found


def _free(holds: dict[int, _Hold], start: int) -> int:
    """Return the channel that has been silent longest, or else will be first.

    A channel whose last note ends right at `start` still sounds: its note-off may stand in a later
    track. One on which a note of another program begins at `start` comes last of all: of two
    program changes in different tracks at one time nobody knows the order.
    """
    return min(holds, key=lambda c: (holds[c].began >= start, holds[c].ends))

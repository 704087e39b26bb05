"""Pieces to a MIDI port, in time: one after the other, each as soon as the one before is over."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from queue import Empty, Queue
from threading import Event, Thread
from typing import Any

from midigen.barlines import bar_line_s, tick_s
from midigen.channels import Lasting
from midigen.errors import MidigenError
from midigen.midi import PROGRAM, channel_events

_AHEAD = 16
"""Pieces that are read before they are played: whoever writes them waits then."""
_LEAD_S = 0.05
"""From a piece's arrival, where none is playing, to its first note."""
_ALL_NOTES_OFF = 123
_CHANNELS = 16
_STEP_S = 0.02

Message = tuple[float, int, bytes]
"""Seconds, order within them, bytes for the port."""


@dataclass(slots=True)
class Timing:
    """How well the time was kept, in seconds. late: of each message. waits: for the next piece."""

    late: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    first: float | None = None

    def summary(self) -> str:
        """Return ``1,024 messages, 0.2 ms late on average and 3.1 at most; first sound 0.9 s``."""
        if not self.late or self.first is None:
            return "nothing was played"
        mean, worst = 1e3 * sum(self.late) / len(self.late), 1e3 * max(self.late)
        text = (
            f"{len(self.late):,} messages, {mean:.1f} ms late on average, {worst:.1f} at most;"
            f" first sound after {self.first:.2f} s"
        )
        if self.waits:
            text += f"; waited {len(self.waits)} times for the next bar, {sum(self.waits):.2f} s"
        return text


@contextmanager
def open_port(name: str) -> Iterator[Callable[[bytes], None]]:
    """Open a MIDI output by its name, ``default`` for the first; yield what sends bytes to it.

    At the end all notes are off. Raises MidigenError where there is no such port, naming those that
    there are, or nothing to reach ports by.
    """
    import mido

    try:
        names = mido.get_output_names()
    except (ImportError, OSError) as error:
        raise MidigenError(
            f"no MIDI ports can be reached ({error}); pip install python-rtmidi"
        ) from error
    if not names or name not in (*names, "default"):
        there = ", ".join(names) or "none at all"
        raise MidigenError(f"no MIDI port {name!r}; there are: {there}")
    with mido.open_output(names[0] if name == "default" else name) as port:

        def send(data: bytes) -> None:
            port.send(mido.Message.from_bytes(data))

        try:
            yield send
        finally:
            for channel in range(_CHANNELS):
                send(bytes((0xB0 | channel, _ALL_NOTES_OFF, 0)))


class Desk:
    """What a port gets of pieces that follow each other.

    A program keeps its channel, so that a note that sounds on into the next piece is left alone,
    and is sent again only where its channel had another.
    """

    def __init__(self) -> None:
        self._channels = Lasting()
        self._programs: dict[int, bytes] = {}

    def messages(self, score: Any) -> list[Message]:
        """Return the messages of a `symusic.Score` in ticks, by time from its beginning."""
        return [
            (tick_s(score, tick), order, data)
            for tick, order, data in channel_events(score, self._channels)
            if not self._is_known(data)
        ]

    def _is_known(self, data: bytes) -> bool:
        """Return whether a message is a program change to what its channel has."""
        if data[0] & 0xF0 != PROGRAM:
            return False
        known, self._programs[data[0]] = self._programs.get(data[0]), data
        return known == data


def length_s(score: Any, bars: int) -> float:
    """Return how long `bars` bars of a score last; of none, its notes."""
    return bar_line_s(score, bars) if bars else tick_s(score, score.end())


class Player:
    """Plays pieces as they come: (score, bars) each, bars 0 where nobody counts.

    send: takes the bytes of a message. clock, sleep: as in `time`.
    """

    def __init__(
        self,
        send: Callable[[bytes], None],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._send = send
        self._clock = clock
        self._sleep = sleep
        self._waiting: list[tuple[float, int, int, bytes]] = []
        self._numbers = count()
        self._desk = Desk()
        self.timing = Timing()

    def play(self, pieces: Iterable[tuple[Any, int]]) -> None:
        """Play to the last note's end."""
        begun, end = self._clock(), None
        source = _Source(pieces)
        try:
            while (piece := source.take(self._until_arrival)) is not None:
                score, bars = piece
                now = self._clock()
                if end is None or now > end:
                    if end is not None:
                        self.timing.waits.append(now - end)
                    end = now + _LEAD_S
                for seconds, order, data in self._desk.messages(score):
                    entry = (end + seconds, order, next(self._numbers), data)
                    heappush(self._waiting, entry)
                if self.timing.first is None and self._waiting:
                    self.timing.first = self._waiting[0][0] - begun
                end += length_s(score, bars)
                # The next is taken when this one has begun to sound, not before.
                self._until(end - _LEAD_S, source)
            self._until(None, source)
        finally:
            source.close()

    def _until_arrival(self) -> float:
        """Send what is due; return how long nothing will be."""
        self._send_due()
        if not self._waiting:
            return _STEP_S
        return min(_STEP_S, max(0.0, self._waiting[0][0] - self._clock()))

    def _until(self, end: float | None, source: "_Source") -> None:
        """Send what is due until `end`, or until nothing is left."""
        while self._waiting if end is None else self._clock() < end:
            self._send_due()
            due = self._waiting[0][0] if self._waiting else float("inf")
            until = min(due, float("inf") if end is None else end)
            pause = until - self._clock()
            if pause > 0 and until != float("inf"):
                self._sleep(pause)
        source.check()

    def _send_due(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._clock():
            due, _, _, data = heappop(self._waiting)
            self._send(data)
            self.timing.late.append(self._clock() - due)


class _Source:
    """Reads pieces in a thread of its own, a few ahead."""

    def __init__(self, pieces: Iterable[Any]) -> None:
        self._queue: Queue[Any] = Queue(_AHEAD)
        self._error: BaseException | None = None
        self._closed = Event()
        self._thread = Thread(target=self._read, args=(pieces,), daemon=True)
        self._thread.start()

    def _read(self, pieces: Iterable[Any]) -> None:
        try:
            for piece in pieces:
                self._queue.put(piece)
                if self._closed.is_set():
                    return
        except BaseException as error:
            self._error = error
        self._queue.put(None)

    def take(self, pause: Callable[[], float]) -> Any:
        """Return the next piece, None behind the last; `pause` says how long to wait at a time."""
        while True:
            try:
                piece = self._queue.get(timeout=max(0.001, pause()))
            except Empty:
                continue
            if piece is None:
                self.check()
            return piece

    def check(self) -> None:
        """Raise what reading raised, once all before it was played."""
        if self._error is not None and self._queue.empty():
            raise self._error

    def close(self) -> None:
        self._closed.set()

"""Stopping a run from outside without losing it."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Interrupt:
    """Ctrl-C and SIGTERM ask a run to stop behind its step; a second one stops it at once."""

    asked: bool = field(default=False)

    @contextmanager
    def caught(self) -> Iterator[None]:
        def note(number: int, frame: Any) -> None:
            if self.asked:
                raise KeyboardInterrupt
            self.asked = True

        old = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)

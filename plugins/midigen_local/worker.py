"""One worker process and the two pipes between it and its parent.

Each worker has pipes of its own: a queue that all share is lost with the first worker that dies
while it holds the queue's lock.
"""

import ctypes
import gc
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from midigen.memory import keep_memory
from midigen.protocols import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

# A fork has every module of its parent loaded and is ready in a few ms; on macOS a fork of a
# process that used system frameworks may hang, so there the worker starts from nothing.
METHOD = "fork" if sys.platform == "linux" else "spawn"
_PR_SET_PDEATHSIG = 1


class Worker:
    """The parent's side of a worker.

    task: what it works on, as (index, item), None while it waits. since: when it began.
    """

    def __init__(self, fn: Callable[[Any], Any], limit: float | None, foreign: Sequence[Any]):
        """Start a process that applies `fn`.

        foreign: the parent's ends of other workers' pipes. A fork inherits them and must let go of
        them, or the other workers would not notice that the parent is gone.
        """
        context: Any = multiprocessing.get_context(METHOD)
        tasks, self._tasks = context.Pipe(duplex=False)
        self.results, results = context.Pipe(duplex=False)
        ends = [*foreign, self._tasks, self.results] if METHOD == "fork" else []
        self._process = context.Process(
            target=_serve, args=(fn, tasks, results, ends, limit, os.getpid()), daemon=True
        )
        with _interrupt_held():
            self._process.start()
        tasks.close()
        results.close()
        self.task: tuple[int, Any] | None = None
        self.since = 0.0

    @property
    def ends(self) -> tuple[Any, Any]:
        return self._tasks, self.results

    def give(self, index: int, item: Any) -> bool:
        """Hand an item over; return whether the worker was alive to take it."""
        self.task, self.since = (index, item), time.monotonic()
        try:
            with _sigpipe_ignored():
                self._tasks.send(item)
        except OSError:
            return False
        return True

    def take(self) -> Any | Fault | None:
        """Return what became of the task, or None if the worker died instead of answering."""
        try:
            done, answer = pickle.loads(self.results.recv_bytes())
        except (EOFError, OSError):
            return None
        return answer if done else Fault("error", answer)

    def end(self, *, dying: bool = False) -> str:
        """Kill the process; return how it ended.

        dying: it has closed its pipe and gets a moment, so that the cause is its own.
        """
        if dying:
            self._process.join(1.0)
        self._process.kill()
        self._process.join()
        code = self._process.exitcode or 0
        for end in self.ends:
            end.close()
        self._process.close()
        if code < 0:
            names = {int(number): number.name for number in signal.Signals}
            return f"killed by {names.get(-code, f'signal {-code}')}"
        return f"exit code {code}"


@contextmanager
def _interrupt_held() -> "Iterator[None]":
    """Keep Ctrl-C until a fork is done.

    Python loses a KeyboardInterrupt that comes while it runs the functions that modules have
    registered to be called around a fork; and the new process, before it ignores the signal, would
    print a traceback.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if held:
            signal.raise_signal(signal.SIGINT)


@contextmanager
def _sigpipe_ignored() -> "Iterator[None]":
    """Writing to a dead worker must fail, not end a command that dies of closed pipes."""
    if signal.getsignal(signal.SIGPIPE) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def _serve(
    fn: Callable[[Any], Any],
    tasks: Connection,
    results: Connection,
    foreign: Sequence[Any],
    limit: float | None,
    parent: int,
) -> None:
    """Apply `fn` to one item after another until the parent closes the pipe."""
    for end in foreign:
        end.close()
    # Ctrl-C reaches the whole group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    if sys.platform == "linux":
        _die_with(parent)
        keep_memory(64 << 20)
    # What the parent made is not garbage of ours: collections need not walk it.
    gc.freeze()
    while True:
        try:
            item = tasks.recv()
        except EOFError:
            return
        if limit is not None:
            # The parent's clock rings first; this one ends a worker whose parent is gone.
            signal.setitimer(signal.ITIMER_REAL, limit + 5)
        try:
            answer = pickle.dumps((True, fn(item)), protocol=5)
        except Exception as error:
            answer = pickle.dumps((False, f"{type(error).__name__}: {error}"))
        signal.setitimer(signal.ITIMER_REAL, 0)
        results.send_bytes(answer)


def _die_with(parent: int) -> None:
    """Ask Linux to end this process when its parent ends; elsewhere the pipe's end does."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)

"""Runs a function over items in worker processes, results in the order of the items."""

import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import wait
from typing import Any

from midigen.errors import MidigenError
from midigen.protocols import Fault
from midigen_local.worker import Worker


class LocalExecutor:
    """An executor (`midigen.protocols.Executor`) of `jobs` processes, started when needed.

    One job, too, runs in a process of its own: an item that crashes never takes the caller with it.
    """

    def __init__(self, arg: str = "", jobs: int = 1) -> None:
        if arg:
            raise MidigenError(f"executor 'local' takes no argument, but got {arg!r}; use -j N")
        if jobs < 1:
            raise MidigenError(f"{jobs} worker processes; at least 1 is needed")
        self.jobs = jobs

    def imap(
        self,
        fn: Callable[[Any], Any],
        items: Iterable[Any],
        timeout: float | None,
        in_flight: int,
    ) -> Iterator[tuple[Any, Any]]:
        """Yield (item, result or `Fault`) in the order of `items`, which is read lazily.

        Faults: ``crash`` (the worker died), ``timeout`` (more than `timeout` seconds on one item;
        the worker is killed), ``error`` (`fn` raised). At most `in_flight` items, but one a
        worker at least, are read ahead of what has been yielded. Closing the iterator kills the
        workers.
        """
        run = _Run(fn, items, timeout, self.jobs, max(in_flight, self.jobs))
        try:
            yield from run
        finally:
            run.end()


class _Run:
    """One `imap`: its workers, and the results that wait for their turn."""

    def __init__(
        self,
        fn: Callable[[Any], Any],
        items: Iterable[Any],
        timeout: float | None,
        jobs: int,
        in_flight: int,
    ) -> None:
        self._fn = fn
        self._items = enumerate(items)
        self._timeout = timeout
        self._jobs = jobs
        self._in_flight = in_flight
        self._workers: list[Worker] = []
        self._done: dict[int, tuple[Any, Any]] = {}
        self._read = 0
        self._yielded = 0

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        while True:
            self._hand_out()
            if self._yielded in self._done:
                yield self._done.pop(self._yielded)
                self._yielded += 1
            elif self._read == self._yielded:
                return
            else:
                self._collect()

    def end(self) -> None:
        while self._workers:
            self._workers.pop().end()

    def _hand_out(self) -> None:
        """Give every idle worker an item while there are items."""
        while self._read - self._yielded < self._in_flight:
            idle = next((worker for worker in self._workers if worker.task is None), None)
            if idle is None and len(self._workers) == self._jobs:
                return
            index, item = next(self._items, (-1, None))
            if index < 0:
                return
            self._read += 1
            worker = idle or self._start()
            if not worker.give(index, item):
                # It died while it was idle: not this item's doing.
                self._replace(worker).give(index, item)

    def _start(self) -> Worker:
        foreign = [end for worker in self._workers for end in worker.ends]
        self._workers.append(Worker(self._fn, self._timeout, foreign))
        return self._workers[-1]

    def _replace(self, worker: Worker) -> Worker:
        self._workers.remove(worker)
        worker.end()
        return self._start()

    def _collect(self) -> None:
        """Wait until a worker has answered, has died, or is out of time."""
        busy: dict[Any, Worker] = {
            worker.results: worker for worker in self._workers if worker.task is not None
        }
        # An answer that lies ready counts, however late the caller comes for it.
        for end in wait(busy, self._patience(busy.values())):
            worker = busy.pop(end)
            answer = worker.take()
            if answer is None:
                self._workers.remove(worker)
                answer = Fault("crash", worker.end(dying=True))
            self._finish(worker, answer)
        for worker in busy.values():
            if self._timeout is not None and worker.since + self._timeout <= time.monotonic():
                self._workers.remove(worker)
                worker.end()
                self._finish(worker, Fault("timeout", f"more than {self._timeout:g} s"))

    def _patience(self, workers: Iterable[Worker]) -> float | None:
        """Return the seconds until the first of the busy workers is out of time."""
        if self._timeout is None:
            return None
        first = min(worker.since for worker in workers)
        return max(0.0, first + self._timeout - time.monotonic())

    def _finish(self, worker: Worker, answer: Any) -> None:
        assert worker.task is not None
        index, item = worker.task
        worker.task = None
        self._done[index] = (item, answer)

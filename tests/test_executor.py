"""Local workers: order kept, one bad item costs one item, nobody is left behind."""

import ctypes
import faulthandler
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from midigen_local import LocalExecutor, worker

from midigen.errors import MidigenError
from midigen.protocols import Executor, Fault
from midigen.registry import load


def imap(fn: Callable[[Any], Any], items: Any, jobs: int = 2, **options: Any) -> list[Any]:
    options = {"timeout": 20.0, "in_flight": 8} | options
    return list(LocalExecutor(jobs=jobs).imap(fn, items, **options))


def sleep_and_square(item: tuple[float, int]) -> int:
    time.sleep(item[0])
    return item[1] ** 2


def misbehave(item: str) -> str:
    if item == "exit":
        os._exit(3)
    if item == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "segfault":
        faulthandler.disable()
        ctypes.string_at(0)
    if item == "hang":
        time.sleep(60)
    if item == "raise":
        raise ValueError("no such thing")
    if item == "lambda":
        return lambda: item  # type: ignore[return-value]
    return item.upper()


def worker_pid(_: object) -> int:
    return os.getpid()


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def test_local_is_installed_and_keeps_to_the_protocol() -> None:
    executor: Executor = load("executors", "local")("", 2)
    assert [result for _, result in executor.imap(abs, [-1, 2], None, 2)] == [1, 2]


@pytest.mark.parametrize("jobs", [1, 3])
def test_results_come_in_the_order_of_the_items(jobs: int) -> None:
    items = [(0.02 * (n % 3), n) for n in range(12)]
    assert imap(sleep_and_square, items, jobs) == [(item, item[1] ** 2) for item in items]


def test_work_is_done_in_as_many_processes_as_jobs_and_never_here() -> None:
    for jobs in (1, 4):
        pids = {pid for _, pid in imap(worker_pid, range(8), jobs)}
        assert len(pids) == jobs and os.getpid() not in pids


def test_few_items_start_few_workers() -> None:
    results = LocalExecutor(jobs=8).imap(worker_pid, [1], 20.0, 8)
    next(results)
    assert len(children()) == 1
    results.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize(
    ("item", "reason", "detail"),
    [
        ("exit", "crash", "exit code 3"),
        ("kill", "crash", "killed by SIGKILL"),
        ("segfault", "crash", "killed by SIGSEGV"),
        ("raise", "error", "ValueError: no such thing"),
    ],
)
def test_bad_item_costs_one_item(jobs: int, item: str, reason: str, detail: str) -> None:
    items = ["a", item, "b", "c", item, "d"]
    results = imap(misbehave, items, jobs)
    assert [given for given, _ in results] == items
    fault = Fault(reason, detail)
    assert [result for _, result in results] == ["A", fault, "B", "C", fault, "D"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_item_that_hangs_costs_one_item(jobs: int) -> None:
    # Long enough for a machine that is busy with other things to do the others in time.
    results = imap(misbehave, ["a", "hang", "b", "c"], jobs, timeout=3.0)
    fault = Fault("timeout", "more than 3 s")
    assert [result for _, result in results] == ["A", fault, "B", "C"]


def test_result_that_cannot_be_sent_is_an_error_of_its_item() -> None:
    results = imap(misbehave, ["lambda", "a"], jobs=1)
    assert results[0][1].reason == "error"
    assert results[1] == ("a", "A")


def test_every_item_crashing_ends_all_the_same() -> None:
    results = imap(misbehave, ["exit"] * 20)
    assert [fault.reason for _, fault in results] == ["crash"] * 20


def test_worker_killed_while_idle_costs_nothing() -> None:
    def items() -> Any:
        yield from range(2)
        (only,) = children()
        only.kill()
        while only.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        yield from range(2, 4)

    results = LocalExecutor(jobs=1).imap(abs, items(), 20.0, 1)
    assert [result for _, result in results] == [0, 1, 2, 3]


def test_large_items_and_results_pass() -> None:
    items = [bytes([n]) * 3_000_000 for n in range(4)]
    assert imap(bytes, items) == [(item, item) for item in items]


def test_items_are_read_lazily() -> None:
    taken = []

    def items() -> Any:
        for n in range(100):
            taken.append(n)
            yield n

    results = LocalExecutor(jobs=2).imap(abs, items(), 20.0, 5)
    for count in range(1, 20):
        next(results)
        assert len(taken) <= count + 5
    results.close()  # type: ignore[attr-defined]


def test_result_that_waits_for_its_reader_is_no_timeout() -> None:
    results = LocalExecutor(jobs=1).imap(bytes, [2_000_000, 1, 2], 2.0, 2)
    next(results)
    time.sleep(2.5)
    assert [len(result) for _, result in results] == [1, 2]


def test_one_imap_can_run_within_another() -> None:
    executor = LocalExecutor(jobs=2)
    outer = executor.imap(abs, [-1, -2, -3], 20.0, 3)
    inner = [
        [result for _, result in executor.imap(abs, [-value, -9], 20.0, 2)] for _, value in outer
    ]
    assert inner == [[1, 9], [2, 9], [3, 9]]


def test_closing_ends_all_workers_at_once() -> None:
    results = LocalExecutor(jobs=3).imap(sleep_and_square, [(0, 1), (60, 2), (60, 3)], None, 3)
    next(results)
    began = time.monotonic()
    results.close()  # type: ignore[attr-defined]
    assert time.monotonic() - began < 20
    assert not children()


def test_finished_run_leaves_no_worker_and_no_open_file() -> None:
    before = len(psutil.Process().open_files()), psutil.Process().num_fds()
    imap(misbehave, ["a", "exit", "b", "raise"] * 3)
    assert not children()
    assert (len(psutil.Process().open_files()), psutil.Process().num_fds()) == before


def test_error_of_the_items_reaches_the_caller_and_ends_the_workers() -> None:
    def items() -> Any:
        yield 1
        raise OSError("no more names")

    with pytest.raises(OSError, match="no more names"):
        imap(abs, items())
    assert not children()


def test_workers_that_start_from_nothing_do_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "METHOD", "spawn")
    results = imap(misbehave, ["a", "exit", "b"], jobs=1)
    assert results == [("a", "A"), ("exit", Fault("crash", "exit code 3")), ("b", "B")]


def test_arguments_that_mean_nothing_are_refused() -> None:
    with pytest.raises(MidigenError, match="takes no argument"):
        LocalExecutor("8")
    with pytest.raises(MidigenError, match="at least 1"):
        LocalExecutor(jobs=0)


SCRIPT = """
import os, signal, sys, time
from midigen_local import LocalExecutor

def work(item):
    os.write(1, b"%d\\n" % os.getpid())
    if item == "hold":
        # A hang that holds the GIL: no thread of the worker can notice anything.
        import ctypes
        ctypes.PyDLL(None).usleep(60_000_000)
    if item == "die":
        os._exit(1)
    time.sleep(60 if item == "hang" else 0)
    return item

"""


def start(tmp_path: Path, body: str) -> "subprocess.Popen[str]":
    script = tmp_path / "script.py"
    script.write_text(SCRIPT + textwrap.dedent(body))
    return subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for_end(pids: list[int], seconds: float = 20.0) -> None:
    """Fail if one of the processes still runs after that time."""
    processes = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    running = [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]
    assert not running


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a hung worker outlives its parent")
@pytest.mark.parametrize("item", ["hang", "hold"])
def test_workers_end_when_the_parent_is_killed(tmp_path: Path, item: str) -> None:
    body = f"list(LocalExecutor(jobs=2).imap(work, ['{item}', '{item}'], None, 4))"
    with start(tmp_path, body) as parent:
        assert parent.stdout is not None
        pids = [int(parent.stdout.readline()) for _ in range(2)]
        parent.kill()
        parent.wait()
        wait_for_end(pids)


def test_idle_workers_end_when_the_parent_is_killed(tmp_path: Path) -> None:
    body = """
        results = LocalExecutor(jobs=3).imap(work, range(3), None, 3)
        next(results)
        time.sleep(60)
    """
    with start(tmp_path, body) as parent:
        assert parent.stdout is not None
        pids = [int(parent.stdout.readline()) for _ in range(3)]
        parent.kill()
        parent.wait()
        wait_for_end(pids)


def test_interrupt_ends_workers_without_a_word_from_them(tmp_path: Path) -> None:
    body = """
        os.setpgrp()
        try:
            list(LocalExecutor(jobs=2).imap(work, ["hang", "hang"], None, 4))
        except KeyboardInterrupt:
            sys.exit(130)
    """
    with start(tmp_path, body) as parent:
        assert parent.stdout is not None and parent.stderr is not None
        pids = [int(parent.stdout.readline()) for _ in range(2)]
        os.killpg(parent.pid, signal.SIGINT)
        assert parent.wait(timeout=20) == 130
        assert parent.stderr.read() == ""
        wait_for_end(pids)


def test_dead_worker_does_not_end_a_filter_by_sigpipe(tmp_path: Path) -> None:
    body = """
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)

        def items():
            yield 1
            import psutil
            (only,) = psutil.Process().children()
            only.kill()
            while only.status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.01)
            yield 2

        print(*(result for _, result in LocalExecutor().imap(work, items(), 20, 1)))
        print(signal.getsignal(signal.SIGPIPE) == signal.SIG_DFL)
    """
    with start(tmp_path, body) as parent:
        out, err = parent.communicate(timeout=20)
    assert parent.returncode == 0, err
    assert out.splitlines()[-2:] == ["1 2", "True"]


def test_interrupt_during_a_fork_is_not_lost(tmp_path: Path) -> None:
    body = """
        os.register_at_fork(after_in_parent=lambda: signal.raise_signal(signal.SIGINT))
        try:
            list(LocalExecutor().imap(abs, [1], 20, 1))
        except KeyboardInterrupt:
            sys.exit(130)
    """
    with start(tmp_path, body) as parent:
        _, err = parent.communicate(timeout=20)
    assert (parent.returncode, err) == (130, "")

"""The edge that every command shares: exit codes, one-line errors, terminals, closed streams."""

import os
import pty
import subprocess
import sys
import termios
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import CHECKOUT, Runner

from midigen import __version__
from midigen.cli._edge import Run, Silent, describe
from midigen.errors import DataError, MidigenError, Reject, UsageError
from midigen.rejects import Rejects

COMMANDS = sorted(
    path.stem for path in (CHECKOUT / "midigen" / "cli").glob("*.py") if path.stem[0] != "_"
)
FILTERS = {"tokfilter": [], "tokaug": ["--shift", "1"], "toklabel": ["--set", "genre=pop"]}
LINE = b'{"id":"a","tok":"remi#b64e4a10","ids":[4]}\n'


@pytest.mark.parametrize("command", COMMANDS)
def test_version_and_help_are_exit_0(run: Runner, command: str) -> None:
    assert run(command, "--version").text == f"{command} (midigen) {__version__}\n"
    text = run(command, "--help").text
    assert text.startswith(f"Usage: {command}")
    assert run(command, "-h").text == text


@pytest.mark.parametrize("command", COMMANDS)
def test_unknown_option_is_exit_2_in_one_line(run: Runner, command: str) -> None:
    result = run(command, "--no-such-option", code=2)
    assert result.err == f"{command}: No such option: --no-such-option\n"
    assert result.out == b""


@pytest.mark.parametrize("command", FILTERS)
def test_missing_file_is_exit_1_and_named(run: Runner, command: str) -> None:
    result = run(command, *FILTERS[command], "gone.jsonl", code=1)
    assert result.err == f"{command}: gone.jsonl: No such file or directory\n"
    assert run(command, *FILTERS[command], "gone.jsonl", "-o", "out.jsonl", code=1).out == b""
    assert list(run.folder.iterdir()) == []


@pytest.mark.parametrize("command", FILTERS)
def test_cut_stream_is_exit_1_and_leaves_nothing(run: Runner, command: str) -> None:
    result = run(command, *FILTERS[command], "-o", "out.jsonl", stdin=LINE + LINE[:20], code=1)
    assert f"{command}: <stdin>:2: the last line has no LF" in result.err
    assert list(run.folder.iterdir()) == []


def test_traceback_is_shown_only_when_asked_for(run: Runner) -> None:
    plain = run("tokfilter", "gone.jsonl", code=1)
    shown = run("tokfilter", "gone.jsonl", "--traceback", code=1)
    assert "Traceback" not in plain.err
    assert "Traceback" in shown.err and "FileNotFoundError" in shown.err


COMMAND = """
import sys, time
from midigen.cli._edge import Command, Run
from midigen.errors import DataError, UsageError

def probe(run: Run, what: str = "") -> None:
    "A command for tests."
    if what == "usage": raise UsageError("that means nothing")
    if what == "data": raise DataError("x.jsonl:3", "pitch 131 not in 0..127")
    if what == "bug": raise ZeroDivisionError("oops")
    if what == "memory": raise MemoryError
    if what == "wait":
        print("ready", flush=True)
        time.sleep(60)
    if what == "input": run.inputs([])
    if what == "binary": run.refuse_terminal("MIDI")
    if what == "long":
        with run.output() as file:
            for _ in range(100_000): file.write(b"x" * 99 + bytes([10]))
    if what == "print": print("x" * 10)
    if what == "bar":
        with run.progress(total=3, unit="file") as bar:
            for _ in range(3): bar.update(1)
        for _ in run.progress(range(3)): pass
    run.finish(0 if what == "none" else 1, "1 records")

Command(probe, is_filter="--no-filter" not in sys.argv)(
    [arg for arg in sys.argv[1:] if arg != "--no-filter"]
)
"""


@pytest.fixture
def probe(tmp_path: Path) -> list[str]:
    """The words that start a command made for these tests."""
    script = tmp_path / "probe.py"
    script.write_text(textwrap.dedent(COMMAND))
    return [sys.executable, str(script)]


@pytest.mark.parametrize(
    ("what", "code", "text"),
    [
        ("", 0, "1 records"),
        ("none", 1, "1 records"),
        ("usage", 2, "that means nothing"),
        ("data", 1, "x.jsonl:3: pitch 131 not in 0..127"),
        ("bug", 1, "internal error: ZeroDivisionError: oops (--traceback shows where)"),
        ("memory", 1, "out of memory"),
    ],
)
def test_errors_are_one_line_and_their_exit_code(
    probe: list[str], what: str, code: int, text: str
) -> None:
    done = subprocess.run([*probe, f"--what={what}"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (code, f"probe: {text}\n")


def test_quiet_says_only_what_must_be_said(probe: list[str]) -> None:
    for what, expected in (("", ""), ("none", "probe: 1 records\n")):
        done = subprocess.run([*probe, "-q", f"--what={what}"], capture_output=True, text=True)
        assert done.stderr == expected


def test_interrupt_is_exit_130_and_silent(probe: list[str]) -> None:
    with subprocess.Popen(
        [*probe, "--what=wait"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(2)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, b"")


def test_filter_ends_silently_when_its_reader_goes(run: Runner, probe: list[str]) -> None:
    line = f"{' '.join(probe)} --what=long; echo $? >&2"
    result = run.shell(f"set +eo pipefail; ( {line} ) | head -n 1")
    assert result.err == "141\n"


def test_command_that_lives_on_sees_the_closed_pipe(run: Runner, probe: list[str]) -> None:
    line = f"{' '.join(probe)} --what=long --no-filter; echo $? >&2"
    assert run.shell(f"set +eo pipefail; ( {line} ) | head -n 1").err == "1\n"


@pytest.mark.parametrize("what", ["long", "print"])
def test_full_disk_is_one_line(run: Runner, probe: list[str], what: str) -> None:
    result = run.shell(f"{' '.join(probe)} -q --what={what} > /dev/full", code=1)
    assert result.err == "probe: No space left on device\n"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_closed_stream_is_like_the_null_device(
    run: Runner, tunes: Path, probe: list[str], closed: str
) -> None:
    run.shell(f"midi2tok {tunes}/sakura.mid -o out.jsonl {closed}")
    assert (run.folder / "out.jsonl").read_bytes().startswith(b'{"v":1,')
    assert run.shell(f"{' '.join(probe)} {closed}").out == b""


def on_terminal(command: Sequence[str], *, stdin: bool = False, stdout: bool = False,
                stderr: bool = False) -> tuple[int, str]:  # fmt: skip
    """Run with a terminal in the place of these streams; return exit code and what it showed."""
    terminal, end = pty.openpty()
    termios.tcsetwinsize(end, (24, 100))
    with subprocess.Popen(
        command,
        stdin=end if stdin else subprocess.DEVNULL,
        stdout=end if stdout else subprocess.DEVNULL,
        stderr=end if stderr else subprocess.PIPE,
    ) as process:
        os.close(end)
        shown = b""
        while True:
            try:
                block = os.read(terminal, 4096)
            except OSError:  # Linux says EIO where the last writer has gone.
                break
            if not block:
                break
            shown += block
        if process.stderr is not None:
            shown += process.stderr.read()
    os.close(terminal)
    return process.returncode, shown.decode().replace("\r\n", "\n")


def test_terminal_is_not_waited_for(probe: list[str]) -> None:
    text = "probe: no input: name files, or pipe something in\n"
    assert on_terminal([*probe, "--what=input"], stdin=True) == (2, text)


def test_midi2tok_alone_on_a_terminal_is_a_usage_error(bin_dir: Path) -> None:
    for args in ([], ["-"], ["--files-from", "-"], ["-0"]):
        code, shown = on_terminal([str(bin_dir / "midi2tok"), *args], stdin=True)
        assert (code, shown) == (2, "midi2tok: no input: name files, or pipe something in\n")


def test_binary_is_not_written_to_a_terminal(probe: list[str]) -> None:
    code, shown = on_terminal([*probe, "--what=binary"], stdout=True)
    assert code == 2
    assert shown.endswith("probe: MIDI is binary and stdout is a terminal; redirect it or use -o\n")


def test_bar_is_shown_on_a_terminal_alone(probe: list[str], bin_dir: Path, tunes: Path) -> None:
    _, shown = on_terminal([*probe, "--what=bar"], stderr=True)
    assert "3/3" in shown and shown.endswith("probe: 1 records\n")
    _, quiet = on_terminal([*probe, "--what=bar", "-q"], stderr=True)
    assert quiet == ""
    piped = subprocess.run([*probe, "--what=bar"], capture_output=True, text=True)
    assert piped.stderr == "probe: 1 records\n"
    count = len(list(tunes.glob("*.mid")))
    _, shown = on_terminal([str(bin_dir / "midi2tok"), str(tunes)], stderr=True)
    assert f"{count}/{count}" in shown and "file" in shown


def test_errors_know_their_line_and_code() -> None:
    missing = FileNotFoundError(2, "No such file or directory", "a\udcff")
    assert describe(missing) == ("a\udcff: No such file or directory", 1)
    assert describe(OSError("odd")) == ("odd", 1)
    assert describe(UsageError("u")) == ("u", 2)
    assert describe(MidigenError("m")) == ("m", 1)
    assert describe(DataError("", "f")) == ("f", 1)
    assert str(Reject("parse", "cut")) == "parse: cut" and str(Reject("parse")) == "parse"


def test_silent_bar_does_what_a_bar_does() -> None:
    with Silent([1, 2]) as bar:
        assert list(bar) == [1, 2]
        bar.update(1)
        bar.set_postfix_str("x")
        bar.close()
    assert list(Silent()) == []


def test_summary_names_rejects_by_number(capsys: pytest.CaptureFixture[str]) -> None:
    rejects = Rejects()
    for reason in ("a", "b", "b"):
        rejects.add("x", reason)
    run = Run("probe", quiet=False)
    run.finish(2, "2 files", rejects)
    assert capsys.readouterr().err == "probe: 2 files; 3 rejected (2 b, 1 a)\n"
    assert run.exit_code == 0


def test_rejects_file_grows_in_whole_lines_even_when_killed(
    run: Runner, bin_dir: Path, tmp_path: Path
) -> None:
    names = b"gone.mid\n" * 3000
    with subprocess.Popen(
        [bin_dir / "midi2tok", "--rejects", "bad.jsonl", "--files-from", "-"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(names)
        process.stdin.flush()
        while not (tmp_path / "bad.jsonl").exists() or not (tmp_path / "bad.jsonl").stat().st_size:
            time.sleep(0.01)
        process.kill()
    assert (tmp_path / "bad.jsonl").read_bytes().endswith(b"}\n")

"""Laws that every stream command keeps: order does not matter, lines are whole, pipes silent."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from conftest import Runner
from hand_records import lines_of, piece, read_lines

from midigen.jsonl import loads

PIECES = [piece(k) for k in range(60)]
STREAM = lines_of(PIECES)

# Commands whose answer for a line does not depend on other lines.
LINE_BY_LINE = [
    "tokfilter --genre pop --min-bars 2",
    "tokfilter --split train --invert",
    "tokfilter --program piano --sample 0.5",
    "tokfilter --where 'n.notes > 10 and not meta.year'",
    "tokaug --shift 6",
    "tok2tok --tokenizer remi:programs=0,velocities=16",
    "tokcut --bars 1:2 --bars 2: --transpose-to C",
    "tokaug --shift 3 --velocity 2 --copies 3 --seed 5",
    "toklabel --set 'x=y' --group artist,title",
    "toklabel --from 'path:{folder}/{name}' --map genre=map.csv",
]
QUIET = {command: command.replace(" ", " -q ", 1) for command in LINE_BY_LINE}


@pytest.fixture
def files(run: Runner) -> Runner:
    """A runner in a folder with the stream in two halves, a and b, and a map."""
    lines = STREAM.splitlines(keepends=True)
    (run.folder / "a").write_bytes(b"".join(lines[:25]))
    (run.folder / "b").write_bytes(b"".join(lines[25:]))
    (run.folder / "map.csv").write_text("hip hop,rap\n")
    return run


def compact_json() -> str:
    """Return a shell word that reads and writes every line anew, as ``jq -c .`` does."""
    if shutil.which("jq"):
        return "jq -c ."
    return """python3 -c 'import json, sys
for line in sys.stdin: print(json.dumps(json.loads(line), separators=(",", ":")))'"""


@pytest.mark.parametrize("command", LINE_BY_LINE)
def test_shuffling_before_or_after_gives_the_same_lines(files: Runner, command: str) -> None:
    result = files.shell(
        f"cat a b > all; {QUIET[command]} all > straight; shuf all | {QUIET[command]} > shuffled;"
        " sort straight | sha256sum; sort shuffled | sha256sum; wc -l < straight"
    )
    straight, shuffled, count = result.lines
    assert straight == shuffled and int(count) > 0


@pytest.mark.parametrize("command", LINE_BY_LINE)
def test_splitting_and_joining_gives_the_same_lines(files: Runner, command: str) -> None:
    result = files.shell(
        f"cat a b | {QUIET[command]} | sort | sha256sum; cat a b | shuf | split -l 20 - part.;"
        f"for part in part.*; do {QUIET[command]} < $part || test $? = 1; done 2> /dev/null"
        " | sort | sha256sum"
    )
    straight, split = result.lines
    assert straight == split


def test_the_whole_way_round_gives_the_same_set_of_records(files: Runner) -> None:
    result = files.shell(
        "cat a b | tokaug -q --shift 6 | sort > straight;"
        f"cat b a | shuf | split -l 11 - part.; cat part.* | {compact_json()} | shuf"
        f" | tokaug -q --shift 6 | {compact_json()} | tokfilter -q --min-notes 0 | head -n 100000"
        " | sort > round; cat straight"
    )
    straight = Counter(json.dumps(record, sort_keys=True) for record in read_lines(result.out))
    round_trip = (files.folder / "round").read_bytes()
    again = Counter(json.dumps(record, sort_keys=True) for record in read_lines(round_trip))
    assert straight == again and sum(straight.values()) > 120


def test_head_ends_every_command_silently(files: Runner) -> None:
    many = STREAM * 60
    for command in ("tokfilter", "tokaug --shift 6", "toklabel --set a=b"):
        result = files.shell(f"set +o pipefail; {command} | head -n 2", stdin=many)
        assert len(result.lines) == 2 and result.err == ""


UNKNOWN = (
    b'"deep": {"b": [1, 2.5, null, {"c": "\xc3\xa4\\u0000\\ud83d\\ude00"}], "a": true}, "big":'
    b' 123456789012345678901234567890, "tiny": 1e-300, "ids2": [], "": 0'
)


@pytest.mark.parametrize("command", LINE_BY_LINE)
def test_unknown_keys_pass_as_the_values_they_are(files: Runner, command: str) -> None:
    with_unknown = STREAM.replace(b'{"v":1', b'{"v":1,' + UNKNOWN)
    expected = json.loads(b"{" + UNKNOWN + b"}")
    result = files.shell(command, stdin=with_unknown)
    assert result.lines
    for line in result.lines:
        record = json.loads(line)
        assert {key: record[key] for key in expected} == expected
        assert loads(line)["big"] == 123456789012345678901234567890


def test_hand_made_lines_need_id_tok_and_ids_alone(run: Runner) -> None:
    bare = lines_of([{key: PIECES[0][key] for key in ("id", "tok", "ids")}])
    assert run("tokfilter", "--drums", "--invert", stdin=bare).out == bare
    out = read_lines(run("tokaug", "--shift", "1", stdin=bare).out)
    assert out[1]["group"] == out[1]["id"] == PIECES[0]["id"] and len(out) == 3
    assert read_lines(run("toklabel", "--set", "a=b", stdin=bare).out)[0]["meta"] == {"a": "b"}


@pytest.mark.parametrize("command", ["tokfilter", "tokaug --shift 6", "toklabel --set a=b"])
def test_kill_9_leaves_no_file_under_the_name_of_the_output(
    files: Runner, bin_dir: Path, command: str
) -> None:
    program, *options = command.split()
    argv = [str(bin_dir / program), *options, "-o", "out.jsonl"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, cwd=files.folder) as process:
        assert process.stdin
        process.stdin.write(STREAM * 20)
        process.stdin.flush()
        deadline = time.monotonic() + 60
        while not any(path.stat().st_size for path in files.folder.glob(".out.jsonl.part-*")):
            assert time.monotonic() < deadline, "nothing was written"
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (files.folder / "out.jsonl").exists()


@pytest.mark.parametrize("command", ["tokfilter", "tokaug --shift 6", "toklabel --set a=b"])
def test_an_interrupt_is_exit_130_and_leaves_nothing(
    run: Runner, bin_dir: Path, command: str
) -> None:
    program, *options = command.split()
    argv = [str(bin_dir / program), *options, "-o", "out.jsonl"]
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(argv, cwd=run.folder, **pipes) as process:  # type: ignore[call-overload]
        process.stdin.write(STREAM * 20)
        process.stdin.flush()
        deadline = time.monotonic() + 60
        while not any(path.stat().st_size for path in run.folder.iterdir()):
            assert time.monotonic() < deadline, "nothing was written"
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert process.stderr.read() == b""
    assert list(run.folder.iterdir()) == []


@pytest.mark.parametrize("command", ["tokfilter", "tokaug --shift 6", "toklabel --set a=b"])
def test_lines_that_are_no_records_are_counted_and_passed_over(run: Runner, command: str) -> None:
    bad = [b"not json", b"", b"[]", b'{"id":"x"}', b'{"id":"x","tok":"remi#00000000","ids":[-1]}']
    stream = b"\n".join([bad[0], STREAM.splitlines()[0], *bad[1:]]) + b"\n"
    result = run.shell(f"{command} --rejects bad.jsonl", stdin=stream)
    assert b"piece0" in result.lines[0]
    assert "5 rejected" in result.err
    rejects = read_lines((run.folder / "bad.jsonl").read_bytes())
    assert [reject["src"] for reject in rejects] == [f"<stdin>:{n}" for n in (1, 3, 4, 5, 6)]


def test_a_full_disk_is_one_line(run: Runner) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    for command in ("tokfilter", "tokaug --shift 6", "toklabel --set a=b"):
        result = run.shell(f"{command} > /dev/full", stdin=STREAM, code=1)
        assert result.err.splitlines()[-1].endswith("No space left on device")
        assert "Traceback" not in result.err

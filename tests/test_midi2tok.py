"""The installed midi2tok: what it reads, what it writes, and how it ends."""

import ast
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import Result, Runner

from midigen.jsonl import RecordReader
from midigen.rejects import Rejects

NOT_MIDI = b"<html>404</html>"


def listed(run: Runner, name: str) -> list[dict[str, Any]]:
    """Return the lines of a JSON Lines file."""
    return [json.loads(line) for line in (run.folder / name).read_text().splitlines()]


def records(result: Result) -> list[dict[str, Any]]:
    """Return the records on stdout; every line must be one."""
    assert not result.out or result.out.endswith(b"\n")
    return [json.loads(line) for line in result.lines]


def sources(result: Result) -> list[str]:
    return [record["src"] for record in records(result)]


@pytest.fixture
def folder(tmp_path: Path, tunes: Path) -> Path:
    """A folder of a few files at two depths, in `tmp_path` as ``in``."""
    files = sorted(tunes.glob("*.mid"))
    for name, file in zip(["b.mid", "a/x.MID", "a/B.Midi", "c.kar"], files, strict=False):
        target = tmp_path / "in" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    (tmp_path / "in" / "notes.txt").write_bytes(NOT_MIDI)
    return tmp_path / "in"


def test_record_has_all_its_fields(run: Runner, tunes: Path) -> None:
    path = tunes / "greensleeves.mid"
    data = path.read_bytes()
    (record,) = records(run("midi2tok", path))
    assert list(record) == [
        "v", "id", "group", "src", "md5", "tok", "ids", "n", "meta", "aug",
    ]  # fmt: skip
    assert record["id"] == hashlib.sha256(data).hexdigest()[:16]
    assert record["md5"] == hashlib.md5(data).hexdigest()
    assert record["src"] == str(path)
    assert record["tok"].startswith("remi#")
    assert record["meta"] == record["aug"] == {}
    assert list(record["n"]) == ["notes", "bars", "seconds", "tracks"]
    assert min(record["n"].values()) > 0
    assert len(record["ids"]) > record["n"]["notes"]


def test_records_are_read_back_without_a_complaint(run: Runner, tunes: Path) -> None:
    run("midi2tok", tunes, "-o", "all.jsonl")
    rejects = Rejects(strict=True)
    found = list(RecordReader([str(run.folder / "all.jsonl")], rejects))
    assert len(found) == len(list(tunes.glob("*.mid")))


def test_ids_are_those_of_the_tokenizer(run: Runner, tunes: Path) -> None:
    from midigen.ingest import parse
    from midigen.tokenizers import tokenizer_of

    for record in records(run("midi2tok", tunes)):
        encoded = tokenizer_of(record["tok"]).encode(parse(Path(record["src"]).read_bytes()))
        assert record["ids"] == encoded.parts[0].tolist()


def test_folder_is_read_at_any_depth_in_order_of_names(run: Runner, folder: Path) -> None:
    expected = ["in/a/B.Midi", "in/a/x.MID", "in/b.mid", "in/c.kar"]
    assert sources(run("midi2tok", "in")) == expected
    assert sources(run("midi2tok", "in", "-j3")) == expected


def test_files_keep_the_order_in_which_they_were_named(run: Runner, folder: Path) -> None:
    assert sources(run("midi2tok", "in/c.kar", "in/b.mid", "in/c.kar")) == [
        "in/c.kar", "in/b.mid", "in/c.kar",
    ]  # fmt: skip


def test_jobs_change_nothing_but_the_time(run: Runner, tunes: Path) -> None:
    files = [path for path in sorted(tunes.glob("*.mid")) for _ in range(8)]
    single, double, default = (
        run("midi2tok", *options, *files) for options in (["-j1"], ["-j2"], [])
    )
    assert single.out == double.out == default.out


def test_one_file_on_stdin(run: Runner, tunes: Path) -> None:
    data = (tunes / "sakura.mid").read_bytes()
    (named,) = records(run("midi2tok", tunes / "sakura.mid"))
    for args in ([], ["-"]):
        (record,) = records(run("midi2tok", *args, stdin=data))
        assert record == named | {"src": "-"}


def test_stdin_can_stand_among_files(run: Runner, folder: Path, tunes: Path) -> None:
    data = (tunes / "sakura.mid").read_bytes()
    assert sources(run("midi2tok", "in/b.mid", "-", "in/c.kar", stdin=data)) == [
        "in/b.mid", "-", "in/c.kar",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        "printf 'in/b.mid\\nin/a\\n\\nin/c.kar' > list; midi2tok --files-from list",
        "printf 'in/b.mid\\nin/a\\nin/c.kar\\n' | midi2tok --files-from -",
        "printf 'in/b.mid\\0in/a\\0in/c.kar' | midi2tok -0",
        "printf 'in/a\\0in/c.kar\\0' > list; midi2tok in/b.mid -0 --files-from list",
        "midi2tok in/b.mid in/a in/c.kar",
    ],
)
def test_names_come_from_lists(run: Runner, folder: Path, line: str) -> None:
    assert sources(run.shell(line)) == ["in/b.mid", "in/a/B.Midi", "in/a/x.MID", "in/c.kar"]


def test_dash_in_a_list_is_a_file(run: Runner, folder: Path) -> None:
    shutil.copy(folder / "b.mid", run.folder / "-")
    result = run("midi2tok", "--files-from", "-", stdin=b"-\nin/b.mid\n")
    assert sources(result) == ["./-", "in/b.mid"]


def test_names_with_newlines_and_broken_bytes_survive(run: Runner, folder: Path) -> None:
    (run.folder / "odd").mkdir()
    odd = os.fsencode(run.folder) + b"/odd"
    for name in (b"two\nlines.mid", b"caf\xe9.mid", "café.mid".encode(), b"100%25.mid"):
        shutil.copy(folder / "b.mid", odd + b"/" + name)
    result = run.shell("find odd -name '*.mid' -print0 | sort -z | midi2tok -0")
    assert sources(result) == ["odd/100%25.mid", "odd/café.mid", "odd/caf%E9.mid",
                               "odd/two\nlines.mid"]  # fmt: skip
    assert len(result.lines) == 4
    assert set(sources(run("midi2tok", "odd"))) == set(sources(result))


def test_list_that_trickles_in_is_answered_as_it_comes(
    run: Runner, folder: Path, bin_dir: Path
) -> None:
    command = [bin_dir / "midi2tok", "--files-from", "-", "-j1"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        cwd=run.folder,
    ) as process:  # fmt: skip
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(b"in/b.mid\n" * 40)
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["src"] == "in/b.mid"
        process.stdin.close()
        assert len(process.stdout.readlines()) == 39


def test_bad_files_are_counted_listed_and_do_not_stop_the_others(
    run: Runner, folder: Path, hexdumps: Path
) -> None:
    (run.folder / "empty.mid").touch()
    (run.folder / "header.mid").write_bytes((hexdumps / "one_note.mid").read_bytes()[:14])
    bad = ["gone.mid", "in/notes.txt", "empty.mid", "header.mid", hexdumps / "no_notes.mid"]
    result = run("midi2tok", "--rejects", "bad.jsonl", *bad, "in/b.mid")
    assert sources(result) == ["in/b.mid"]
    rejects = listed(run, "bad.jsonl")
    assert [reject["src"] for reject in rejects] == list(map(str, bad))
    reasons = ["io", "not_midi", "empty", "broken", "no_notes"]
    assert [reject["reason"] for reject in rejects] == reasons
    assert rejects[0]["detail"] == "No such file or directory"
    assert "1 files, 1 records" in result.err and "5 rejected" in result.err
    assert all(f"1 {reason}" in result.err for reason in reasons)


def test_rejects_are_appended_in_whole_lines(run: Runner, folder: Path) -> None:
    for _ in range(2):
        run("midi2tok", "--rejects", "bad.jsonl", "gone.mid", "in/b.mid")
    assert len((run.folder / "bad.jsonl").read_bytes().splitlines()) == 2


def test_nothing_accepted_is_exit_1(run: Runner, folder: Path) -> None:
    result = run("midi2tok", "in/notes.txt", code=1)
    assert result.out == b""
    assert result.err.startswith("midi2tok: 0 files") and "1 not_midi" in result.err
    assert "1 not_midi" in run("midi2tok", "-q", "in/notes.txt", code=1).err


def test_folder_without_midi_is_named(run: Runner) -> None:
    (run.folder / "nothing").mkdir()
    assert "1 no_files" in run("midi2tok", "nothing", code=1).err


def test_folder_that_links_to_itself_ends(run: Runner, folder: Path) -> None:
    (folder / "a" / "again").symlink_to(folder)
    assert len(sources(run("midi2tok", "in"))) == 4


def test_summary_counts_what_was_written(run: Runner, tunes: Path) -> None:
    result = run("midi2tok", tunes)
    found = records(result)
    notes = sum(record["n"]["notes"] for record in found)
    tokens = sum(len(record["ids"]) for record in found)
    expected = (
        f"midi2tok: {len(found)} files, {len(found)} records, {notes:,} notes, {tokens:,} tok"
    )
    assert result.err.startswith(expected)
    assert result.err.count("\n") == 1
    assert run("midi2tok", "--quiet", tunes).err == ""


def test_set_puts_values_into_meta(run: Runner, tunes: Path) -> None:
    options = ["genre=pop", "genre=folk", "year=1984", "artist=1975", "title=", "loudness=-3.5"]
    args = [word for option in options for word in ("--set", option)]
    (record,) = records(run("midi2tok", *args, tunes / "sakura.mid"))
    expected = {"genre": ["pop", "folk"], "year": 1984, "artist": "1975", "loudness": -3.5}
    assert record["meta"] == expected


def test_set_without_a_value_is_a_usage_error(run: Runner, tunes: Path) -> None:
    result = run("midi2tok", "--set", "pop", tunes, code=2)
    assert result.err == "midi2tok: 'pop' is not key=value, as in genre=pop\n"


def test_what_the_vocabulary_cannot_hold_is_named(run: Runner, hexdumps: Path) -> None:
    result = run("midi2tok", hexdumps / "odd_meter.mid")
    assert records(result)[0]["meta"] == {"lossy": ["time_signature"]}
    assert "lossy: 1 time_signature" in result.err
    strict = run("midi2tok", "--strict", hexdumps / "odd_meter.mid", code=1)
    assert "lossy" in strict.err and "time_signature" in strict.err and strict.out == b""


def test_strict_stops_at_the_first_reject(run: Runner, folder: Path) -> None:
    result = run("midi2tok", "--strict", "in/notes.txt", "in/b.mid", "-o", "out.jsonl", code=1)
    assert result.err == "midi2tok: in/notes.txt: not_midi: no MThd in it; begins with b'<htm'\n"
    assert sorted(path.name for path in run.folder.iterdir()) == ["in"]


def test_tokenizer_is_chosen_by_spec(run: Runner, tunes: Path) -> None:
    path = tunes / "sakura.mid"
    plain, other = (
        records(run("midi2tok", *options, path))[0]
        for options in ([], ["--tokenizer", "remi:velocities=16"])
    )
    assert other["tok"].startswith("remi:velocities=16#")
    assert other["id"] == plain["id"] and other["ids"] != plain["ids"]
    (again,) = records(run("midi2tok", "--tokenizer", other["tok"], path))
    assert again == other


def test_one_sequence_a_track_is_one_record_a_part(run: Runner, tunes: Path) -> None:
    path = next(p for p in sorted(tunes.glob("*.mid")) if p.stem == "pachelbel_canon")
    (whole,) = records(run("midi2tok", path))
    result = run("midi2tok", "--tokenizer", "remi:programs=0", path)
    parts = records(result)
    assert len(parts) == whole["n"]["tracks"] > 1
    for k, part in enumerate(parts):
        assert part["id"] == f"{whole['id']}.{k}"
        assert part["part"] == [k, len(parts)]
        assert part["group"] == whole["group"]
        assert part["n"]["tracks"] == 1
        assert -1 <= part["meta"]["program"] <= 127
    assert sum(part["n"]["notes"] for part in parts) == whole["n"]["notes"]
    assert f"1 files, {len(parts)} records, {whole['n']['notes']:,} notes" in result.err
    (track,) = [p for p in parts if p["n"]["bars"] == whole["n"]["bars"]][:1]
    assert track["n"]["seconds"] <= whole["n"]["seconds"]


def test_unknown_tokenizer_names_those_installed(run: Runner, tunes: Path) -> None:
    result = run("midi2tok", "--tokenizer", "rmi", tunes, code=1)
    assert result.err.startswith("midi2tok: no tokenizer 'rmi'; installed: ")
    assert "remi" in result.err


def test_fingerprint_of_another_vocabulary_is_refused(run: Runner, tunes: Path) -> None:
    result = run("midi2tok", "--tokenizer", "remi#00000000", tunes, code=1)
    assert "#00000000" in result.err and "remi#" in result.err


def test_model_folder_brings_its_tokenizer(run: Runner, tunes: Path) -> None:
    from midigen.registry import tokenizer

    remi = tokenizer("remi:velocities=16")
    tok = f"{remi.spec}#{remi.vocab.fingerprint}"
    model = run.folder / "m.model"
    model.mkdir()
    vocab = {"version": 1, "tok": tok, "tokens": list(remi.vocab.tokens), "merges": [],
             "specials": True, "conditions": {}}  # fmt: skip
    (model / "vocab.json").write_text(json.dumps(vocab))
    (record,) = records(run("midi2tok", "-m", "m.model", tunes / "sakura.mid"))
    assert record["tok"] == tok
    (starter,) = records(run("midi2tok", "-m", "starter", tunes / "sakura.mid"))
    assert starter["tok"].startswith("remi#")
    both = run("midi2tok", "-m", "m.model", "--tokenizer", "remi", tunes, code=2)
    assert "give one" in both.err


def test_model_folder_that_is_none_is_named(run: Runner, tunes: Path) -> None:
    result = run("midi2tok", "-m", "gone.model", tunes, code=1)
    assert "gone.model" in result.err and result.err.count("\n") == 1


def test_usage_errors_are_exit_2_and_one_line(run: Runner, folder: Path) -> None:
    for args in (
        ["-0", "in"],
        ["--files-from", "-", "-"],
        ["--jobs", "0", "in"],
        ["--timeout", "0", "in"],
        ["--nonsense", "in"],
    ):
        result = run("midi2tok", *args, code=2)
        assert result.err.startswith("midi2tok: ") and result.err.count("\n") == 1
        assert result.out == b""


def test_list_that_is_not_there_is_an_error(run: Runner) -> None:
    result = run("midi2tok", "--files-from", "gone.txt", code=1)
    assert result.err == "midi2tok: gone.txt: No such file or directory\n"


def test_unknown_executor_names_those_installed(run: Runner, folder: Path) -> None:
    result = run("midi2tok", "--executor", "cluster", "in", code=1)
    assert "no executor 'cluster'; installed: local" in result.err


def test_output_is_never_written_over_without_force(run: Runner, folder: Path) -> None:
    (run.folder / "out.jsonl").write_text("mine\n")
    result = run("midi2tok", "in", "-o", "out.jsonl", code=1)
    assert result.err == "midi2tok: out.jsonl exists; --force replaces it\n"
    assert (run.folder / "out.jsonl").read_text() == "mine\n"
    run("midi2tok", "in", "-o", "out.jsonl", "--force")
    assert len((run.folder / "out.jsonl").read_bytes().splitlines()) == 4


@pytest.mark.parametrize(("name", "unpack"), [("o.jsonl.gz", "gzip -dc"), ("o.jsonl.zst", "cat")])
def test_output_is_packed_as_its_name_says(
    run: Runner, folder: Path, name: str, unpack: str
) -> None:
    run("midi2tok", "in", "-o", name)
    found = list(RecordReader([str(run.folder / name)], Rejects(strict=True)))
    assert len(found) == 4
    assert (run.folder / name).stat().st_size < len(run("midi2tok", "in").out)
    assert unpack == "cat" or run.shell(f"{unpack} {name}").out == run("midi2tok", "in").out


def test_closed_pipe_is_silent(run: Runner, tunes: Path) -> None:
    copies = " ".join([str(tunes)] * 40)
    result = run.shell(f"set +o pipefail; midi2tok -q -j2 {copies} | head -n 1")
    assert len(result.lines) == 1 and result.err == ""


def start(run: Runner, bin_dir: Path, *args: str | Path) -> "subprocess.Popen[bytes]":
    """Start midi2tok on a list that never ends; wait until it has a worker."""
    process = subprocess.Popen(
        [bin_dir / "midi2tok", *args, "--files-from", "-", "-j2"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=run.folder,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(b"in/b.mid\n" * 500)
    process.stdin.flush()
    while len(psutil.Process(process.pid).children()) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    return process


def ended(pids: list[int]) -> bool:
    for _ in range(400):
        if not any(
            psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
            for pid in pids
        ):
            return True
        time.sleep(0.05)
    return False


def test_kill_9_leaves_nothing_under_the_name(run: Runner, folder: Path, bin_dir: Path) -> None:
    with start(run, bin_dir, "-o", "out.jsonl") as process:
        workers = [child.pid for child in psutil.Process(process.pid).children()]
        process.kill()
        process.wait()
    assert not (run.folder / "out.jsonl").exists()
    assert ended(workers)


def test_interrupt_is_exit_130_and_leaves_nothing(run: Runner, folder: Path, bin_dir: Path) -> None:
    with start(run, bin_dir, "-o", "out.jsonl") as process:
        workers = [child.pid for child in psutil.Process(process.pid).children()]
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == b""
    assert sorted(path.name for path in run.folder.iterdir()) == ["in"]
    assert ended(workers)


CRASHER = """
import os, time
from midigen_remi import Remi

class Crasher(Remi):
    "Crashes, hangs or raises where the first note says so."

    def encode_many(self, xs):
        for x in xs:
            pitch = x.tracks[0].notes[0].pitch
            if pitch == 1:
                os._exit(7)
            if pitch == 2:
                time.sleep(60)
            if pitch == 3:
                raise ValueError("a bug")
        return super().encode_many(xs)
"""


@pytest.fixture
def crasher(run: Runner, tunes: Path) -> dict[str, str]:
    """An environment with the tokenizer faulty.crasher:Crasher; ``in`` has 30 files that try it."""
    import mido

    (run.folder / "faulty").mkdir()
    (run.folder / "faulty" / "crasher.py").write_text(CRASHER)
    (run.folder / "in").mkdir()
    for number in range(30):
        track = mido.MidiTrack(
            [
                mido.Message("note_on", note=number if number in (1, 2, 3) else 60, time=0),
                mido.Message("note_off", note=number if number in (1, 2, 3) else 60, time=48),
            ]
        )
        song = mido.MidiFile(tracks=[track])
        song.save(run.folder / "in" / f"{number:02}.mid")
    return {"PYTHONPATH": str(run.folder)}


@pytest.mark.parametrize("jobs", ["-j1", "-j2"])
def test_guilty_files_alone_are_lost(run: Runner, crasher: dict[str, str], jobs: str) -> None:
    args = [jobs, "--tokenizer", "faulty.crasher:Crasher", "--timeout", "4"]
    result = run("midi2tok", *args, "--rejects", "bad.jsonl", "in", env=crasher)
    assert listed(run, "bad.jsonl") == [
        {"src": "in/01.mid", "reason": "crash", "detail": "exit code 7"},
        {"src": "in/02.mid", "reason": "timeout", "detail": "more than 4 s"},
        {"src": "in/03.mid", "reason": "error", "detail": "ValueError: a bug"},
    ]
    assert sources(result) == [f"in/{n:02}.mid" for n in range(30) if n not in (1, 2, 3)]
    assert "1 crash, 1 timeout, 1 error" in result.err


BYTE_READER = """
from midigen.errors import Reject
from midigen.protocols import Encoded
from midigen_remi import Remi

class ByteReader(Remi):
    "One id a file: the number of its tracks, as its header says; no scores are wanted."

    def encode_many(self, xs):
        raise AssertionError("this one reads bytes")

    def encode_midi_many(self, files):
        import numpy as np

        counts = [int.from_bytes(file[10:12]) for file in files]
        return [
            Encoded([np.array([count], np.uint16)]) if count > 1 else Reject("one", "track")
            for count in counts
        ]
"""


def test_tokenizer_that_reads_midi_gets_the_bytes(run: Runner, tunes: Path, hexdumps: Path) -> None:
    (run.folder / "odd").mkdir()
    (run.folder / "odd" / "reader.py").write_text(BYTE_READER)
    files = [tunes / "sakura.mid", hexdumps / "one_note.mid", tunes / "rock_beat.mid"]
    args = ["--tokenizer", "odd.reader:ByteReader", *files]
    result = run("midi2tok", *args, env={"PYTHONPATH": str(run.folder)})
    expected = [int.from_bytes(path.read_bytes()[10:12]) for path in files]
    assert [record["ids"] for record in records(result)] == [[expected[0]], [expected[2]]]
    assert "1 tokenizer" in result.err


PARSER = """
import ctypes, faulthandler
import midigen.ingest
from midigen_remi import Remi

sound = midigen.ingest.parse

def parse(data):
    "A parser in C that dies of some files and never returns from others."
    if b"segfault" in data:
        faulthandler.disable()
        ctypes.string_at(0)
    if b"abort" in data:
        ctypes.CDLL(None).abort()
    if b"hold" in data:
        ctypes.PyDLL(None).usleep(60_000_000)  # and holds the interpreter's lock
    if b"spin" in data:
        while True:
            pass
    return sound(data)

midigen.ingest.parse = parse
Tokenizer = Remi
"""


def test_parser_that_dies_or_hangs_costs_its_files(run: Runner, tunes: Path) -> None:
    (run.folder / "bad").mkdir()
    (run.folder / "bad" / "parser.py").write_text(PARSER)
    (run.folder / "in").mkdir()
    data = (tunes / "sakura.mid").read_bytes()
    tricks = {3: b"segfault", 11: b"hold", 12: b"abort", 17: b"spin"}
    for number in range(24):
        # Behind the last track: no part of the music.
        path = run.folder / "in" / f"{number:02}.mid"
        path.write_bytes(data + tricks.get(number, b""))
    args = ["-j2", "--tokenizer", "bad.parser:Tokenizer", "--timeout", "3"]
    args += ["--rejects", "bad.jsonl", "in"]
    result = run("midi2tok", *args, env={"PYTHONPATH": str(run.folder)})
    assert sources(result) == [f"in/{n:02}.mid" for n in range(24) if n not in tricks]
    assert listed(run, "bad.jsonl") == [
        {"src": "in/03.mid", "reason": "crash", "detail": "killed by SIGSEGV"},
        {"src": "in/11.mid", "reason": "timeout", "detail": "more than 3 s"},
        {"src": "in/12.mid", "reason": "crash", "detail": "killed by SIGABRT"},
        {"src": "in/17.mid", "reason": "timeout", "detail": "more than 3 s"},
    ]
    assert "20 files" in result.err and "2 crash, 2 timeout" in result.err


def test_record_says_which_rung_it_took(run: Runner, tunes: Path, hexdumps: Path) -> None:
    names = ["one_note", "data_bytes", "rmid", "smpte", "cut_off"]
    result = run("midi2tok", *(hexdumps / f"{name}.mid" for name in names))
    found = records(result)
    assert [record["meta"].get("ingest") for record in found] == [
        None, "sanitised", "salvaged", "sanitised", "salvaged",
    ]  # fmt: skip
    assert "; 2 salvaged, 2 sanitised" in result.err
    assert found[0]["ids"] == found[2]["ids"]
    for record in found:
        data = Path(record["src"]).read_bytes()
        assert record["id"] == hashlib.sha256(data).hexdigest()[:16]
        assert record["md5"] == hashlib.md5(data).hexdigest()


def test_mended_files_are_tokenized_by_one_that_reads_midi(run: Runner, hexdumps: Path) -> None:
    (run.folder / "odd").mkdir()
    (run.folder / "odd" / "reader.py").write_text(STRICT_READER)
    files = [hexdumps / f"{name}.mid" for name in ("one_note", "rmid", "macbinary", "data_bytes")]
    args = ["--tokenizer", "odd.reader:StrictReader", *files]
    found = records(run("midi2tok", *args, env={"PYTHONPATH": str(run.folder)}))
    assert [record["ids"] for record in found] == [[1]] * 4


STRICT_READER = """
from midigen.protocols import Encoded
from midigen_remi import Remi

class StrictReader(Remi):
    "One id a file: the number of notes that a strict parse of the bytes finds."

    def encode_midi_many(self, files):
        import numpy as np
        from symusic import Score

        counts = [Score.from_midi(file).note_num() for file in files]
        return [Encoded([np.array([count], np.uint16)]) for count in counts]
"""


def test_rmid_files_of_a_folder_are_read(run: Runner, hexdumps: Path) -> None:
    (run.folder / "in").mkdir()
    shutil.copy(hexdumps / "rmid.mid", run.folder / "in" / "x.RMI")
    assert sources(run("midi2tok", "in")) == ["in/x.RMI"]


def test_limits_are_those_of_the_options(run: Runner, tunes: Path) -> None:
    path = tunes / "sakura.mid"
    (record,) = records(run("midi2tok", path))
    notes = record["n"]["notes"]
    run("midi2tok", "--max-notes", str(notes), path)
    for option, value, name, reason in (
        ("--max-notes", notes - 1, path.name, f"too_many_notes: {notes}; at most {notes - 1}"),
        ("--max-ticks", 9, path.name, "too_long"),
        ("--max-tracks", 1, "pachelbel_canon.mid", "too_many_tracks"),
    ):
        result = run("midi2tok", option, str(value), tunes / name, "--strict", code=1)
        assert reason in result.err, option


def test_limits_without_options_are_those_of_the_library() -> None:
    import inspect

    from midigen.cli.midi2tok import midi2tok
    from midigen.ingest import DEFAULT_LIMITS, Limits

    given = inspect.signature(midi2tok).parameters
    defaults = (given[name].default for name in ("max_notes", "max_ticks", "max_tracks"))
    assert Limits(*defaults) == DEFAULT_LIMITS


def test_reasons_are_a_closed_list_that_the_page_explains() -> None:
    from midigen.cli.midi2tok import REJECTS
    from midigen.reasons import REASONS

    for reason in REASONS:
        assert re.search(rf"\b{reason}\b", REJECTS), reason
    checkout = Path(__file__).parent.parent
    names = ["batches", "chunks", "encoding", "ingest", "lenient", "measure", "salvage", "sources"]
    paths = [checkout / "midigen" / f"{name}.py" for name in names]
    paths += (checkout / "plugins").glob("midigen_local/*.py")
    used = {reason for path in paths for reason in reasons_in(path)}
    assert used == set(REASONS)


def reasons_in(path: Path) -> set[str]:
    """Return the words that a module gives as the reason of a `Reject` or `Fault`, or counts."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        name = (
            node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        )
        place = {"Reject": 0, "Fault": 0, "add": 1}.get(name)
        if place is not None and len(node.args) > place:
            word = node.args[place]
            if isinstance(word, ast.Constant) and isinstance(word.value, str):
                found.add(word.value)
    return found


def test_reason_that_a_tokenizer_makes_up_is_the_tokenizers(run: Runner, tunes: Path) -> None:
    (run.folder / "odd").mkdir()
    (run.folder / "odd" / "picky.py").write_text(
        "from midigen.errors import Reject\n"
        "from midigen_remi import Remi\n"
        "class Picky(Remi):\n"
        "    def encode_many(self, xs):\n"
        "        return [Reject('dull', 'no syncopes')] * len(xs)\n"
    )
    args = ["--tokenizer", "odd.picky:Picky", "--rejects", "bad.jsonl", tunes / "sakura.mid"]
    run("midi2tok", *args, env={"PYTHONPATH": str(run.folder)}, code=1)
    (reject,) = listed(run, "bad.jsonl")
    assert (reject["reason"], reject["detail"]) == ("tokenizer", "dull: no syncopes")


def test_part_is_measured_where_other_tracks_are_left_out(run: Runner) -> None:
    import mido

    low, high = 40, 60
    song = mido.MidiFile()
    for pitch, count in ((low, 3), (high, 5), (high, 7)):
        messages = [
            mido.Message(kind, note=pitch, time=time, channel=len(song.tracks))
            for _ in range(count)
            for kind, time in (("note_on", 0), ("note_off", 480))
        ]
        song.tracks.append(mido.MidiTrack(messages))
    song.save(run.folder / "x.mid")
    parts = records(run("midi2tok", "--tokenizer", "remi:pitch=48-72,programs=0", "x.mid"))
    assert [part["n"]["notes"] for part in parts] == [5, 7]
    assert [part["part"] for part in parts] == [[0, 2], [1, 2]]


def test_check_reports_what_is_lost(run: Runner, tunes: Path, hexdumps: Path) -> None:
    names = ["greensleeves", "sakura"]
    files = [*(tunes / f"{name}.mid" for name in names), hexdumps / "no_notes.mid"]
    plain = run("midi2tok", *files)
    result = run("midi2tok", "--check", "lost.jsonl", *files)
    assert result.out == plain.out
    lines = listed(run, "lost.jsonl")
    found = records(result)
    assert [line["src"] for line in lines] == [record["src"] for record in found]
    assert [line["id"] for line in lines] == [record["id"] for record in found]
    assert [line["notes"] for line in lines] == [record["n"]["notes"] for record in found]
    for line in lines:
        assert list(line) == [
            "src", "id", "notes", "lost", "added", "programs", "onset_mean", "onset_max",
            "duration_mean", "duration_max", "tempo_drift_s", "unread", "repairs",
        ]  # fmt: skip
        assert line["lost"] == line["added"] == line["unread"] == 0 and line["repairs"] == {}
        assert line["onset_max"] <= 1 / 16 and line["tempo_drift_s"] < 2
    notes = sum(line["notes"] for line in lines)
    assert f"; round trip: 0 of {notes:,} notes lost, 0 added; onsets off by 0.0" in result.err
    run("midi2tok", "--check", "lost.jsonl", *files)
    assert listed(run, "lost.jsonl") == lines * 2


def test_encoder_that_travels_to_a_worker_does_the_same(tunes: Path) -> None:
    import pickle

    from midigen.encoding import FileEncoder
    from midigen.ingest import Limits

    encoder = FileEncoder("remi", {"genre": "folk"}, Limits(notes=100), strict=True, check=True)
    files = [path.read_bytes() for path in sorted(tunes.glob("*.mid"))]
    here, there = encoder(files), pickle.loads(pickle.dumps(encoder))(files)
    assert there == here
    assert here.trip is not None and b'"genre":"folk"' in here.data
    assert {reason for _, reason, _ in here.rejects} == {"too_many_notes"}


def test_check_is_the_same_with_any_number_of_jobs(run: Runner, tunes: Path) -> None:
    files = [*sorted(tunes.glob("*.mid"))] * 5
    one, two = (run("midi2tok", f"-j{n}", "--check", f"{n}.jsonl", *files) for n in (1, 2))
    assert one.out == two.out
    assert listed(run, "1.jsonl") == listed(run, "2.jsonl")
    assert one.err.partition("; round trip")[2] == two.err.partition("; round trip")[2] != ""


def test_check_compares_with_the_notes_that_the_pedal_holds(run: Runner) -> None:
    import mido

    events = [("control_change", {"control": 64, "value": 127, "time": 0})]
    events += [("note_on", {"note": 60, "time": 0}), ("note_off", {"note": 60, "time": 480})]
    events += [("control_change", {"control": 64, "value": 0, "time": 480})]
    track = mido.MidiTrack([mido.Message(kind, **values) for kind, values in events])
    mido.MidiFile(tracks=[track]).save(run.folder / "x.mid")
    for name, args in (("held", ["--pedal", "extend"]), ("dropped", [])):
        run("midi2tok", *args, "--check", f"{name}.jsonl", "x.mid")
        (line,) = listed(run, f"{name}.jsonl")
        assert line["duration_max"] == 0


def test_memory_stays_flat_over_many_files(run: Runner, tunes: Path, bin_dir: Path) -> None:
    names = "\n".join([*map(str, sorted(tunes.glob("*.mid")))] * 200) + "\n"
    (run.folder / "list").write_text(names)
    with subprocess.Popen(
        [bin_dir / "midi2tok", "-q", "-j1", "--files-from", "list"],
        stdout=subprocess.DEVNULL, cwd=run.folder,
    ) as process:  # fmt: skip
        peak = 0
        parent = psutil.Process(process.pid)
        while process.poll() is None:
            for one in [parent, *parent.children()]:
                try:
                    peak = max(peak, one.memory_info().rss)
                except psutil.NoSuchProcess:
                    continue
            time.sleep(0.01)
    assert process.returncode == 0
    assert 10 << 20 < peak < 300 << 20


def test_neither_torch_nor_miditok_is_imported(run: Runner, tunes: Path) -> None:
    code = (
        "import sys; from midigen.cli.midi2tok import main\n"
        "try: main()\n"
        "finally: print(*{'torch', 'miditok'} & set(sys.modules), file=sys.stderr)"
    )
    result = run("python", "-c", code, "-q", tunes / "sakura.mid")
    assert len(records(result)) == 1 and result.err == "\n"


def test_help_imports_no_numpy(run: Runner) -> None:
    code = (
        "import sys; from midigen.cli.midi2tok import main\n"
        "try: main()\n"
        "finally: print(*{'numpy', 'symusic', 'torch'} & set(sys.modules), file=sys.stderr)"
    )
    result = run("python", "-c", code, "--help")
    assert b"--files-from" in result.out and result.err == "\n"


def test_corpus_sample_is_taken_whole(run: Runner, shared: Path) -> None:
    files = sorted((shared / "corpus").rglob("*.mid"))[::100]
    result = run("midi2tok", "-j2", "--files-from", "-", stdin="\n".join(map(str, files)).encode())
    assert sources(result) == [str(path) for path in files]
    assert "rejected" not in result.err


def test_files_that_break_parsers_cost_themselves(run: Runner, shared: Path) -> None:
    files = [path for path in sorted((shared / "nasty").rglob("*")) if path.is_file()]
    names = b"\0".join(os.fsencode(path) for path in files)
    result = run("midi2tok", "-0", "-j2", "--rejects", "bad.jsonl", stdin=names)
    rejects = listed(run, "bad.jsonl")
    assert len(records(result)) + len(rejects) == len(files)
    assert len(records(result)) > 230
    reasons = {reject["reason"] for reject in rejects}
    assert {"not_midi", "broken", "no_notes"} <= reasons
    assert not {"crash", "error", "timeout"} & reasons

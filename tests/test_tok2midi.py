"""tok2midi: the installed command, and the names and pieces behind it."""

import gzip
import io
import os
import pty
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mido
import orjson
import pytest
import symusic
from conftest import Runner
from hypothesis import given
from hypothesis import strategies as st

from midigen.errors import UsageError
from midigen.outnames import Pattern, clean, stem
from midigen.pieces import pieces
from midigen.registry import tokenizer

BAR = ["Bar_None", "TimeSig_4/4", "Position_0"]
NOTE = ["Program_24", "Pitch_60", "Velocity_63", "Duration_1.0.8"]
FINGERPRINT = tokenizer("remi").vocab.fingerprint


def record(words: Sequence[str] = (*BAR, *NOTE), spec: str = "remi", **keys: Any) -> dict[str, Any]:
    vocab = tokenizer(spec).vocab
    ids = [vocab.index[word] for word in words]
    return {"id": "0011223344556677", "tok": f"{spec}#{vocab.fingerprint}", "ids": ids} | keys


def lines(*records: dict[str, Any]) -> bytes:
    return b"".join(orjson.dumps(r) + b"\n" for r in records)


def programs(data: bytes) -> list[int]:
    """Return the program of every track, -1 drums."""
    score: Any = symusic.Score.from_midi(data)
    return [-1 if track.is_drum else track.program for track in score.tracks]


def left_over(run: Runner) -> list[str]:
    return sorted(str(p.relative_to(run.folder)) for p in run.folder.rglob("*") if p.is_file())


def test_what_midi2tok_read_comes_back(run: Runner, tunes: Path) -> None:
    tune = tunes / "greensleeves.mid"
    (run.folder / "tune.jsonl").write_bytes(run("midi2tok", tune).out)
    back = run("tok2midi", "tune.jsonl", "-o", "back.mid")
    assert (run.folder / "back.mid").read_bytes() == run("tok2midi", "tune.jsonl").out
    score: Any = symusic.Score(run.folder / "back.mid")
    assert score.note_num() == symusic.Score(tune).note_num()
    assert f"tok2midi: 1 file, {score.note_num()} notes" in back.err
    # Read again it gives the same ids, and so on for ever.
    again = orjson.loads(run("midi2tok", "back.mid").out)
    assert again["ids"] == orjson.loads((run.folder / "tune.jsonl").read_bytes())["ids"]


def test_a_file_is_format_1_in_480_ticks_a_quarter_or_as_many_as_asked(run: Runner) -> None:
    file = mido.MidiFile(file=io.BytesIO(run("tok2midi", stdin=lines(record())).out))
    assert (file.type, file.ticks_per_beat) == (1, 480)
    coarse = run("tok2midi", "--tpq", 96, stdin=lines(record())).out
    assert mido.MidiFile(file=io.BytesIO(coarse)).ticks_per_beat == 96
    assert "--tpq" in run("tok2midi", "--tpq", 0, stdin=lines(record()), code=2).err


def test_tempo_signature_programs_and_drums_are_those_of_the_record(run: Runner) -> None:
    drum = ["Program_-1", "PitchDrum_36", *NOTE[2:]]
    words = ["Bar_None", "TimeSig_3/4", "Position_0", "Tempo_94.19", *NOTE, *drum]
    data = run("tok2midi", stdin=lines(record(words, meta={"title": "Air"}))).out
    score: Any = symusic.Score.from_midi(data)
    assert programs(data) == [24, -1]
    assert [(s.numerator, s.denominator) for s in score.time_signatures] == [(3, 4)]
    assert round(score.tempos[0].qpm, 2) == 94.19
    assert mido.MidiFile(file=io.BytesIO(data)).tracks[0].name == "Air"


def test_many_records_get_a_file_each(run: Runner) -> None:
    made = lines(*(record(id=f"{k:016x}", meta={"genre": "pop"}) for k in range(3)))
    run("tok2midi", "-o", "out/{genre}/{id}-{n:02}.mid", stdin=made)
    assert left_over(run) == [f"out/pop/{k:016x}-{k + 1:02}.mid" for k in range(3)]


@pytest.mark.parametrize("output", [(), ("-o", "a.mid")])
def test_two_records_do_not_fit_into_one_file(run: Runner, output: Sequence[str]) -> None:
    done = run("tok2midi", *output, stdin=lines(record(), record(id="ff")), code=2)
    place = "a.mid" if output else "stdout"
    assert done.err.startswith(f"tok2midi: <stdin>:2: more than one piece for {place}; use -o ")
    assert done.out == b""
    assert left_over(run) == []


def test_a_terminal_gets_no_midi(run: Runner, bin_dir: Path) -> None:
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [bin_dir / "tok2midi"], input=lines(record()), stdout=theirs, stderr=subprocess.PIPE
    )
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 2
    assert b"stdout is a terminal" in done.stderr


def test_repairs_are_summed_up_by_kind(run: Runner) -> None:
    broken = [*BAR, *NOTE, "Program_24", "Pitch_60", "EOS_None", "Velocity_63"]
    done = run("tok2midi", "-o", "{n}.mid", stdin=lines(record(broken), record(), record(NOTE)))
    assert "3 files, 3 notes; 2 repaired (" in done.err
    assert "1 incomplete note" in done.err
    assert "1 before the first bar" in done.err
    assert run("tok2midi", "-q", stdin=lines(record(broken))).err == ""


def test_ids_outside_the_vocabulary_are_a_reject_and_the_others_go_on(run: Runner) -> None:
    (run.folder / "a.jsonl").write_bytes(lines(record(), record() | {"ids": [4, 999]}, record()))
    done = run("tok2midi", "a.jsonl", "-o", "{n}.mid", "--rejects", "bad.jsonl")
    assert "tok2midi: a.jsonl:2: id 999 not in 0..564\n" in done.err
    assert "2 files, 2 notes; 1 rejected (1 ids)" in done.err
    bad = orjson.loads((run.folder / "bad.jsonl").read_bytes())
    assert (bad["src"], bad["reason"], bad["detail"]) == (
        *("a.jsonl:2", "ids"),
        "id 999 not in 0..564",
    )
    assert left_over(run) == ["1.mid", "2.mid", "a.jsonl", "bad.jsonl"]


def test_strict_stops_at_the_first_reject(run: Runner) -> None:
    made = lines(record(), record() | {"ids": [999]}, record())
    done = run("tok2midi", "--strict", "-o", "{n}.mid", stdin=made, code=1)
    assert "tok2midi: <stdin>:2: ids: id 999 not in 0..564\n" in done.err
    assert left_over(run) == ["1.mid"]


def test_nothing_decoded_is_exit_1_and_leaves_no_file(run: Runner) -> None:
    bad = lines(record() | {"ids": [999]})
    assert "0 files" in run("tok2midi", "-o", "a.mid", stdin=bad, code=1).err
    assert "0 files" in run("tok2midi", stdin=b"", code=1).err
    assert "1 json" in run("tok2midi", stdin=b"no record\n", code=1).err
    assert left_over(run) == []


def test_another_vocabulary_is_refused_naming_both(run: Runner) -> None:
    other = record() | {"tok": "remi#00000000"}
    done = run("tok2midi", stdin=lines(other), code=1)
    assert "<stdin>:1: tok remi#00000000" in done.err
    assert f"#{FINGERPRINT}" in done.err
    done = run("tok2midi", "--tokenizer", "remi:velocities=16", stdin=lines(record()), code=1)
    assert f"tok remi#{FINGERPRINT}: --tokenizer remi:velocities=16 is #" in done.err


def test_an_unknown_tokenizer_lists_what_there_is(run: Runner) -> None:
    done = run("tok2midi", stdin=lines(record() | {"tok": "rmi#00000000"}), code=1)
    assert "no tokenizer 'rmi'; installed: " in done.err
    done = run("tok2midi", "--tokenizer", "rmi", stdin=lines(record()), code=1)
    assert "no tokenizer 'rmi'; installed: " in done.err


def test_a_record_never_imports_code(run: Runner) -> None:
    named = lines(record() | {"tok": "os.path:join#00000000"})
    done = run("tok2midi", "--strict", stdin=named, code=1)
    assert "names a Python object" in done.err


def test_parts_are_joined_to_one_file(run: Runner) -> None:
    spec = "remi:programs=0"
    words = [*BAR, *NOTE[1:]]
    parts = [
        record(words, spec, id=f"aa.{k}", part=[k, 3], meta={"program": program})
        for k, program in enumerate((40, -1, 0))
    ]
    parts[1]["ids"][3] = tokenizer(spec).vocab.index["PitchDrum_36"]
    assert programs(run("tok2midi", stdin=lines(*parts)).out) == [40, -1, 0]
    run("tok2midi", "-o", "{id}.mid", stdin=lines(*parts, record(id="bb")))
    assert left_over(run) == ["aa.mid", "bb.mid"]


def test_the_parts_that_midi2tok_writes_come_back_as_one_file(run: Runner, tunes: Path) -> None:
    tune = tunes / "rock_beat.mid"
    done = run.shell(f"midi2tok --tokenizer remi:programs=0 {tune} | tok2midi")
    assert programs(done.out) == programs(tune.read_bytes())


def test_a_second_piece_of_the_same_name_needs_a_number(run: Runner) -> None:
    made = lines(record(src="a/x.mid"), record(src="b/x.mid"))
    done = run("tok2midi", "-o", "out/{src}.mid", stdin=made, code=1)
    assert done.err.startswith("tok2midi: <stdin>:2: a second piece for out/x.mid; put {n} into -o")
    assert left_over(run) == ["out/x.mid"]
    run("tok2midi", "--force", "-o", "out/{src}-{n}.mid", stdin=made)
    assert left_over(run) == ["out/x-1.mid", "out/x-2.mid", "out/x.mid"]


def test_an_existing_file_stays_unless_forced(run: Runner) -> None:
    (run.folder / "a.mid").write_bytes(b"mine")
    for output in ("a.mid", "{src}.mid"):
        done = run("tok2midi", "-o", output, stdin=lines(record(src="a.mid")), code=1)
        assert done.err == "tok2midi: a.mid exists; --force replaces it\n"
        assert (run.folder / "a.mid").read_bytes() == b"mine"
    run("tok2midi", "-o", "a.mid", "--force", stdin=lines(record()))
    assert (run.folder / "a.mid").read_bytes().startswith(b"MThd")


@pytest.mark.parametrize(
    "hostile", ["../../evil.mid", "/tmp/evil.mid", "..", "C:\\evil\\..\\x.mid", "a\0b", "", "~/x"]
)
def test_nothing_is_written_outside_the_folder(run: Runner, hostile: str) -> None:
    keys = {"src": hostile, "group": hostile, "id": hostile, "meta": {"genre": hostile}}
    run("tok2midi", "-o", "in/{src}/{group}/{id}/{genre}.mid", stdin=lines(record(**keys)))
    (found,) = left_over(run)
    assert found.startswith("in/") and found.endswith(".mid") and found.count("/") == 4
    assert not Path("/tmp/evil.mid").exists()


@pytest.mark.parametrize("output", ["{}", "{id!r}", "{id:5}", "{n:x}", "{id", "folder/", "."])
def test_a_name_that_is_no_pattern_is_a_usage_error(run: Runner, output: str) -> None:
    done = run("tok2midi", "-o", output, stdin=lines(record()), code=2)
    assert done.err.startswith("tok2midi: ")
    assert left_over(run) == []


def test_packed_files_and_several_files_are_read_in_turn(run: Runner) -> None:
    (run.folder / "a.jsonl.gz").write_bytes(gzip.compress(lines(record(id="aa"))))
    (run.folder / "b.jsonl").write_bytes(lines(record(id="bb")))
    run("tok2midi", "a.jsonl.gz", "b.jsonl", "-o", "{n}-{id}.mid")
    assert [name for name in left_over(run) if name.endswith(".mid")] == ["1-aa.mid", "2-bb.mid"]


def test_a_stream_that_was_cut_off_is_an_error(run: Runner) -> None:
    done = run("tok2midi", stdin=lines(record())[:-1], code=1)
    assert "<stdin>:1: the last line has no LF" in done.err
    assert done.out == b""


def test_neither_torch_nor_miditok_is_imported(run: Runner, bin_dir: Path) -> None:
    script = """
import sys
from midigen.cli.tok2midi import main
try:
    main(["-o", "a.mid"])
finally:
    sys.stdout.write(" ".join(m for m in ("torch", "miditok") if m in sys.modules))
"""
    (run.folder / "script.py").write_text(script)
    done = run(str(bin_dir / "python"), "script.py", stdin=lines(record()))
    assert done.text == ""
    assert left_over(run) == ["a.mid", "script.py"]


def test_names_are_made_from_what_a_record_has() -> None:
    made = record(
        src="lakh/b/a song.mid", group="g0", meta={"genre": ["pop", "rock"], "year": 1985}
    )
    name = Pattern("{{x}}/{src}.{group}.{genre}.{year}.{artist}.{n:03}").name(made, 7)
    assert name == "{x}/a song.g0.pop+rock.1985.unknown.007"
    assert stem("a\\b\\c.tar.mid") == "c.tar"
    with pytest.raises(UsageError, match="a field is a name in braces"):
        Pattern("{0:>9}")


@given(st.text())
def test_a_cleaned_value_is_one_plain_part_of_a_path(text: str) -> None:
    cleaned = clean(text)
    assert Path(cleaned).name == cleaned
    assert cleaned not in (".", "..", "")
    assert len(cleaned.encode()) <= 120
    assert cleaned.isprintable()


def part(id: str, k: int, n: int, **keys: Any) -> dict[str, Any]:
    return {"id": f"{id}.{k}", "tok": "t#00000000", "aug": {}, "part": [k, n], "meta": {}} | keys


def test_copies_between_parts_are_pieces_of_their_own() -> None:
    up = {"aug": {"shift": 3}}
    stream = [
        *(part("a", 0, 2), part("a", 0, 2, **up), part("a", 1, 2), part("a", 1, 2, **up)),
        *(part("b", 0, 2), part("b", 1, 2), part("b", 0, 2), part("b", 1, 2)),
        {"id": "c", "tok": "t#00000000", "aug": {}, "meta": {}},
        *(part("b", 1, 2), part("d", 0, 3), part("d", 2, 3)),
    ]
    found = list(pieces((str(place), r) for place, r in enumerate(stream)))
    assert [(piece.where, piece.id, len(piece.records)) for piece in found] == [
        *(("0", "a", 2), ("1", "a", 2), ("4", "b", 2), ("6", "b", 2)),
        *(("8", "c", 1), ("9", "b", 1), ("10", "d", 2)),
    ]

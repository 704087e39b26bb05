"""`tokaug`, the installed command."""

import subprocess
from pathlib import Path

import orjson
import pytest
from conftest import Runner
from hand_records import bar_words, lines_of, piece, read_lines, record_of, unknown_tok, words_of

from midigen.record import Record

PIECES = [piece(k) for k in range(12)]
STREAM = lines_of(PIECES)


def by_id(lines: bytes) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for record in read_lines(lines):
        found.setdefault(record["id"], []).append(record)
    return found


def has_only_drums(record: Record) -> bool:
    return not any(word.startswith("Pitch_") for word in words_of(record))


def test_originals_pass_byte_for_byte_each_before_its_copies(run: Runner) -> None:
    odd = STREAM.replace(b'"v":1,', b'"v": 1, "mine":{"b":1e5,"a":123456789012345678901234567890},')
    result = run("tokaug", "--shift", "6", stdin=odd)
    originals = [line for line in result.lines if orjson.loads(line)["aug"] == {}]
    assert b"\n".join(originals) + b"\n" == odd
    assert b'"a":123456789012345678901234567890' in result.lines[1]
    for records in by_id(result.out).values():
        assert records[0]["aug"] == {}
        assert len(records) == (1 if has_only_drums(records[0]) else 3)
    assert "12 records and 18 copies" in result.err


def test_copies_are_two_by_default_k_or_all(run: Runner) -> None:
    one = lines_of([piece(0)])
    assert len(run("tokaug", "--shift", "6", stdin=one).lines) == 3
    assert len(run("tokaug", "--shift", "6", "--copies", "5", stdin=one).lines) == 6
    assert len(run("tokaug", "--shift", "6", "--copies", "all", stdin=one).lines) == 13


def test_a_record_that_was_shifted_passes_as_it_is(run: Runner) -> None:
    once = run("tokaug", "--shift", "6", stdin=STREAM)
    shifted = lines_of(r for r in read_lines(once.out) if r["aug"])
    again = run("tokaug", "--shift", "3", stdin=shifted)
    assert again.out == shifted and "0 copies" in again.err
    louder = read_lines(run("tokaug", "--velocity", "2", "--copies", "1", stdin=shifted).out)
    assert [sorted(r["aug"]) for r in louder] == [["shift"], ["shift", "velocity"]] * 18


def test_the_seed_decides_and_the_order_does_not(run: Runner) -> None:
    def copies(stream: bytes, *options: str) -> list[bytes]:
        return sorted(run("tokaug", "--shift", "6", *options, stdin=stream).lines)

    assert copies(STREAM) == copies(lines_of(PIECES[::-1]))
    assert copies(STREAM) == copies(STREAM, "--seed", "0") != copies(STREAM, "--seed", "1")


def test_fewer_copies_where_fewer_fit_and_the_summary_counts_them(run: Runner) -> None:
    wide = record_of(bar_words([(0, 21), (0, 108)]))
    result = run("tokaug", "--shift", "6", stdin=lines_of([wide]))
    assert [r["aug"] for r in read_lines(result.out)] == [{}, {"shift": 1}]
    assert "fewer copies than asked for 1: no more fit" in result.err


def test_parts_of_a_file_get_the_same_copies_and_stay_together(run: Runner) -> None:
    words = bar_words([(0, 60)])
    parts = [
        record_of(words, name="x", id=f"x.{k}", part=[k, 3], meta={"program": p})
        for k, p in enumerate((0, 33, -1))
    ]
    out = read_lines(
        run("tokaug", "--shift", "6", stdin=lines_of([piece(0), *parts, piece(1)])).out
    )
    assert [r["id"] for r in out[3:12]] == ["x.0", "x.1", "x.2"] * 3
    assert [r["aug"] for r in out[3:6]] == [{}] * 3
    for copies in (out[6:9], out[9:12]):
        assert copies[0]["aug"] == copies[1]["aug"] == copies[2]["aug"] != {}
        assert copies[2]["ids"] == parts[2]["ids"]


def test_mixed_vocabularies_are_each_moved_by_their_own_tables(run: Runner) -> None:
    words = ["Bar_None", "Program_0", "Pitch_60"]
    records = [
        record_of(words, spec=spec) for spec in ("remi", "remi:velocities=16", "remi:drums=0")
    ]
    assert len({tuple(r["ids"]) for r in records}) > 1
    out = run("tokaug", "--shift", "2", "--copies", "all", stdin=lines_of(records)).out
    assert len(read_lines(out)) == 15


def test_ids_outside_the_vocabulary_are_rejects(run: Runner) -> None:
    bad = lines_of([PIECES[0] | {"ids": [565]}, PIECES[1]])
    result = run("tokaug", "--shift", "1", "--rejects", "r", stdin=bad)
    assert {r["id"] for r in read_lines(result.out)} == {PIECES[1]["id"]}
    reject = orjson.loads((run.folder / "r").read_bytes())
    assert (reject["src"], reject["reason"]) == ("<stdin>:1", "record")
    assert reject["detail"] == "id 565 not in 0..564"
    result = run("tokaug", "--shift", "1", "--strict", "-o", "out", stdin=bad, code=1)
    assert result.err == "tokaug: <stdin>:1: record: id 565 not in 0..564\n"
    assert not (run.folder / "out").exists()


def test_what_cannot_be_moved_is_exit_1_with_the_line(run: Runner) -> None:
    mute = lines_of([PIECES[0], record_of(["Bar_None"], spec="remi:velocities=0")])
    result = run("tokaug", "--velocity", "1", "-o", "out", stdin=mute, code=1)
    assert result.err.startswith("tokaug: <stdin>:2: ") and "no velocities" in result.err
    alien = lines_of([PIECES[0] | {"tok": unknown_tok()}])
    result = run("tokaug", "--shift", "1", "-o", "out", stdin=alien, code=1)
    assert "tokaug: <stdin>:1: no tokenizer 'nowhere'; installed: " in result.err
    assert list(run.folder.iterdir()) == []


@pytest.mark.parametrize(
    "options, said",
    [
        ("", "nothing to do: give --shift N or --velocity N"),
        ("--shift 0", "nothing to do"),
        ("--shift -1", "--shift"),
        ("--shift six", "--shift"),
        ("--shift 6 --copies 0", "--copies '0' is not a number from 1, or all"),
        ("--shift 6 --copies few", "--copies 'few' is not a number from 1, or all"),
    ],
)
def test_a_faulty_call_is_exit_2_and_one_line(run: Runner, options: str, said: str) -> None:
    result = run.shell(f"tokaug {options} -o out", stdin=STREAM, code=2)
    assert said in result.err and result.err.count("\n") == 1
    assert list(run.folder.iterdir()) == []


def test_an_empty_stream_is_exit_1(run: Runner) -> None:
    assert "0 records and 0 copies" in run("tokaug", "--shift", "1", code=1).err


def test_neither_torch_nor_miditok_is_imported(bin_dir: Path) -> None:
    script = (
        "import sys, atexit\n"
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
        "from midigen.cli.tokaug import main\nmain(['-q', *sys.argv[1:]])"
    )
    for args, stdin, numpy_too in ((["--shift", "3"], STREAM, True), (["--help"], b"", False)):
        argv = [str(bin_dir / "python"), "-c", script, *args]
        done = subprocess.run(argv, input=stdin, capture_output=True, check=True)
        modules = set(done.stderr.decode().split())
        assert not modules & {"torch", "miditok", "symusic"}
        assert ("numpy" in modules) == numpy_too

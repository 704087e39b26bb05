"""`text2tok`: where texts are cut, what their records say, and what is refused."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from book import write_book
from conftest import Runner
from hypothesis import given, settings
from hypothesis import strategies as st

from midigen import cuts
from midigen.cuts import Per, parse_per
from midigen.errors import UsageError
from midigen.texts import group_of

BOOK = write_book(50_000)
TEXTS = st.lists(
    st.sampled_from(["word", "é", "—", "😀", " ", "\n", "\n \n", "\r\n", "x" * 20]), max_size=60
).map("".join)
STEADY = settings(deadline=None, derandomize=True)
PERS = ["file", "line", "paragraph", *map(str, (16, 17, 23, 64))]


def cut(data: bytes, per: str | Per) -> list[bytes]:
    chosen = parse_per(per) if isinstance(per, str) else per
    return list(chosen.pieces(io.BytesIO(data)))


def records(out: bytes) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in out.splitlines()]


@pytest.fixture
def book(run: Runner) -> Path:
    path = run.folder / "book.txt"
    path.write_bytes(BOOK)
    return path


@pytest.mark.parametrize("per", PERS)
@STEADY
@given(data=TEXTS)
def test_pieces_are_the_text_and_no_character_is_cut(per: str, data: str) -> None:
    pieces = cut(data.encode(), per)
    assert b"".join(pieces) == data.encode()
    for piece in pieces:
        assert piece and piece.decode()
        assert len(piece) <= parse_per(per).size


@pytest.mark.parametrize("per", PERS)
@STEADY
@given(data=st.binary(max_size=300))
def test_pieces_of_any_bytes_are_these_bytes(per: str, data: bytes) -> None:
    pieces = cut(data, per)
    assert b"".join(pieces) == data and all(pieces)


@STEADY
@given(TEXTS, st.sampled_from(["line", "paragraph"]))
def test_a_piece_begins_with_text_and_blank_lines_end_the_one_before(text: str, per: str) -> None:
    pieces = cut(text.encode(), per)
    for number, piece in enumerate(pieces):
        lines = piece.split(b"\n")
        if number:
            assert lines[0].strip() and pieces[number - 1].endswith(b"\n")
        full = [bool(line.strip()) for line in lines]
        if per == "line":
            assert sum(full) <= 1
        elif True in full:
            last = len(full) - full[::-1].index(True)
            assert all(full[full.index(True) : last])


def test_lines_and_paragraphs() -> None:
    text = b"\na\nb\n\n \n  c\r\n\r\nd"
    assert cut(text, "line") == [b"\na\n", b"b\n\n \n", b"  c\r\n\r\n", b"d"]
    assert cut(text, "paragraph") == [b"\na\nb\n\n \n", b"  c\r\n\r\n", b"d"]
    assert cut(b"\n\n", "line") == [b"\n\n"]
    assert cut(b"", "line") == cut(b"", "file") == cut(b"", "64k") == []


def test_sizes_prefer_line_ends_then_spaces_and_the_last_two_pieces_are_alike() -> None:
    pieces = cut(BOOK, "4k")
    assert all(piece.endswith(b"\n") and len(piece) <= 4096 for piece in pieces)
    assert min(map(len, pieces[:-2])) > 3800
    assert abs(len(pieces[-1]) - len(pieces[-2])) < 200
    one_line = BOOK.replace(b"\n", b" ")
    assert all(piece.endswith(b" ") and len(piece) <= 4096 for piece in cut(one_line, "4k"))
    assert [len(piece) for piece in cut(("é" * 40).encode(), "23")] == [22, 22, 18, 18]
    assert [len(piece) for piece in cut(BOOK[:4096], "4k")] == [4096]


def test_what_is_longer_than_the_longest_piece_is_cut_between_characters() -> None:
    data = ("é" * 100 + "\n" + "b" * 9 + "\n").encode()
    for unit in ("line", "paragraph"):
        pieces = cut(data, Per(unit, 64))
        assert b"".join(pieces) == data
        assert [len(piece.decode().encode()) for piece in pieces][:3] == [64, 64, 64]


def test_a_line_is_passed_on_before_the_text_ends() -> None:
    def lines() -> Iterator[bytes]:
        yield from (b"one\n", b"two\n", b"three\n")
        raise AssertionError("it reads on")

    class Slow(io.RawIOBase):
        def __init__(self) -> None:
            self._lines = lines()

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            line = next(self._lines)
            buffer[: len(line)] = line
            return len(line)

    pieces = Per("line").pieces(io.BufferedReader(Slow()))
    assert [next(pieces), next(pieces)] == [b"one\n", b"two\n"]


@pytest.mark.parametrize(
    ("text", "size"), [("64k", 65536), ("1m", 1 << 20), ("1M", 1 << 20), ("500", 500), ("16", 16)]
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_per(text) == Per("size", size)


@pytest.mark.parametrize("text", ["", "0", "15", "65m", "1g", "-3", "1.5k", "words", "64 k", "٣٢"])
def test_other_words_are_no_sizes(text: str) -> None:
    with pytest.raises(UsageError, match=r"--per"):
        parse_per(text)


@STEADY
@given(st.text())
def test_a_group_does_not_depend_on_case_spacing_or_line_ends(text: str) -> None:
    folded = " ".join(text.split())
    assert group_of(text) == group_of(f"\ufeff {folded}\r\n")
    assert group_of(text + "x") != group_of(text)


def test_a_group_does_not_depend_on_how_a_character_is_put_together() -> None:
    assert group_of("Straße Café") == group_of("STRASSE\ncafe\u0301")


def test_records_say_what_they_are(run: Runner, book: Path) -> None:
    done = run("text2tok", "--per", "8k", "--set", "genre=novel", "--set", "year=1850", book.name)
    found = records(done.out)
    assert [record["src"] for record in found] == [f"book.txt#{k}" for k in range(1, 8)]
    assert len({record["id"] for record in found}) == len({r["group"] for r in found}) == 7
    assert b"".join(bytes(record["ids"]) for record in found) == BOOK
    first = found[0]
    assert list(first) == ["v", "id", "group", "src", "md5", "tok", "ids", "n", "meta", "aug"]
    assert first["tok"] == "text#f5293296"
    assert first["n"] == {"bytes": len(first["ids"])}
    assert first["meta"] == {"genre": "novel", "year": 1850} and first["aug"] == {}
    assert f"text2tok: 1 files, 7 pieces, {len(BOOK):,} bytes in " in done.err


def test_the_same_bytes_are_one_piece_wherever_they_stand(run: Runner) -> None:
    lines = b"same\nother\nsame\nSAME \n"
    found = records(run("text2tok", "--per", "line", stdin=lines).out)
    assert [record["src"] for record in found] == ["-#1", "-#2", "-#3", "-#4"]
    assert found[0]["id"] == found[2]["id"] != found[3]["id"]
    assert found[0]["group"] == found[2]["group"] == found[3]["group"] != found[1]["group"]


def test_a_file_as_a_whole_has_the_name_of_the_file(run: Runner, book: Path) -> None:
    (record,) = records(run("text2tok", "--per", "file", "book.txt").out)
    assert (record["src"], record["n"]) == ("book.txt", {"bytes": len(BOOK)})


def test_the_default_is_64k(run: Runner) -> None:
    found = records(run("text2tok", stdin=write_book(200_000)).out)
    assert [record["n"]["bytes"] > 60_000 for record in found[:2]] == [True, True]
    assert all(record["n"]["bytes"] <= 65536 for record in found) and len(found) == 4


def test_folders_and_lists_of_names_are_read_in_turn(run: Runner) -> None:
    for name in ("b/x.txt", "b/a/y.MD", "b/z.mid", "c.txt", "-"):
        path = run.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    argv = ("text2tok", "--per", "file")
    found = records(run(*argv, "b", "c.txt", "b/z.mid").out)
    assert [record["src"] for record in found] == ["b/a/y.MD", "b/x.txt", "c.txt", "b/z.mid"]
    found = records(run(*argv, "-0", stdin=b"c.txt\0-\0").out)
    assert [record["src"] for record in found] == ["c.txt", "./-"]
    (run.folder / "list").write_text("c.txt\nb\n")
    found = records(run(*argv, "--files-from", "list").out)
    assert [record["src"] for record in found] == ["c.txt", "b/a/y.MD", "b/x.txt"]
    assert "add --files-from" in run(*argv, "-0", "c.txt", code=2).err
    assert "stdin cannot be both" in run(*argv, "--files-from", "-", "-", code=2).err


def test_what_cannot_be_used_is_a_reject_and_the_rest_goes_on(run: Runner, book: Path) -> None:
    (run.folder / "empty.txt").touch()
    (run.folder / "none").mkdir()
    argv = ("text2tok", "empty.txt", "missing.txt", "none", "book.txt")
    done = run(*argv, "--rejects", "bad.jsonl")
    assert len(done.lines) == 1
    assert "3 rejected (1 empty, 1 io, 1 no_files)" in done.err
    bad = records((run.folder / "bad.jsonl").read_bytes())
    assert [(line["src"], line["reason"]) for line in bad] == [
        *(("empty.txt", "empty"), ("missing.txt", "io"), ("none", "no_files")),
    ]
    assert "*.txt, *.text, *.md, *.abc" in bad[2]["detail"]
    strict = run(*argv, "--strict", code=1)
    assert strict.err == "text2tok: empty.txt: empty: no bytes\n"
    assert "0 files, 0 pieces" in run("text2tok", "empty.txt", code=1).err
    assert run("text2tok", "-q", "missing.txt", code=1).out == b""


def test_what_is_not_utf8_is_kept_and_counted_or_refused(run: Runner) -> None:
    data = "é".encode("latin-1") + b" caf\xc3\xa9\n"
    done = run("text2tok", stdin=data)
    assert bytes(records(done.out)[0]["ids"]) == data
    assert "not UTF-8, kept as it is: 1 pieces" in done.err
    strict = run("text2tok", "--strict", stdin=data, code=1)
    assert strict.err == "text2tok: -#1: not_utf8: byte 0xe9: invalid continuation byte\n"


def test_a_file_that_is_too_big_for_one_piece_is_refused(run: Runner) -> None:
    with (run.folder / "big.txt").open("wb") as file:
        file.truncate(cuts.MAX_BYTES + 1)
    done = run("text2tok", "--per", "file", "big.txt", code=1)
    assert "1 too_big" in done.err and done.out == b""


def test_output_is_packed_by_its_name_and_never_replaces(run: Runner, book: Path) -> None:
    run("text2tok", "book.txt", "-o", "a.jsonl.zst")
    assert run("tok2text", "a.jsonl.zst").out == BOOK
    assert (
        "exists; --force replaces it" in run("text2tok", "book.txt", "-o", "book.txt", code=1).err
    )
    assert book.read_bytes() == BOOK


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (("--per", "words"), 2, "--per 'words' is not file, line, paragraph or a size"),
        (("--per", "3"), 2, "a size is 16 bytes to 64m"),
        (("--set", "genre"), 2, "'genre' is not key=value"),
        (("--tokenizer", "remi"), 1, "tokenizer 'remi' reads a score, not text"),
        (("--tokenizer", "text:size=2"), 1, "text has no parameters"),
        (("--tokenizer", "text#00000000"), 1, "the vocabulary is text#f5293296 here"),
    ],
)
def test_what_cannot_be_is_one_line(
    run: Runner, argv: tuple[str, ...], code: int, said: str
) -> None:
    done = run("text2tok", *argv, stdin=b"text\n", code=code)
    assert said in done.err and done.err.count("\n") == 1 and done.out == b""


def test_midi_commands_refuse_text(run: Runner) -> None:
    made = run("text2tok", stdin=b"text\n").out
    assert "is text, not music" in run("tok2midi", stdin=made, code=1).err
    assert "reads text, not MIDI" in run("midi2tok", "--tokenizer", "text", stdin=b"", code=1).err


def test_a_reader_that_goes_away_ends_it_in_silence(run: Runner, book: Path) -> None:
    done = run.shell("set +o pipefail; text2tok -q --per line book.txt book.txt | head -n 1")
    assert len(done.lines) == 1 and done.err == ""


def test_neither_torch_nor_miditok_is_imported(run: Runner, bin_dir: Path) -> None:
    script = """
import sys
from midigen.cli.text2tok import main
try:
    main(["-o", "a.jsonl", "--quiet"])
finally:
    sys.stdout.write(" ".join(m for m in ("torch", "miditok", "symusic") if m in sys.modules))
"""
    (run.folder / "script.py").write_text(script)
    assert run(str(bin_dir / "python"), "script.py", stdin=b"text").text == ""
    assert len(records((run.folder / "a.jsonl").read_bytes())) == 1

"""`tok2text`: text as it was, music as its tokens, and where both go."""

import subprocess
from pathlib import Path
from typing import Any

import orjson
import pytest
from book import write_book
from conftest import Runner
from hand_records import bar_words, lines_of, record_of, tok_of, unknown_tok

BOOK = write_book(20_000)
WORDS = bar_words([(0, 60), (-1, 38)])


def text(data: bytes, **keys: Any) -> dict[str, Any]:
    """Return the record of a text."""
    return {"id": "00ff", "tok": tok_of("text"), "ids": list(data)} | keys


def left_over(run: Runner) -> list[str]:
    return sorted(str(p.relative_to(run.folder)) for p in run.folder.rglob("*") if p.is_file())


@pytest.mark.parametrize(
    ("per", "data"),
    [("line", BOOK), ("paragraph", BOOK[:-3]), ("16", bytes(range(256)) * 3), ("64k", b"\r\n \n")],
)
def test_what_text2tok_read_comes_back_byte_for_byte(run: Runner, per: str, data: bytes) -> None:
    (run.folder / "in").write_bytes(data)
    run("text2tok", "--per", per, "in", "-o", "records")
    assert run("tok2text", "records", "-o", "out").out == b""
    assert run("tok2text", "records").out == data == (run.folder / "out").read_bytes()


def test_music_is_a_token_a_line_with_a_blank_line_between_records(run: Runner) -> None:
    two = lines_of([record_of(WORDS), record_of(WORDS[:2])])
    listed = "".join(f"{word}\n" for word in WORDS)
    done = run("tok2text", stdin=two)
    assert done.text == f"{listed}\nBar_None\nTimeSig_4/4\n"
    assert f"tok2text: 2 records, {len(done.out) - 1} bytes\n" in done.err
    run("tok2text", "-o", "{n}.txt", stdin=two)
    assert [(run.folder / f"{k}.txt").read_text() for k in (1, 2)] == [
        *(listed, "Bar_None\nTimeSig_4/4\n"),
    ]


def test_samples_and_music_stand_apart_and_cuts_do_not(run: Runner) -> None:
    made = [text(b"a "), text(b"b"), text(b"one", gen={}), text(b"two\n", gen={})]
    made += [record_of(WORDS[:1]), text(b"c"), text(b"d\n")]
    done = run("tok2text", stdin=lines_of(made))
    assert done.out == b"a b\n\none\n\ntwo\n\nBar_None\n\ncd\n"
    run("tok2text", "-o", "{n}", stdin=lines_of(made))
    assert (run.folder / "3").read_bytes() == b"one"


def test_every_record_gets_a_file_and_none_lies_outside_the_folder(run: Runner) -> None:
    keys = {"src": "../../x/book.txt#3", "meta": {"genre": "a/b"}}
    run("tok2text", "-o", "in/{genre}/{src}-{n:02}.txt", stdin=lines_of([text(b"x", **keys)]))
    assert left_over(run) == ["in/a_b/book-01.txt"]
    two = lines_of([text(b"x"), text(b"y")])
    done = run("tok2text", "-o", "{id}.txt", stdin=two, code=1)
    assert done.err.startswith("tok2text: <stdin>:2: a second piece for 00ff.txt; put {n} into -o")
    done = run("tok2text", "-o", "in", stdin=two, code=2)
    assert done.err == "tok2text: in is a folder; use -o 'in/{id}-{n}.txt'\n"


def test_an_existing_file_stays_unless_forced(run: Runner) -> None:
    (run.folder / "a.txt").write_bytes(b"mine")
    for output in ("a.txt", "{src}.txt"):
        done = run("tok2text", "-o", output, stdin=lines_of([text(b"x", src="a.txt")]), code=1)
        assert done.err == "tok2text: a.txt exists; --force replaces it\n"
        assert (run.folder / "a.txt").read_bytes() == b"mine"
    run("tok2text", "--force", "-o", "a.txt", stdin=lines_of([text(b"x"), text(b"y")]))
    assert (run.folder / "a.txt").read_bytes() == b"xy"


def test_places_that_are_not_utf8_are_counted(run: Runner) -> None:
    made = lines_of([text(b"a\xff\xe2\x80b"), text(b"b"), text("é".encode()[:1])])
    done = run("tok2text", stdin=made)
    assert done.out == b"a\xff\xe2\x80bb\xc3"
    assert done.err == "tok2text: 3 records, 7 bytes; not UTF-8: 3 places in 2 of them\n"


def test_what_cannot_be_read_is_a_reject_and_the_rest_goes_on(run: Runner) -> None:
    odd = [text(b"x", tok=unknown_tok()), text(b"") | {"ids": [256]}, text(b"good\n")]
    done = run("tok2text", "--rejects", "bad.jsonl", stdin=lines_of(odd) + b"{\n")
    assert done.out == b"good\n"
    assert "tok2text: <stdin>:2: id 256 not in 0..255\n" in done.err
    assert "1 record, 5 bytes; 3 rejected (1 tokenizer, 1 ids, 1 json)" in done.err
    bad = [orjson.loads(line) for line in (run.folder / "bad.jsonl").read_bytes().splitlines()]
    assert [line["reason"] for line in bad] == ["tokenizer", "ids", "json"]
    strict = run("tok2text", "--strict", stdin=lines_of(odd[1:]), code=1)
    assert strict.err.endswith("<stdin>:1: ids: id 256 not in 0..255\n") and strict.out == b""
    assert "0 records" in run("tok2text", stdin=lines_of(odd[:2]), code=1).err


def test_a_tokenizer_that_is_named_must_be_the_one_that_wrote(run: Runner) -> None:
    done = run("tok2text", "--tokenizer", "remi", stdin=lines_of([text(b"x")]), code=1)
    assert f"tok {tok_of('text')}: --tokenizer remi is #" in done.err
    assert run("tok2text", "--tokenizer", "text", stdin=lines_of([text(b"x")])).out == b"x"


def test_samples_are_written_as_they_come(run: Runner, bin_dir: Path) -> None:
    with subprocess.Popen(
        [bin_dir / "tok2text"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=run.folder
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(lines_of([text(b"first\n")]))
        process.stdin.flush()
        assert process.stdout.readline() == b"first\n"
        process.stdin.close()

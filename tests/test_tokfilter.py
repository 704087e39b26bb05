"""`tokfilter`, the installed command."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from conftest import Runner
from hand_records import bar_words, lines_of, piece, read_lines, record_of, unknown_tok

from midigen.record import Record
from midigen.split import hash_split

PIECES = [piece(k) for k in range(40)]
STREAM = lines_of(PIECES)


def names(record: Record) -> list[str]:
    genre = record["meta"]["genre"]
    return genre if isinstance(genre, list) else [genre]


def year(record: Record) -> int:
    return record["meta"].get("year", 0)


def has(record: Record, *programs: int) -> bool:
    place = PIECES.index(record) % 4
    return not set(programs).isdisjoint(((0,), (0, 33), (-1,), (40, -1))[place])


SELECTIONS: dict[str, Callable[[Record], bool]] = {
    "--genre hip_hop": lambda r: "Hip-Hop" in names(r),
    "--genre JAZZ --genre pop": lambda r: "Hip-Hop" not in names(r),
    "--artist 'bjork 3'": lambda r: r["meta"].get("artist") == "Björk 3",
    "--year 1980:1989": lambda r: 1980 <= year(r) <= 1989,
    "--year 1990:": lambda r: year(r) >= 1990,
    "--year :1975": lambda r: 0 < year(r) <= 1975,
    "--year 1973": lambda r: year(r) == 1973,
    "--split train": lambda r: hash_split(r["group"]) == "train",
    "--min-notes 20": lambda r: r["n"]["notes"] >= 20,
    "--max-notes 20": lambda r: r["n"]["notes"] <= 20,
    "--min-tokens 100 --max-tokens 150": lambda r: 100 <= len(r["ids"]) <= 150,
    "--min-bars 3": lambda r: r["n"]["bars"] >= 3,
    "--max-bars 2": lambda r: r["n"]["bars"] <= 2,
    "--min-seconds 2.5 --max-tracks 1": lambda r: True,
    "--program bass": lambda r: has(r, 33),
    "--program 33 --program violin": lambda r: has(r, 33, 40),
    "--program drums": lambda r: has(r, -1),
    "--drums": lambda r: has(r, -1),
    "--no-drums": lambda r: not has(r, -1),
    "--time-signature 3/4": lambda r: PIECES.index(r) % 3 == 0,
    "--time-signature 3/4 --time-signature 4/4": lambda r: True,
    "--where 'n.bars > 2 and meta.genre == \"folk\" and not meta.year'": lambda r: (
        r["n"]["bars"] > 2 and "folk" in names(r) and not year(r)
    ),
    "--genre pop --no-drums --min-bars 2": lambda r: (
        "pop" in names(r) and not has(r, -1) and r["n"]["bars"] >= 2
    ),
}


@pytest.mark.parametrize("options", SELECTIONS)
def test_selects_what_fits_and_passes_it_byte_for_byte(run: Runner, options: str) -> None:
    expected = lines_of(record for record in PIECES if SELECTIONS[options](record))
    assert expected, "this selection tests nothing"
    assert run.shell(f"tokfilter {options}", stdin=STREAM).out == expected


@pytest.mark.parametrize("options", [o for o in SELECTIONS if "min-seconds" not in o])
def test_invert_passes_exactly_the_rest(run: Runner, options: str) -> None:
    expected = lines_of(record for record in PIECES if not SELECTIONS[options](record))
    result = run.shell(f"tokfilter --invert {options}", stdin=STREAM, code=0 if expected else 1)
    assert result.out == expected


def test_a_value_that_is_not_known_fits_nothing(run: Runner) -> None:
    bare = lines_of([record_of(bar_words([(0, 60)]), n={})])
    for options in ("--min-notes 0", "--max-bars 9", "--year :2030", "--genre x", "--artist x"):
        assert run.shell(f"tokfilter {options}", stdin=bare, code=1).out == b""


def test_meta_split_comes_before_the_hash(run: Runner) -> None:
    words = bar_words([(0, 60)])
    records = [
        record_of(words, name=str(i), meta={"split": word})
        for i, word in enumerate(("train", "Validation", "test", "fold1"))
    ]
    for split, place in (("train", 0), ("val", 1), ("test", 2)):
        result = run("tokfilter", "--split", split, "--rejects", "r.jsonl", stdin=lines_of(records))
        assert result.out == lines_of([records[place]])
    assert (
        b"meta.split 'fold1' is not one of train, val, test"
        in (run.folder / "r.jsonl").read_bytes()
    )


def test_a_year_may_be_text_and_one_of_several(run: Runner) -> None:
    words = bar_words([(0, 60)])
    records = [
        record_of(words, meta={"year": y}) for y in ("1985", ["1970", "1983"], "c. 1985", 1985.0)
    ]
    out = run("tokfilter", "--year", "1980:1989", stdin=lines_of(records)).out
    assert out == lines_of([records[0], records[1], records[3]])


def test_programs_of_parts_come_from_meta(run: Runner) -> None:
    spec = "remi:programs=0"
    words = ["Bar_None", "TimeSig_4/4", "Position_0", "Pitch_60", "Velocity_63", "Duration_0.4.8"]
    records = [
        record_of(words, name=str(i), spec=spec, meta={"program": p} if p is not None else {})
        for i, p in enumerate((0, 40, -1, None))
    ]
    assert run("tokfilter", "--program", "violin", stdin=lines_of(records)).out == lines_of(
        records[1:2]
    )
    assert run("tokfilter", "--drums", stdin=lines_of(records)).out == lines_of(records[2:3])


def test_mixed_vocabularies_are_told_apart(run: Runner) -> None:
    other = ["Bar_None", "TimeSig_4/4", "Program_33", "Pitch_30"]
    records = [PIECES[1], record_of(other, spec="remi:velocities=16"), PIECES[0]]
    assert run("tokfilter", "--program", "33", stdin=lines_of(records)).out == lines_of(records[:2])


def test_a_signature_is_that_of_all_bars(run: Runner) -> None:
    mixed = record_of(bar_words([(0, 60)], "3/4") + bar_words([(0, 60)], "4/4"))
    run("tokfilter", "--time-signature", "3/4", stdin=lines_of([mixed]), code=1)


def test_sample_keeps_copies_and_parts_together_and_does_not_look_at_order(run: Runner) -> None:
    records = []
    for k in range(200):
        first = piece(k) | {"part": [0, 2]}
        first["id"] += ".0"
        records += [first, first | {"id": first["id"][:-1] + "1", "part": [1, 2]}]
        records.append(records[-2] | {"aug": {"shift": 2}})
    drawn = read_lines(run("tokfilter", "--sample", "0.3", stdin=lines_of(records)).out)
    assert 35 <= len(drawn) / 3 <= 85
    assert all(len([r for r in drawn if r["src"] == d["src"]]) == 3 for d in drawn)
    again = read_lines(run("tokfilter", "--sample", "0.3", stdin=lines_of(records[::-1])).out)
    assert again == drawn[::-1]
    other = read_lines(
        run("tokfilter", "--sample", "0.3", "--seed", "1", stdin=lines_of(records)).out
    )
    assert other != drawn
    more = read_lines(run("tokfilter", "--sample", "0.6", stdin=lines_of(records)).out)
    assert all(record in more for record in drawn)


def test_dedupe_keeps_the_first_piece_of_a_group_with_its_parts_and_copies(run: Runner) -> None:
    words = bar_words([(0, 60)])
    one = record_of(words, name="one", group="g")
    copy = one | {"aug": {"shift": 2}}
    twin = record_of(words, name="twin", group="g")
    other = record_of(words, name="other", group="h")
    parts = [record_of(words, name="p", id=f"p.{k}", group="p", part=[k, 2]) for k in range(2)]
    stream = [one, twin, copy, other, *parts, one, copy, twin | {"aug": {"shift": 1}}, parts[0]]
    result = run("tokfilter", "--dedupe", "exact", "--rejects", "r", stdin=lines_of(stream))
    assert read_lines(result.out) == [one, copy, other, *parts]
    reasons = read_lines((run.folder / "r").read_bytes())
    assert [r["reason"] for r in reasons] == ["dedupe"] * 5
    assert "5 dropped (5 dedupe)" in result.err


def test_dedupe_looks_only_at_what_passes_the_rest(run: Runner) -> None:
    words = bar_words([(0, 60)])
    rock = record_of(words, name="a", group="g", meta={"genre": "rock"})
    pop = record_of(words, name="b", group="g", meta={"genre": "pop"})
    out = run("tokfilter", "--dedupe", "exact", "--genre", "pop", stdin=lines_of([rock, pop])).out
    assert read_lines(out) == [pop]


def test_limit_stops_reading(bin_dir: Path) -> None:
    argv = [str(bin_dir / "tokfilter"), "-q", "--limit", "3"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        process.stdin.write(STREAM)
        process.stdin.flush()
        assert process.stdout.read() == lines_of(PIECES[:3])
        assert process.wait(timeout=60) == 0


def test_rejects_say_which_option_dropped_what(run: Runner) -> None:
    stream = STREAM.replace(b'{"v":1', b"[", 1) + b'{"id":"x"}\n'
    result = run(
        "tokfilter", "--genre", "pop", "--min-bars", "2", "--rejects", "r.jsonl", stdin=stream
    )
    rejects = read_lines((run.folder / "r.jsonl").read_bytes())
    assert len(rejects) + len(result.lines) == 41
    assert {r["reason"] for r in rejects} == {"genre", "min-bars", "json", "record"}
    assert rejects[0]["src"] == "<stdin>:1" and rejects[0]["reason"] == "json"
    genre = next(r for r in rejects if r["reason"] == "genre")
    assert genre["detail"] == "genre is Hip-Hop" and genre["id"] == PIECES[1]["id"]
    assert re.search(r"\d+ of 39 records passed; \d+ dropped \(\d+ genre, ", result.err)
    assert "2 rejected (1 json, 1 record)" in result.err or "(1 record, 1 json)" in result.err


def test_strict_stops_at_a_line_that_is_no_record_but_not_at_one_that_does_not_fit(
    run: Runner,
) -> None:
    run("tokfilter", "--strict", "--genre", "pop", stdin=STREAM)
    result = run("tokfilter", "--strict", stdin=STREAM + b"{}\n" + STREAM, code=1)
    assert result.err == "tokfilter: <stdin>:41: record: a record needs 'id'\n"


def test_a_key_that_no_record_has_is_named(run: Runner) -> None:
    result = run("tokfilter", "--where", "meta.gnre == 'pop'", stdin=STREAM, code=1)
    assert "--where: no record has meta.gnre" in result.err


def test_nothing_passed_is_exit_1(run: Runner) -> None:
    assert (
        "0 of 40 records passed" in run("tokfilter", "--genre", "polka", stdin=STREAM, code=1).err
    )
    assert run("tokfilter", "-q", "--genre", "x", stdin=STREAM, code=1).err.count("\n") == 1
    run("tokfilter", stdin=b"", code=1)


def test_quiet_says_nothing(run: Runner) -> None:
    assert run("tokfilter", "-q", stdin=STREAM).err == ""


def test_reads_files_plain_and_packed_and_stdin_in_turn(run: Runner) -> None:
    (run.folder / "a.jsonl").write_bytes(STREAM)
    (run.folder / "b.zst").write_bytes(zstandard.compress(STREAM))
    run.shell("gzip -k a.jsonl")
    out = run("tokfilter", "a.jsonl", "b.zst", "-", "a.jsonl.gz", stdin=STREAM).out
    assert out == STREAM * 4


def test_output_is_written_whole_and_never_over_another(run: Runner) -> None:
    target = run.folder / "out.jsonl.zst"
    run("tokfilter", "-o", "out.jsonl.zst", stdin=STREAM)
    assert zstandard.ZstdDecompressor().stream_reader(target.read_bytes()).read() == STREAM
    before = target.read_bytes()
    result = run("tokfilter", "-o", "out.jsonl.zst", stdin=STREAM, code=1)
    assert result.err == "tokfilter: out.jsonl.zst exists; --force replaces it\n"
    assert target.read_bytes() == before
    run("tokfilter", "-o", "out.jsonl.zst", "--force", "--limit", "1", stdin=STREAM)
    assert target.read_bytes() != before


@pytest.mark.parametrize(
    "options, said",
    [
        ("--where 'n.notes >'", "--where: column 10: expected a value, found the end"),
        ("--year 198x", "--year '198x' is not a range like 1980:1989"),
        ("--year 1990:1980", "--year '1990:1980' is not a range"),
        ("--year :", "--year ':' is not a range"),
        ("--year nan", "--year 'nan' is not a range"),
        ("--split trian", "--split 'trian' is not one of train, val, test"),
        ("--program theremin", "no program 'theremin'"),
        ("--program 128", "program 128 not in -1..127"),
        ("--time-signature waltz", "--time-signature 'waltz' is not like 3/4"),
        ("--dedupe near", "--dedupe 'near' is not one of: exact"),
        ("--sample 0", "--sample 0 is not a share in 0..1"),
        ("--sample 1.5", "--sample 1.5 is not a share in 0..1"),
        ("--sample nan", "--sample nan is not a share in 0..1"),
        ("--invert", "--invert: there is no other option to invert"),
        ("--limit 0", "--limit"),
        ("--min-notes many", "--min-notes"),
        ("--genr pop", "No such option: --genr"),
    ],
)
def test_a_faulty_call_is_exit_2_and_one_line(run: Runner, options: str, said: str) -> None:
    result = run.shell(f"tokfilter {options} -o out.jsonl", stdin=STREAM, code=2)
    assert said in result.err and result.err.count("\n") == 1
    assert list(run.folder.iterdir()) == []


def test_faults_of_the_data_are_exit_1_and_leave_nothing(run: Runner) -> None:
    (run.folder / "cut.jsonl").write_bytes(STREAM[:-1])
    (run.folder / "cut.zst").write_bytes(zstandard.compress(STREAM)[:-20])
    result = run("tokfilter", "cut.jsonl", "-o", "out", code=1)
    assert (
        result.err == "tokfilter: cut.jsonl:40: the last line has no LF: its writer died half-way\n"
    )
    assert "broken compressed stream" in run("tokfilter", "cut.zst", "-o", "out", code=1).err
    result = run("tokfilter", "missing.jsonl", "-o", "out", code=1)
    assert result.err == "tokfilter: missing.jsonl: No such file or directory\n"
    assert sorted(p.name for p in run.folder.iterdir()) == ["cut.jsonl", "cut.zst"]


def test_a_vocabulary_that_is_not_to_be_had_is_named_with_the_line(run: Runner) -> None:
    alien = lines_of([PIECES[0], PIECES[1] | {"tok": unknown_tok()}])
    result = run("tokfilter", "--drums", stdin=alien, code=1)
    assert "tokfilter: <stdin>:2: no tokenizer 'nowhere'; installed: " in result.err
    old = lines_of([PIECES[0] | {"tok": "remi#00000000"}])
    assert "the vocabulary of remi is #" in run("tokfilter", "--drums", stdin=old, code=1).err
    assert run("tokfilter", stdin=alien).out == alien


def modules_after(bin_dir: Path, code: str, stdin: bytes) -> set[str]:
    """Return the modules that a command has imported when it ends."""
    script = (
        f"import sys, atexit\natexit.register(lambda: print(*sys.modules, file=sys.stderr))\n{code}"
    )
    done = subprocess.run(
        [bin_dir / "python", "-c", script], input=stdin, capture_output=True, check=True
    )
    return set(done.stderr.decode().split())


@pytest.mark.parametrize(
    "options", ["'--min-notes', '10', '--genre', 'pop'", "'--program', 'piano'"]
)
def test_neither_torch_nor_miditok_nor_numpy_is_imported(bin_dir: Path, options: str) -> None:
    code = f"from midigen.cli.tokfilter import main\nmain(['-q', {options}])"
    modules = modules_after(bin_dir, code, STREAM)
    assert "midigen.filtering" in modules
    assert not modules & {"torch", "miditok", "symusic", "numpy"}


def test_help_shows_the_options_and_imports_little(run: Runner, bin_dir: Path) -> None:
    assert "--time-signature" in run("tokfilter", "--help").text
    code = "from midigen.cli.tokfilter import main\nmain(['--help'])"
    assert not modules_after(bin_dir, code, b"") & {"torch", "miditok", "numpy", "orjson"}

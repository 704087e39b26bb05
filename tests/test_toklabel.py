"""`toklabel`, the installed command, and its two labelers."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from conftest import Runner
from hand_records import bar_words, lines_of, read_lines, record_of
from midigen_labelers.path import PathLabeler
from midigen_labelers.table import TableLabeler
from midigen_labelers.tabular import csv

from midigen.errors import MidigenError, Reject, UsageError
from midigen.labels import read_assignments, read_value
from midigen.record import Record

WORDS = bar_words([(0, 60)])


def song(src: str, **keys: Any) -> Record:
    return record_of(WORDS, name=src, **keys) | {"src": src}


def metas(stdout: bytes) -> list[dict[str, Any]]:
    return [record["meta"] for record in read_lines(stdout)]


@pytest.mark.parametrize(
    "pattern, src, found",
    [
        ("{genre}/{artist}/*", "/data/rock/Queen/x.mid", {"genre": "rock", "artist": "Queen"}),
        ("{genre}/*", "rock/x.mid", {"genre": "rock"}),
        ("{genre}/{artist}/*", "Queen/x.mid", None),
        ("{genre}/*/*", "rock/live/x.mid", {"genre": "rock"}),
        ("{title}", "a/b/Yesterday.mid", {"title": "Yesterday"}),
        ("{title}", "a/Yesterday.MIDI", {"title": "Yesterday"}),
        ("{title}.mid", "a/Yesterday.mid", {"title": "Yesterday"}),
        ("{title}.kar", "a/Yesterday.mid", None),
        ("{artist} - {title}", "x/A - B - C.mid", {"artist": "A", "title": "B - C"}),
        ("{year}/{title}", "1985/x.mid", {"year": 1985, "title": "x"}),
        ("{year}/{title}", "0/x.mid", {"year": 0, "title": "x"}),
        ("{genre}/*", "pop|rock/x.mid", {"genre": ["pop", "rock"]}),
        ("disc?/{title}", "disc1/x.mid", {"title": "x"}),
        ("disc?/{title}", "disc10/x.mid", None),
        ("a.c/{title}", "abc/x.mid", None),
        ("{genre}/*", "日本/x.mid", {"genre": "日本"}),
        ("{genre}/*", "<stdin>", None),
        ("{genre}/*", "", None),
    ],
)
def test_path_labeler(pattern: str, src: str, found: dict[str, Any] | None) -> None:
    assert PathLabeler(pattern)({"src": src}) == found


@pytest.mark.parametrize("pattern", ["", "/", "a/*", "{}", "{a b}/*", "{x}/{x}", "{1x}"])
def test_path_labeler_refuses_patterns_without_sense(pattern: str) -> None:
    with pytest.raises(UsageError, match="path:"):
        PathLabeler(pattern)


def table(tmp_path: Path, text: str, name: str = "t.csv") -> TableLabeler:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return csv(str(tmp_path / name))


BY_PATH = (
    "file,genre,year\nclassical/x.mid,classical,1801\nrock/x.mid,rock,\nrock/y.mid,rock,1980\n"
)


@pytest.mark.parametrize(
    "src, found",
    [
        ("classical/x.mid", {"genre": "classical", "year": 1801}),
        ("/data/corpus/classical/x.mid", {"genre": "classical", "year": 1801}),
        ("./rock/x.mid", {"genre": "rock"}),
        ("y.mid", {"genre": "rock", "year": 1980}),
        ("rock/y.midi", {"genre": "rock", "year": 1980}),
        ("rock\\y.mid", {"genre": "rock", "year": 1980}),
        ("other/y.mid", None),
        ("myrock/y.mid", None),
        ("z.mid", None),
        ("", None),
    ],
)
def test_a_row_is_found_by_the_longest_way_its_path_agrees(
    tmp_path: Path, src: str, found: dict[str, Any] | None
) -> None:
    assert table(tmp_path, BY_PATH)(song(src)) == found


def test_the_longest_path_wins(tmp_path: Path) -> None:
    labeler = table(tmp_path, "path,n\nx.mid,short\nb/x.mid,longer\na/b/x.mid,longest\n")
    assert [labeler(song(src)) for src in ("c/x.mid", "c/b/x.mid", "/z/a/b/x.mid")] == [
        {"n": "short"},
        {"n": "longer"},
        {"n": "longest"},
    ]


def test_rows_that_fit_equally_well_are_ambiguous_unless_they_agree(tmp_path: Path) -> None:
    labeler = table(tmp_path, BY_PATH + "folk/y.mid,rock,1980\n")
    with pytest.raises(Reject, match=r"ambiguous: 2 rows of .*t\.csv fit x\.mid"):
        labeler(song("x.mid"))
    assert labeler(song("y.mid")) == {"genre": "rock", "year": 1980}


def test_of_equal_names_the_one_with_the_files_own_ending_is_meant(tmp_path: Path) -> None:
    labeler = table(tmp_path, "file,n\nx.mid,midi\nx.kar,karaoke\n")
    assert labeler(song("a/x.kar")) == {"n": "karaoke"}
    with pytest.raises(Reject, match="ambiguous"):
        labeler(song("a/x.smf"))


def test_rows_are_found_by_md5_and_id_before_the_path(tmp_path: Path) -> None:
    one = song("x.mid")
    text = f"md5,id,file,n\n{one['md5'].upper()},,other.mid,md5\n,{one['id']},,id\n,,x.mid,path\n"
    labeler = table(tmp_path, text)
    assert labeler(one) == {"n": "md5"}
    assert labeler(one | {"md5": ""}) == {"n": "id"}
    assert labeler(one | {"md5": "", "id": one["id"] + ".1", "part": [1, 2]}) == {"n": "id"}
    assert labeler(one | {"md5": "", "id": "0"}) == {"n": "path"}


def test_names_without_ending_and_other_peoples_ids_name_files(tmp_path: Path) -> None:
    assert table(tmp_path, "id;artist\n001;顺子\n")(song("pop909/001.mid")) == {"artist": "顺子"}
    assert table(tmp_path, "Name\tMy Key\nsong one\t7\n")(song("song one.mid")) == {"my_key": "7"}


def test_names_that_look_the_same_are_the_same(tmp_path: Path) -> None:
    labeler = table(tmp_path, "file,n\ncafe\u0301.mid,yes\n")
    assert labeler(song("café.mid")) == {"n": "yes"}


def test_tables_of_other_programs(tmp_path: Path) -> None:
    text = '\ufeff,file,genre,title\r\n0,x.mid,"pop|rock","a ""b"", c"\r\n\r\n1,y.mid,, \r\n'
    labeler = table(tmp_path, text)
    assert labeler(song("x.mid")) == {"genre": ["pop", "rock"], "title": 'a "b", c'}
    assert labeler(song("y.mid")) == {}


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "its columns: none"),
        ("title,genre\nx,y\n", "no column is named file, path,.*; its columns: title, genre"),
        ("file,genre,Genre\nx,y,z\n", "two columns are named genre"),
        ("file,genre\nx.mid,pop,more\n", r"t\.csv:2: 3 cells; the first row has 2"),
    ],
)
def test_tables_that_cannot_be_used_are_told(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(MidigenError, match=said):
        table(tmp_path, text)


def test_a_table_that_is_not_utf8_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"file,n\nx.mid,caf\xe9\n")
    with pytest.raises(MidigenError, match=r"t\.csv:2: not UTF-8 text"):
        csv(str(tmp_path / "t.csv"))


@pytest.mark.parametrize(
    "key, text, value",
    [
        ("year", " 1985 ", 1985),
        ("year", "1985.0", 1985),
        ("year", "c. 1985", "c. 1985"),
        ("year", "nan", None),
        ("year", "1e999", "1e999"),
        ("tempo", "120.5", 120.5),
        ("genre", "pop; rock ;pop", ["pop", "rock"]),
        ("genre", "pop|", "pop"),
        ("genre", "", None),
        ("title", "1999", "1999"),
        ("title", "  ", None),
    ],
)
def test_values_read_from_text(key: str, text: str, value: Any) -> None:
    assert read_value(key, text) == value


def test_assignments() -> None:
    texts = ["genre=pop", "genre=rock", "year=1985", "title=a=b", "artist="]
    assert read_assignments(texts) == {
        "genre": ["pop", "rock"],
        "year": 1985,
        "title": "a=b",
        "artist": None,
    }


def test_set_wins_and_an_empty_value_takes_the_key_away(run: Runner) -> None:
    stream = lines_of([song("pop/x.mid", meta={"genre": "old", "artist": "A", "x": 1})])
    args = ["--from", "path:{genre}/{artist}", "--set", "genre=new", "--set", "artist="]
    assert metas(run("toklabel", *args, stdin=stream).out) == [{"genre": "new", "x": 1}]


def test_what_is_there_stays_unless_overwritten(run: Runner) -> None:
    stream = lines_of([song("pop/x.mid", meta={"genre": "old"}), song("pop/y.mid")])
    args = ["--from", "path:{genre}/{title}"]
    assert metas(run("toklabel", *args, stdin=stream).out) == [
        {"genre": "old", "title": "x"},
        {"genre": "pop", "title": "y"},
    ]
    assert metas(run("toklabel", *args, "--overwrite", stdin=stream).out) == [
        {"genre": "pop", "title": "x"},
        {"genre": "pop", "title": "y"},
    ]


def test_the_first_labeler_that_knows_a_key_decides_it(run: Runner) -> None:
    (run.folder / "l.csv").write_text("file,genre,year\nx.mid,jazz,\n")
    stream = lines_of([song("pop/x.mid"), song("pop/y.mid")])
    args = ["--from", "csv:l.csv", "--from", "path:{genre}/{title}"]
    assert metas(run("toklabel", *args, stdin=stream).out) == [
        {"genre": "jazz", "title": "x"},
        {"genre": "pop", "title": "y"},
    ]


def test_unknown_values_stay_absent(run: Runner) -> None:
    (run.folder / "l.csv").write_text("file,genre,year,tempo\nx.mid,,0,nan\n")
    out = run("toklabel", "--from", "csv:l.csv", stdin=lines_of([song("x.mid")])).out
    assert metas(out) == [{}]


def test_records_that_do_not_change_pass_byte_for_byte(run: Runner) -> None:
    odd = lines_of([song("a/x.mid"), song("x.mid")]).replace(b'"v":1', b'"v":  1, "mine": 1e2')
    result = run("toklabel", "--from", "path:{genre}/*", stdin=odd)
    assert result.lines[1] == odd.splitlines()[1]
    labelled = orjson.loads(result.lines[0])
    assert labelled["mine"] == 100 and labelled["meta"] == {"genre": "a"}


@pytest.mark.parametrize(
    "name, text",
    [
        ("m.csv", "old,new\nPop Rock,pop\nHiphop,hip-hop|rap\nJunk,\n"),
        ("m.tsv", "Pop Rock\tpop\nHiphop\thip-hop|rap\nJunk\t\n"),
        ("m.json", '{"pop_rock": "pop", "hip hop": ["hip-hop", "rap"], "junk": null}'),
    ],
)
def test_map_replaces_values_by_name(run: Runner, name: str, text: str) -> None:
    (run.folder / name).write_text(text)
    genres = [
        "pop-rock",
        "HIP HOP",
        "junk",
        "Folk",
        ["Junk", "Pop Rock", "pop"],
        ["Folk", "Hiphop"],
    ]
    stream = lines_of(song(f"{k}.mid", meta={"genre": g}) for k, g in enumerate(genres))
    result = run("toklabel", "--map", f"genre={name}", stdin=stream + lines_of([song("n.mid")]))
    assert metas(result.out) == [
        {"genre": "pop"},
        {"genre": ["hip-hop", "rap"]},
        {},
        {"genre": "Folk"},
        {"genre": "pop"},
        {"genre": ["Folk", "hip-hop", "rap"]},
        {},
    ]
    assert "--map does not name these values of genre: Folk 2, pop 1" in result.err


def test_map_takes_what_the_labelers_bring(run: Runner) -> None:
    (run.folder / "m.csv").write_text("POP,popular\n")
    args = ["--from", "path:{genre}/*", "--map", "genre=m.csv"]
    assert metas(run("toklabel", *args, stdin=lines_of([song("pop/x.mid")])).out) == [
        {"genre": "popular"}
    ]


def test_group_joins_what_has_the_same_names(run: Runner) -> None:
    records = [
        song("1.mid", meta={"artist": "Björk", "title": "Jóga"}),
        song("2.mid", meta={"artist": "bjork", "title": "JOGA"}),
        song("3.mid", meta={"artist": "Björk", "title": "Hunter"}),
        song("4.mid", meta={"artist": "Björk"}),
    ]
    records.append(records[0] | {"aug": {"shift": 2}})
    result = run("toklabel", "--group", "artist,title", stdin=lines_of(records))
    groups = [record["group"] for record in read_lines(result.out)]
    assert groups[0] == groups[1] == groups[4] != groups[2]
    assert all(len(group) == 16 and int(group, 16) >= 0 for group in groups)
    assert groups[3] == records[3]["group"] and groups[0] != records[0]["group"]
    assert "--group: 1 records lack a key and keep their group" in result.err
    assert run("toklabel", "--group", "artist,title", stdin=result.out).out == result.out


def test_the_summary_tells_coverage(run: Runner) -> None:
    (run.folder / "l.csv").write_text("file,genre\nx.mid,pop\ny.mid,pop\nz.mid,rock\n")
    stream = lines_of(song(f"{name}.mid", meta={"title": name}) for name in "xyzabcdefg")
    err = run("toklabel", "--from", "csv:l.csv", stdin=stream).err
    assert "toklabel: csv:l.csv matched 3 of 10 records (30.0%): genre 3\n" in err
    assert "toklabel: genre on 3 of 10 records (30.0%): pop 2, rock 1\n" in err
    assert "toklabel: title on 10 of 10 records (100.0%): " in err and "and 4 more values\n" in err
    assert err.endswith("toklabel: 10 records\n")
    assert run("toklabel", "-q", "--set", "a=b", stdin=stream).err == ""


def test_an_ambiguous_record_passes_without_labels_and_is_counted(run: Runner) -> None:
    (run.folder / "l.csv").write_text(BY_PATH)
    stream = lines_of([song("x.mid"), song("y.mid")])
    result = run("toklabel", "--from", "csv:l.csv", "--rejects", "r", stdin=stream)
    assert metas(result.out) == [{}, {"genre": "rock", "year": 1980}]
    assert "1 rejected (1 ambiguous)" in result.err
    assert orjson.loads((run.folder / "r").read_bytes())["src"] == "<stdin>:1"
    strict = run("toklabel", "--from", "csv:l.csv", "--strict", "-o", "o", stdin=stream, code=1)
    assert strict.err.startswith("toklabel: <stdin>:1: ambiguous: 2 rows of l.csv fit x.mid")
    assert not (run.folder / "o").exists()


@pytest.mark.parametrize(
    "options, said, code",
    [
        ("", "nothing to do: give --from, --set, --map or --group", 2),
        ("--set genre", "--set 'genre' is not key=value", 2),
        ("--set 'my key=1'", "is not key=value", 2),
        ("--from path:a/b", "path:a/b has no {field}", 2),
        ("--map genre", "--map 'genre' is not key=FILE", 2),
        ("--map g=m.csv --map g=m.csv", "--map g is given twice", 2),
        ("--group ,", "--group ',' is not a list of keys", 2),
        (
            "--from nobody:x",
            "no labeler 'nobody'; installed: csv, jsonl, lmd, midi, msd, parquet, path, tagtraum",
            1,
        ),
        ("--from csv:", "csv: needs a file", 1),
        ("--from csv:none.csv", "none.csv: No such file or directory", 1),
        ("--map genre=none.json", "none.json: No such file or directory", 1),
        ("--map genre=bad.csv", "bad.csv:2: 3 columns; old and new are two", 1),
        ("--map genre=twice.csv", "twice.csv: 'POP' is mapped to 'a' and 'b'", 1),
        ("--map genre=bad.json", "bad.json: ", 1),
        ("--map genre=list.json", "list.json: not an object of old to new", 1),
        ("--from nowhere.module:Labeler", "cannot import nowhere.module:Labeler", 1),
    ],
)
def test_a_faulty_call_is_one_line_and_leaves_nothing(
    run: Runner, options: str, said: str, code: int
) -> None:
    files = {
        "m.csv": "a,b\n",
        "bad.csv": "a,b\nc,d,e\n",
        "twice.csv": "pop,a\nPOP,b\n",
        "bad.json": "{",
        "list.json": "[1]",
    }
    for name, text in files.items():
        (run.folder / name).write_text(text)
    result = run.shell(f"toklabel {options} -o out", stdin=lines_of([song("x.mid")]), code=code)
    assert said in result.err and result.err.count("\n") == 1
    assert {path.name for path in run.folder.iterdir()} == set(files)


def test_an_object_that_the_command_line_names_is_a_labeler(run: Runner) -> None:
    (run.folder / "pkg").mkdir()
    (run.folder / "pkg" / "mine.py").write_text(
        "def Labeler(arg):\n    return lambda record: {'length': len(record['ids'])}\n"
        "def Odd(arg):\n    return lambda record: {'odd': object()}\n"
    )
    env = {"PYTHONPATH": str(run.folder)}
    stream = lines_of([song("x.mid")])
    out = run("toklabel", "--from", "pkg.mine:Labeler", stdin=stream, env=env).out
    assert metas(out) == [{"length": len(read_lines(stream)[0]["ids"])}]
    err = run("toklabel", "--from", "pkg.mine:Odd", stdin=stream, env=env, code=1).err
    assert err.startswith("toklabel: <stdin>:1: pkg.mine:Odd gives odd <object")


def test_the_tables_of_the_corpus_name_its_files(shared: Path, tmp_path: Path) -> None:
    for folder, key in (("permissive", "genre"), ("pop909", "artist")):
        corpus = shared / "corpus" / folder
        labeler = csv(str(corpus / "labels.csv"))
        files = sorted(corpus.rglob("*.mid"))
        found = [labeler(song(str(path))) for path in files[:: max(1, len(files) // 500)]]
        assert len(found) >= 400
        assert all(meta and meta[key] for meta in found)
        assert all(type(meta.get("year", 1)) is int for meta in found if meta)


@pytest.mark.parametrize("spec", ["path:{title}", "csv:t.csv", "lmd:m.json", "tagtraum:g.cls"])
def test_neither_torch_nor_numpy_nor_h5py_is_imported(run: Runner, spec: str) -> None:
    script = (
        "import sys, atexit\n"
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
        "from midigen.cli.toklabel import main\n"
        f"main(['-q', '--from', {spec!r}, '--set', 'a=b', '--group', 'title'])"
    )
    (run.folder / "t.csv").write_text("file,title\nx,y\n")
    (run.folder / "m.json").write_text("{}")
    (run.folder / "g.cls").write_text("")
    err = run("python", "-c", script, stdin=lines_of([song("x.mid")])).err
    modules = set(err.split())
    assert any(name.startswith("midigen_labelers.") for name in modules)
    assert not modules & {"torch", "miditok", "symusic", "numpy", "h5py", "pyarrow"}

"""The labelers of `toklabel` that read other people's data: lmd, msd, tagtraum, tables, midi."""

import gzip
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from conftest import Runner
from hand_records import bar_words, lines_of, read_lines, record_of
from midigen_labelers.lmd import LmdLabeler
from midigen_labelers.midi import MidiLabeler
from midigen_labelers.msd import MsdLabeler
from midigen_labelers.tabular import csv, jsonl, parquet
from midigen_labelers.tagtraum import TagtraumLabeler
from midigen_labelers.tracks import track_in
from msd_made import nested, song, track_id, write_h5

from midigen.errors import DataError, MidigenError, Reject, UsageError
from midigen.labels import meta_value
from midigen.record import Record

WORDS = bar_words([(0, 60)])
ONE, TWO, THREE = (track_id(k) for k in (1, 2, 3))


def record(src: str = "x.mid", **keys: Any) -> Record:
    return record_of(WORDS, name=src) | {"src": src} | keys


def of_track(track: str, **meta: Any) -> Record:
    return record(meta={"msd_track_id": track} | meta)


def scores(folder: Path, data: Any) -> str:
    (folder / "scores.json").write_text(json.dumps(data))
    return str(folder / "scores.json")


# lmd


def test_the_best_match_is_the_track_of_a_file(tmp_path: Path) -> None:
    file = scores(tmp_path, {ONE: {"a1": 0.5, "B2": 0.9}, TWO: {"a1": 0.75}, THREE: {"a1": 0.75}})
    labeler = LmdLabeler(file)
    assert labeler(record(md5="a1")) == {"msd_track_id": TWO, "msd_match": 0.75}
    assert labeler(record(md5="b2")) == {"msd_track_id": ONE, "msd_match": 0.9}
    assert labeler(record(md5="c3")) is None


def test_a_match_below_the_least_gives_no_track_and_is_told(tmp_path: Path) -> None:
    file = scores(tmp_path, {ONE: {"a1": 0.5}, TWO: {"b2": 0.6}})
    labeler = LmdLabeler(f"{file},min=0.6")
    assert labeler(record(md5="a1", src=f"A/B/A/{ONE}/a1.mid")) == {"msd_match": 0.5}
    assert labeler(record(md5="b2")) == {"msd_track_id": TWO, "msd_match": 0.6}
    assert labeler.notes() == [f"lmd:{file},min=0.6: 1 records match no track by 0.6 or more"]
    assert LmdLabeler(file).notes() == []


def test_a_folder_names_the_track_of_a_file_that_has_no_score(tmp_path: Path) -> None:
    one = record(src=f"lmd_matched/A/B/A/{ONE}/a1.mid", md5="a1")
    assert LmdLabeler("")(one) == {"msd_track_id": ONE}
    assert LmdLabeler(scores(tmp_path, {TWO: {"b2": 0.6}}))(one) == {"msd_track_id": ONE}
    assert LmdLabeler("")(record()) is None


@pytest.mark.parametrize(
    "src, track",
    [
        (f"A/B/A/{ONE}/x.mid", ONE),
        (f"{ONE}.mid", ONE),
        (f"{ONE}/{TWO}/x.mid", TWO),
        (f"{ONE}x/x.mid", None),
        (ONE.lower() + "/x.mid", None),
        ("", None),
        ("-", None),
    ],
)
def test_tracks_in_paths(src: str, track: str | None) -> None:
    assert track_in(src) == track


def test_scores_are_read_in_any_layout_of_json_and_in_small_steps(tmp_path: Path) -> None:
    many = {track_id(k): {f"{k:032x}": k / 3000, "shared": k / 6000} for k in range(3000)}
    for name, text in {
        "dense": json.dumps(many, separators=(",", ":")),
        "wide": "\ufeff\n " + json.dumps(many, indent=4) + " \n",
    }.items():
        (tmp_path / name).write_text(text)
        labeler = LmdLabeler(str(tmp_path / name))
        for k in (0, 1, 1500, 2999):
            found = labeler(record(md5=f"{k:032x}"))
            assert found == {"msd_track_id": track_id(k), "msd_match": k / 3000}
    (tmp_path / "packed.gz").write_bytes(gzip.compress((tmp_path / "dense").read_bytes()))
    assert LmdLabeler(str(tmp_path / "packed.gz"))(record(md5=f"{7:032x}"))


def test_a_track_that_stands_twice_loses_none_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "s").write_text(f'{{"{ONE}": {{"a": 1, "b": 0.5}}, "{ONE}": {{"b": 0.75}}}}')
    labeler = LmdLabeler(str(tmp_path / "s"))
    assert labeler(record(md5="a")) == {"msd_track_id": ONE, "msd_match": 1}
    assert labeler(record(md5="b")) == {"msd_track_id": ONE, "msd_match": 0.75}


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "{ is missing at character 1"),
        ("[1]", "{ is missing at character 1"),
        ('{"a": {"b": 1}', ", or } is missing at character 15"),
        ('{"a" {"b": 1}}', ": is missing at character 6"),
        ('{"a": {"b": 1}} x', "something stands behind the object at character 17"),
        ('{"a": {"b": }}', "Expecting value at character 7"),
        ('{"a": {"b": 1', "at character 7"),
        ("{1: 2}", "a name in quotes is missing at character 3"),
        ('{"a": 1}', "a: not an object of md5 to score"),
        ('{"a": {"b": "1"}}', "a: the score of b is not a number"),
        ('{"a\udcff": {}}', "not UTF-8 text"),
    ],
)
def test_scores_that_are_none_are_told(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "s").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError) as error:
        LmdLabeler(str(tmp_path / "s"))
    assert str(error.value).startswith(f"{tmp_path}/s: ") and said in str(error.value)


@pytest.mark.parametrize("option", ["min=x", "min=-1", "min=nan"])
def test_a_least_score_is_a_number(tmp_path: Path, option: str) -> None:
    with pytest.raises(UsageError, match="lmd: min="):
        LmdLabeler(f"{scores(tmp_path, {})},{option}")


def test_a_file_may_have_a_comma_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "a,b=1").write_text(f'{{"{ONE}": {{"a1": 0.5}}}}')
    assert LmdLabeler(str(tmp_path / "a,b=1"))(record(md5="a1"))


# msd

KNOWN = {
    "msd_track_id": ONE,
    "artist": "Artist 1",
    "title": "Title 1",
    "year": 1961,
    "tempo": 101.5,
    "key": "Db",
    "mode": "major",
    "time_signature": "4/4",
    "loudness": -8.25,
    "terms": ["rock", "term 1"],
}


def flat(root: Path) -> Path:
    for k in (1, 2):
        write_h5(root / f"{track_id(k)}.h5", [song(k)])
    return root


def deep(root: Path) -> Path:
    for k in (1, 2):
        write_h5(nested(root, track_id(k)), [song(k)])
    return root


def deeper(root: Path) -> Path:
    deep(root / "data")
    return root


def aggregate(root: Path) -> Path:
    return write_h5(root / "all.h5", [song(k) for k in range(8)])


def in_folders(root: Path) -> Path:
    write_h5(root / "b" / "one.h5", [song(k) for k in range(4)])
    write_h5(root / "a" / "two.hdf5", [song(k) for k in range(4, 8)])
    return root


def single(root: Path) -> Path:
    return write_h5(root / "song.h5", [song(1)])


@pytest.mark.parametrize("make", [flat, deep, deeper, aggregate, in_folders, single])
def test_a_song_is_found_wherever_people_keep_it(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    labeler = MsdLabeler(str(make(tmp_path)))
    assert labeler(of_track(ONE)) == KNOWN
    assert labeler(record(src=f"A/B/A/{ONE}/x.mid")) == KNOWN
    assert labeler(of_track(track_id(9))) is None
    assert labeler(record()) is None
    assert labeler.notes() == []


def test_every_song_of_an_aggregate_has_its_own_terms(tmp_path: Path) -> None:
    songs = [song(0), song(1, terms=[]), song(2, terms=["a", "b", "c"]), song(3)]
    labeler = MsdLabeler(str(write_h5(tmp_path / "all.h5", songs)))
    found = [(labeler(of_track(track_id(k))) or {}).get("terms") for k in range(4)]
    assert found == [["rock", "term 0"], None, ["a", "b", "c"], ["rock", "term 3"]]


def test_terms_are_as_many_as_asked_for(tmp_path: Path) -> None:
    write_h5(tmp_path / f"{ONE}.h5", [song(1, terms=[f"t{k}" for k in range(30)])])
    for option, count in (("", 10), (",terms=3", 3), (",terms=99", 30)):
        found = MsdLabeler(f"{tmp_path}{option}")(of_track(ONE))
        assert found and found["terms"] == [f"t{k}" for k in range(count)]
    none = MsdLabeler(f"{tmp_path},terms=0")(of_track(ONE))
    assert none and "terms" not in none


def test_what_the_data_set_does_not_know_is_absent(tmp_path: Path) -> None:
    nan = float("nan")
    fields: dict[str, Any] = {"year": 0, "tempo": nan, "loudness": nan, "artist_name": " "}
    fields |= {"title": "", "key": -1, "time_signature": 0, "terms": []}
    write_h5(tmp_path / f"{ONE}.h5", [song(1, **fields)])
    write_h5(tmp_path / f"{TWO}.h5", [song(2, tempo=0.0, mode=7)])
    labeler = MsdLabeler(str(tmp_path))
    assert labeler(of_track(ONE)) == {"msd_track_id": ONE, "mode": "major"}
    two = labeler(of_track(TWO))
    assert two and not {"tempo", "key", "mode"} & set(two)


def test_names_are_utf8_and_a_genre_is_given_where_there_is_one(tmp_path: Path) -> None:
    fields = {"artist_name": "Andraé", "title": b"caf\xe9", "genre": "gospel"}
    write_h5(tmp_path / f"{ONE}.h5", [song(1, **fields)])
    found = MsdLabeler(str(tmp_path))(of_track(ONE)) or {}
    assert found["artist"] == "Andraé" and found["title"] == "caf\ufffd"
    assert found["genre"] == "gospel"


def test_a_minor_key_is_named_so(tmp_path: Path) -> None:
    write_h5(tmp_path / f"{ONE}.h5", [song(1, key=6, mode=0)])
    found = MsdLabeler(str(tmp_path))(of_track(ONE)) or {}
    assert (found["key"], found["mode"]) == ("F#m", "minor")


@pytest.mark.parametrize(
    "missing, lost",
    [
        ("musicbrainz/songs", {"year"}),
        ("metadata/songs", {"artist", "title", "terms"}),
        ("metadata/artist_terms", {"terms"}),
        ("analysis/songs", {"tempo", "key", "mode", "time_signature", "loudness"}),
    ],
)
def test_a_missing_data_set_costs_its_own_labels_and_is_told(
    tmp_path: Path, missing: str, lost: set[str]
) -> None:
    write_h5(tmp_path / f"{ONE}.h5", [song(1)], without=[missing])
    labeler = MsdLabeler(str(tmp_path))
    found = {key: value for key, value in KNOWN.items() if key not in lost}
    assert labeler(of_track(ONE)) == found
    path = tmp_path / f"{ONE}.h5"
    assert labeler.notes() == [
        f"msd: files without {missing}, so without its labels; the first: {path}"
    ]


def broken(path: Path, how: str) -> None:
    whole = write_h5(path, [song(1)]).read_bytes()
    if how == "no song":
        write_h5(path, [song(1)], without=[f"{g}/songs" for g in ("metadata", "analysis")])
        write_h5(path, [], without=["musicbrainz/songs", "metadata/songs", "analysis/songs"])
    elif how == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif how == "text":
        path.write_text("no HDF5")
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "other":
        write_h5(path, [song(2)])
    elif how == "no rows":
        write_h5(path, [])
    elif how == "folder":
        path.unlink()
        path.mkdir()
    else:
        import h5py

        with h5py.File(path, "w") as file:
            file["analysis/songs"] = [1.0, 2.0]


@pytest.mark.parametrize(
    "how, said",
    [
        ("no song", "none of metadata/songs, analysis/songs, musicbrainz/songs in it"),
        ("cut", "truncated file"),
        ("text", "file signature not found"),
        ("empty", "file signature not found"),
        ("other", f"it holds {TWO}, not {ONE}"),
        ("no rows", "metadata/songs has 0 rows, not 1"),
        ("odd", "analysis/songs: "),
    ],
)
def test_a_broken_file_is_told_and_costs_only_its_own_labels(
    run: Runner, how: str, said: str
) -> None:
    root = deep(run.folder / "h5")
    broken(nested(root, ONE), how)
    records = [of_track(ONE), of_track(TWO)]
    args = ["--from", "msd:h5", "--rejects", "r"]
    result = run("toklabel", *args, stdin=lines_of(records))
    assert result.lines[0] == lines_of(records).splitlines()[0]
    assert read_lines(result.out)[1]["meta"]["artist"] == "Artist 2"
    assert "2 records; 1 rejected (1 broken_h5)" in result.err
    line = json.loads((run.folder / "r").read_text())
    assert line["src"] == "<stdin>:1" and line["id"] == records[0]["id"]
    assert said in line["detail"] and line["detail"].startswith(str(nested(Path("h5"), ONE)))


def test_a_broken_aggregate_in_a_folder_is_told_and_the_others_serve(tmp_path: Path) -> None:
    write_h5(tmp_path / "a.h5", [song(k) for k in range(3)])
    (tmp_path / "b.h5").write_text("no HDF5")
    write_h5(tmp_path / "c.h5", [song(5)], without=["analysis/songs"])
    labeler = MsdLabeler(str(tmp_path))
    assert labeler(of_track(ONE)) == KNOWN
    assert [note.rpartition("/")[2] for note in labeler.notes()] == [
        "b.h5: Unable to synchronously open file (file signature not found)",
        "songs in it",
    ]


@pytest.mark.parametrize(
    "arg, said",
    [
        ("", "msd: needs a file"),
        ("nowhere", "nowhere: no such file or folder"),
        ("text.h5", "text.h5: Unable to synchronously open file"),
        ("none", "msd:none: no song in it"),
        ("none,terms=x", "msd: terms=x is not a number"),
    ],
)
def test_songs_that_cannot_be_had_are_told(run: Runner, arg: str, said: str) -> None:
    (run.folder / "text.h5").write_text("no HDF5")
    (run.folder / "none").mkdir()
    result = run("toklabel", "--from", f"msd:{arg}", stdin=lines_of([record()]), code=None)
    assert result.code in (1, 2) and result.out == b""
    assert said in result.err and result.err.count("\n") == 1


def test_two_songs_of_one_track_must_agree(tmp_path: Path) -> None:
    for folder, k in (("a", 1), ("b", 1)):
        write_h5(tmp_path / folder / f"{track_id(k)}.h5", [song(k)])
    assert MsdLabeler(str(tmp_path))(of_track(ONE)) == KNOWN
    write_h5(tmp_path / "b" / f"{ONE}.h5", [song(1, title="Other")])
    with pytest.raises(Reject, match=f"ambiguous: 2 songs of {tmp_path} are {ONE} and differ"):
        MsdLabeler(str(tmp_path))(of_track(ONE))


def test_a_track_id_from_a_stream_leads_to_no_other_place(tmp_path: Path) -> None:
    write_h5(tmp_path / "secret.h5", [song(1)])
    root = deep(tmp_path / "h5")
    labeler = MsdLabeler(str(root))
    for name in ("../../../../secret", str(tmp_path / "secret"), "..", "/"):
        assert labeler(of_track(name)) is None


def test_many_single_files_leave_no_file_open(tmp_path: Path) -> None:
    root = deep(tmp_path / "h5")
    broken(nested(root, THREE), "other")
    labeler = MsdLabeler(str(root))
    fds = Path("/dev/fd")
    labeler(of_track(TWO))
    before = len(list(fds.iterdir()))
    labeler(of_track(ONE))
    with pytest.raises(Reject):
        labeler(of_track(THREE))
    assert len(list(fds.iterdir())) == before


# tagtraum

CLS = (
    "\ufeff# genres of tracks\n#\n\n"
    f"{ONE}\tPop_Rock\r\n{TWO}\tJazz\tVocal\n{THREE}\tRap\tRap\n{ONE}\tPop_Rock\n"
)


def test_a_track_has_a_genre_or_several(tmp_path: Path) -> None:
    (tmp_path / "g.cls").write_text(CLS)
    labeler = TagtraumLabeler(str(tmp_path / "g.cls"))
    assert labeler(of_track(ONE)) == {"genre": "Pop_Rock"}
    assert labeler(of_track(TWO)) == {"genre": ["Jazz", "Vocal"]}
    assert labeler(of_track(THREE)) == {"genre": "Rap"}
    assert labeler(record(src=f"{TWO}/x.mid")) == {"genre": ["Jazz", "Vocal"]}
    assert labeler(of_track(track_id(9))) is None and labeler(record()) is None


def test_lines_of_one_track_that_differ_are_ambiguous(tmp_path: Path) -> None:
    (tmp_path / "g.cls").write_text(CLS + f"{TWO}\tJazz\n")
    labeler = TagtraumLabeler(str(tmp_path / "g.cls"))
    with pytest.raises(Reject, match=rf"ambiguous: lines 5 and 8 of .*g\.cls.*{TWO}"):
        labeler(of_track(TWO))
    assert labeler(of_track(ONE)) == {"genre": "Pop_Rock"}


@pytest.mark.parametrize(
    "line, said",
    [
        (b"TRAAAAK128F9318786 Pop\n", "2: a track's id and a genre, divided by a tab"),
        (b"TRAAAAK128F9318786\t\n", "2: a track's id and a genre"),
        (b"\tPop\n", "2: a track's id and a genre"),
        (b"TRAAAAK128F9318786\tPop\xe9\n", "2: not UTF-8 text"),
    ],
)
def test_a_line_without_genre_is_told(tmp_path: Path, line: bytes, said: str) -> None:
    (tmp_path / "g.cls").write_bytes(b"# x\n" + line)
    with pytest.raises(DataError, match=said):
        TagtraumLabeler(str(tmp_path / "g.cls"))


# the chain


def test_a_stream_is_labelled_by_match_songs_and_genres(run: Runner, tunes: Path) -> None:
    files = sorted(tunes.glob("*.mid"))[:3]
    pairs: dict[str, dict[str, float]] = {}
    for k, file in enumerate(files, 1):
        md5 = hashlib.md5(file.read_bytes()).hexdigest()
        folder = run.folder / "lmd" / "A" / track_id(k)
        folder.mkdir(parents=True)
        shutil.copy(file, folder / f"{md5}.mid")
        pairs[track_id(k)] = {md5: 0.5 + k / 10}
        write_h5(nested(run.folder / "h5", track_id(k)), [song(k)])
    scores(run.folder, pairs)
    (run.folder / "g.cls").write_text(CLS)
    result = run.shell(
        "midi2tok -q lmd | toklabel --from lmd:scores.json,min=0.65 --from msd:h5"
        " --from tagtraum:g.cls"
    )
    metas = {json.loads(line)["md5"]: json.loads(line)["meta"] for line in result.lines}
    one, two, three = (metas[next(iter(pairs[track]))] for track in (ONE, TWO, THREE))
    assert one["msd_match"] == 0.6 and not {"artist", "genre", "msd_track_id"} & set(one)
    assert (two["artist"], two["year"], two["genre"]) == ("Artist 2", 1962, ["Jazz", "Vocal"])
    assert (three["title"], three["genre"]) == ("Title 3", "Rap")
    for line in (
        "toklabel: msd:h5 matched 2 of 3 records (66.7%): artist 2, title 2, year 2,",
        "toklabel: tagtraum:g.cls matched 2 of 3 records (66.7%): genre 2\n",
        "toklabel: lmd:scores.json,min=0.65: 1 records match no track by 0.65 or more\n",
        "toklabel: genre on 2 of 3 records (66.7%): ",
        "toklabel: 3 records\n",
    ):
        assert line in result.err


def test_later_labelers_fill_what_is_missing_and_overwrite_if_asked(run: Runner) -> None:
    (run.folder / "a.csv").write_text("file,year,genre\nx.mid,0,pop\n")
    (run.folder / "b.jsonl").write_text('{"file":"x","year":1985,"genre":"rock","n":null}\n')
    (run.folder / "c.csv").write_text("file,year,genre\nx.mid,0,\n")
    args = [
        word for spec in ("csv:a.csv", "jsonl:b.jsonl", "csv:c.csv") for word in ("--from", spec)
    ]
    stream = lines_of([record(meta={"genre": "", "n": 1})])
    filled = read_lines(run("toklabel", *args, stdin=stream).out)
    assert filled[0]["meta"] == {"genre": "pop", "year": 1985, "n": 1}
    over = read_lines(run("toklabel", *args, "--overwrite", stdin=stream).out)
    assert over[0]["meta"] == {"genre": "rock", "year": 1985, "n": 1}


def test_a_key_that_one_labeler_finds_serves_a_table(run: Runner) -> None:
    scores(run.folder, {ONE: {"a1": 0.5}})
    (run.folder / "t.csv").write_text(f"msd_track_id,mood\n{ONE},calm\n{TWO},wild\n")
    args = ["--from", "lmd:scores.json", "--from", "csv:t.csv"]
    out = read_lines(run("toklabel", *args, stdin=lines_of([record(md5="a1")])).out)
    assert out[0]["meta"] == {"msd_track_id": ONE, "msd_match": 0.5, "mood": "calm"}


def test_numbers_are_told_with_their_range(run: Runner) -> None:
    text = "".join(f'{{"file":"{k}","tempo":{60.5 + k}}}\n' for k in range(9))
    (run.folder / "t.jsonl").write_text(text)
    stream = lines_of(record(src=f"{k}.mid") for k in range(9))
    err = run("toklabel", "--from", "jsonl:t.jsonl", stdin=stream).err
    assert "tempo on 9 of 9 records (100.0%): 60.5 to 68.5: 60.5 1, " in err


# tables of other forms

ROWS: list[dict[str, Any]] = [
    {"Path": "a/x.mid", "genre": ["pop", "rock"], "year": 1985.0, "tempo": 120.5, "live": True},
    {"Path": "b/x.mid", "genre": "pop|jazz", "year": 0, "tempo": float("nan"), "live": None},
    {"Path": "y.mid", "genre": [], "year": None, "tempo": 90, "live": False},
]
FOUND = [
    {"genre": ["pop", "rock"], "year": 1985, "tempo": 120.5, "live": "true"},
    {"genre": ["pop", "jazz"]},
    {"tempo": 90, "live": "false"},
]


def known(labels: dict[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (labels or {}).items() if (key, value) != ("year", 0)}


def test_a_table_of_json_lines(tmp_path: Path) -> None:
    lines = [json.dumps(row).replace("NaN", "null") for row in ROWS]
    (tmp_path / "t.jsonl").write_text("\n".join(lines) + "\n\n")
    labeler = jsonl(str(tmp_path / "t.jsonl"))
    assert [known(labeler(record(src=str(row["Path"])))) for row in ROWS] == FOUND
    assert labeler(record(src="z.mid")) is None and labeler.notes() == []


def test_a_table_of_parquet(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: extra parquet")
    import pyarrow.parquet

    rows = [dict(row) for row in ROWS]
    for row in rows:
        row["genre"] = row["genre"] if isinstance(row["genre"], list) else row["genre"].split("|")
    pyarrow.parquet.write_table(arrow.Table.from_pylist(rows), tmp_path / "t.parquet")
    labeler = parquet(str(tmp_path / "t.parquet"))
    assert [known(labeler(record(src=str(row["Path"])))) for row in ROWS] == FOUND
    (tmp_path / "text").write_text("no Parquet")
    with pytest.raises(MidigenError, match=r"text: .+"):
        parquet(str(tmp_path / "text"))
    pyarrow.parquet.write_table(arrow.table({"title": ["x"]}), tmp_path / "keyless")
    with pytest.raises(MidigenError, match=r"no column is named file, .*; its columns: title"):
        parquet(str(tmp_path / "keyless"))


def test_parquet_without_its_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MidigenError, match=r"needs pyarrow: pip install 'midigen\[parquet\]'"):
        parquet("t.parquet")


@pytest.mark.parametrize(
    "key, value, found",
    [
        ("year", "1985", 1985),
        ("year", 1985.5, 1985.5),
        ("year", Decimal("1985"), 1985),
        ("tempo", float("inf"), None),
        ("when", date(1985, 4, 1), "1985-04-01"),
        ("tags", ["a", "", None, "a", 3], ["a", "3"]),
        ("tags", ["a"], "a"),
        ("tags", [], None),
        ("n", 7, 7),
        ("n", None, None),
    ],
)
def test_values_of_typed_tables(key: str, value: Any, found: Any) -> None:
    got = meta_value(key, value)
    assert got == found and type(got) is type(found)


@pytest.mark.parametrize("value", [{"a": 1}, [["a"]], [{"a": 1}], b"x"])
def test_values_that_meta_cannot_hold(value: Any) -> None:
    with pytest.raises(ValueError):
        meta_value("key", value)


def test_rows_and_cells_that_no_record_can_get_are_told(tmp_path: Path) -> None:
    rows = [{"file": "x", "more": {"a": 1}}, {"n": 1}, {"file": "", "md5": None}, {"file": "y"}]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    labeler = jsonl(str(tmp_path / "t.jsonl"))
    assert labeler(record("x.mid")) == {}
    table = tmp_path / "t.jsonl"
    assert labeler.notes() == [
        f"{table}: 2 rows without a key fit no record: 2, 3",
        f"{table}: more is neither text, number nor list of these in 1 rows",
    ]


@pytest.mark.parametrize(
    "text, said",
    [
        ("{", r"t\.jsonl:1: not JSON"),
        ('{"file":"x"}\n[1]\n', r"t\.jsonl:2: list, not an object"),
        ('{"file":"x","Genre":"a","genre":"b"}\n', r"t\.jsonl:1: two keys are named genre"),
        ('{"title":"x"}\n', "no row has file, path, .*msd_track_id or md5"),
        ('{"file":"x","n":NaN}\n', r"t\.jsonl:1: not JSON"),
    ],
)
def test_tables_of_json_lines_that_cannot_be_used(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "t.jsonl").write_text(text)
    with pytest.raises(MidigenError, match=said):
        jsonl(str(tmp_path / "t.jsonl"))


def test_a_doubled_key_is_told_with_its_lines(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("md5,n\naa,1\nbb,2\naa,1\naa,3\n")
    labeler = csv(str(tmp_path / "t.csv"))
    with pytest.raises(Reject, match=r"ambiguous: 3 rows of .*t\.csv fit x\.mid \(lines 2, 5\)"):
        labeler(record(md5="aa"))
    assert labeler(record(md5="bb")) == {"n": "2"}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_rows_end_as_on_any_machine_and_cells_may_hold_lines(tmp_path: Path, end: str) -> None:
    text = f'file,n{end}"x",one{end}{end}y,"two{end}three"{end}z,four'
    (tmp_path / "t.csv").write_bytes(text.encode())
    labeler = csv(str(tmp_path / "t.csv"))
    found = [labeler(record(f"{name}.mid")) for name in "xyz"]
    assert found == [{"n": "one"}, {"n": f"two{end}three"}, {"n": "four"}]


def test_a_table_is_not_held_in_memory(tmp_path: Path) -> None:
    rows = 40_000
    with (tmp_path / "t.csv").open("w") as file:
        file.write("md5,path,text\n")
        for k in range(rows):
            file.write(f"{k:032x},{k % 97}/song {k}.mid,{k:04000}\n")
    script = (
        "import resource, sys\n"
        "from midigen_labelers.tabular import csv\n"
        "unit = 1 if sys.platform == 'darwin' else 1024\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit >> 20\n"
        "before = peak()\n"
        "labeler = csv(sys.argv[1])\n"
        f"for k in (0, 1, {rows // 2}, {rows - 1}):\n"
        "    for md5, src in ((f'{k:032x}', ''), ('', f'/data/{k % 97}/song {k}.mid')):\n"
        "        one = {'id': 'x', 'md5': md5, 'src': src, 'meta': {}}\n"
        "        assert labeler(one) == {'text': f'{k:04000}'}, one\n"
        "print(peak() - before)\n"
    )
    argv = [sys.executable, "-c", script, str(tmp_path / "t.csv")]
    # The table has 160 MB of text.
    env = {"TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(argv, capture_output=True, text=True, env=env, timeout=100)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 100


def test_an_index_that_finds_no_room_says_where_it_wanted_it(tmp_path: Path) -> None:
    with (tmp_path / "t.csv").open("w") as file:
        file.write("md5,text\n")
        for k in range(20_000):
            file.write(f"{k:032x},{k:03000}\n")
    small = "import resource as r, signal as s; s.signal(s.SIGXFSZ, s.SIG_IGN)\n"
    small += "r.setrlimit(r.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
    script = small + (
        "from midigen.errors import MidigenError\n"
        "from midigen_labelers.tabular import csv\n"
        "import sys\n"
        "try:\n    csv(sys.argv[1])\nexcept MidigenError as error:\n    print(error)\n"
    )
    argv = [sys.executable, "-c", script, str(tmp_path / "t.csv")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert "its index on disk: " in done.stdout and "TMPDIR" in done.stdout


# midi


def chunk(*events: bytes) -> bytes:
    data = b"".join(b"\0" + event for event in events) + b"\0\xff\x2f\0"
    return b"MTrk" + len(data).to_bytes(4) + data


def text(kind: int, data: bytes) -> bytes:
    return bytes((0xFF, kind, len(data))) + data


def midi(*tracks: bytes) -> bytes:
    return b"MThd\0\0\0\6\0\1" + len(tracks).to_bytes(2) + b"\1\xe0" + b"".join(tracks)


NOTE = (b"\x90\x3c\x40", b"\x80\x3c\x40")
FILE = midi(
    chunk(
        text(3, b"Song"),
        text(2, b"(c) 1999\nby  M\xe9"),
        text(2, b""),
        text(0x51, (500_000).to_bytes(3)),
        text(0x51, (400_000).to_bytes(3)),
        text(0x59, b"\xfd\1"),
    ),
    chunk(text(3, "Björk".encode()), *NOTE),
    chunk(text(3, b"Song"), text(3, b" \0 "), *NOTE),
)
SAYS = {
    "track_names": ["Song", "Björk"],
    "copyright": "(c) 1999 by Mé",
    "tempo": 120.0,
    "key": "Cm",
}


def put(path: Path, data: bytes = FILE) -> Record:
    """Write a file; return its record."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    md5, sha = hashlib.md5(data).hexdigest(), hashlib.sha256(data).hexdigest()
    return record(str(path), md5=md5, id=sha[:16])


def test_a_file_says_its_names_copyright_key_and_tempo(tmp_path: Path) -> None:
    one = put(tmp_path / "a" / "b" / "x.mid")
    assert MidiLabeler(str(tmp_path))(one) == SAYS
    bare = put(tmp_path / "y.mid", midi(chunk(*NOTE)))
    assert not any((MidiLabeler(str(tmp_path))(bare) or {"none": 1}).values())


@pytest.mark.parametrize(
    "fifths, mode, key",
    [(0, 0, "C"), (1, 0, "G"), (-1, 0, "F"), (7, 0, "Db"), (3, 1, "F#m"), (0, 1, "Am")],
)
def test_keys_of_key_signatures(tmp_path: Path, fifths: int, mode: int, key: str) -> None:
    data = midi(chunk(text(0x59, bytes((fifths % 256, mode))), *NOTE))
    found = MidiLabeler(str(tmp_path))(put(tmp_path / "x.mid", data))
    assert found and found["key"] == key


@pytest.mark.parametrize(
    "src",
    ["/elsewhere/a/b/x.mid", "a/b/x.mid", "./a/b/x.mid", "../../a/b/x.mid", "b/../a/b/x.mid"],
)
def test_the_file_is_found_by_the_end_of_its_path(tmp_path: Path, src: str) -> None:
    one = put(tmp_path / "a" / "b" / "x.mid")
    assert MidiLabeler(str(tmp_path))(one | {"src": src}) == SAYS


def test_the_file_is_found_by_its_md5_and_told_from_others_of_its_name(tmp_path: Path) -> None:
    one = put(tmp_path / "x.mid")
    labeler = MidiLabeler(str(tmp_path))
    (tmp_path / one["md5"][0]).mkdir()
    shutil.move(tmp_path / "x.mid", tmp_path / one["md5"][0] / f"{one['md5']}.mid")
    assert labeler(one | {"src": "q/x.mid"}) == SAYS
    put(tmp_path / "x.mid", midi(chunk(*NOTE)))
    assert labeler(one) == SAYS
    (tmp_path / one["md5"][0] / f"{one['md5']}.mid").unlink()
    with pytest.raises(Reject, match=r"other_file: .*x\.mid is not the file of"):
        labeler(one)
    (tmp_path / "x.mid").unlink()
    with pytest.raises(Reject, match=r"no_file: .* is not under"):
        labeler(one)


def test_without_an_md5_the_id_says_whether_it_is_the_file(tmp_path: Path) -> None:
    one = put(tmp_path / "x.mid")
    del one["md5"]
    labeler = MidiLabeler(str(tmp_path))
    assert labeler(one) == SAYS
    assert labeler(one | {"id": one["id"] + ".1", "part": [1, 2]}) == SAYS
    with pytest.raises(Reject, match="other_file"):
        labeler(one | {"id": "0" * 16})
    assert labeler(one | {"gen": {}}) is None


def test_a_path_in_a_stream_leads_nowhere_outside_the_folder(tmp_path: Path) -> None:
    one = put(tmp_path / "secret" / "x.mid")
    (tmp_path / "open").mkdir()
    labeler = MidiLabeler(str(tmp_path / "open"))
    for src in (str(tmp_path / "secret" / "x.mid"), "../secret/x.mid", "a/../../secret/x.mid"):
        with pytest.raises(Reject, match="no_file"):
            labeler(one | {"src": src})


def test_a_folder_that_is_none_is_told() -> None:
    with pytest.raises(MidigenError, match="midi:nowhere: no such folder"):
        MidiLabeler("nowhere")


# the real thing


def test_the_real_files_of_the_data_set_are_labelled_right(shared: Path, run: Runner) -> None:
    data = shared / "msd"
    if not data.is_dir():
        pytest.skip(f"no Million Song Dataset at {data}")
    import h5py

    matches = json.loads((data / "match_scores.json").read_text())
    genres = {}
    for line in (data / "genres.cls").read_text().splitlines():
        track, *found = line.split("\t")
        genres[track] = found
    result = run.shell(
        f"midi2tok -q {data}/lmd_matched | toklabel --from lmd:{data}/match_scores.json"
        f" --from msd:{data}/h5,terms=99 --from tagtraum:{data}/genres.cls"
    )
    records = read_lines(result.out)
    assert len(records) == 97
    for one in records:
        meta, track = one["meta"], one["src"].split("/")[-2]
        assert meta["msd_track_id"] == track
        assert meta["msd_match"] == matches[track][one["md5"]]
        with h5py.File(data / "h5" / f"{track}.h5") as file:
            metadata, analysis = file["metadata/songs"][0], file["analysis/songs"][0]
            assert meta["artist"] == metadata["artist_name"].decode()
            assert meta["title"] == metadata["title"].decode()
            assert meta.get("year", 0) == file["musicbrainz/songs"][0]["year"]
            assert meta["terms"] == [term.decode() for term in file["metadata/artist_terms"][:]]
        assert (meta["tempo"], meta["loudness"]) == (analysis["tempo"], analysis["loudness"])
        assert meta["time_signature"] == f"{analysis['time_signature']}/4"
        assert meta["mode"] == ("minor", "major")[analysis["mode"]]
        tonic = (
            "C Db D Eb E F F# G Ab A Bb B" if analysis["mode"] else "C C# D Eb E F F# G G# A Bb B"
        )
        assert meta["key"].removesuffix("m") == tonic.split()[analysis["key"]]
        assert meta["key"].endswith("m") == (not analysis["mode"])
        named = genres.get(track, [])
        assert meta.get("genre") == (named if len(named) > 1 else named[0] if named else None)
    damaged = of_track("TRAXLZU12903D05F94")
    args = ["--from", f"msd:{data}/h5", "--strict"]
    err = run("toklabel", *args, stdin=lines_of([damaged]), code=1).err
    assert "TRAXLZU12903D05F94.h5: none of metadata/songs" in err and err.count("\n") == 1

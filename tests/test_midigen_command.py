"""`midigen`: the plugins, the installation's health, and what a model knows."""

import json
from collections import Counter
from pathlib import Path

import pytest
from conftest import Runner
from midigen_pitch import Pitch
from symusic import Score
from tiny_model import save_tiny, tok_of

from midigen import __version__
from midigen.cli._edge import CommandGroup
from midigen.cli.midigen import main
from midigen.pitchnames import shift_named


def broken_plugin(folder: Path) -> dict[str, str]:
    """Put an installed package whose tokenizer does not import into `folder`."""
    info = folder / "broken_thing-9.8.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-thing\nVersion: 9.8\n")
    (info / "entry_points.txt").write_text("[midigen.tokenizers]\nodd = broken_thing:Tokenizer\n")
    return {"PYTHONPATH": str(folder)}


def test_plugins_lists_group_name_version_and_origin(run: Runner) -> None:
    lines = run("midigen", "plugins").text.splitlines()
    assert lines[0].split() == ["group", "name", "version", "origin"]
    words = [line.split(maxsplit=3) for line in lines[1:]]
    assert ["midigen.tokenizers", "remi", __version__, "midigen: midigen_remi:Remi"] in words
    assert {word[0] for word in words} == {
        f"midigen.{kind}"
        for kind in ("tokenizers", "models", "labelers", "checkpoints", "executors")
    }


def test_plugins_as_json_lines_says_the_same(run: Runner) -> None:
    table = run("midigen", "plugins").text.splitlines()[1:]
    found = [json.loads(line) for line in run("midigen", "plugins", "--json").lines]
    assert [list(plugin.values()) for plugin in found] == [line.split(None, 3) for line in table]


def test_plugins_loads_none_so_that_a_broken_one_is_listed(run: Runner, tmp_path: Path) -> None:
    env = broken_plugin(tmp_path / "there")
    found = [json.loads(line) for line in run("midigen", "plugins", "--json", env=env).lines]
    assert {
        "group": "midigen.tokenizers",
        "name": "odd",
        "version": "9.8",
        "origin": "broken-thing: broken_thing:Tokenizer",
    } in found


def test_doctor_names_a_plugin_that_does_not_load_and_goes_on(run: Runner, tmp_path: Path) -> None:
    result = run("midigen", "doctor", env=broken_plugin(tmp_path / "there"), code=1)
    assert f"midigen {__version__}, Python 3." in result.text
    assert "midigen.tokenizers remi: ok" in result.text
    assert (
        "midigen.tokenizers odd: fault: tokenizer 'odd' of package broken-thing does not load:"
        " ModuleNotFoundError: No module named 'broken_thing'" in result.text
    )
    assert "midigen.executors local: ok" in result.text
    assert "\ndevices: cpu" in result.text


def test_doctor_says_what_a_model_reads_and_knows(run: Runner, tmp_path: Path) -> None:
    save_tiny(tmp_path / "m", window=96)
    text = run("midigen", "doctor", "-m", "m", code=None).text
    assert "m: llama, window 96 ids" in text
    assert f"tokenizer: {tok_of('remi')}" in text
    assert "ids: 571 (565 base, 0 merged, 6 conditions)" in text
    assert "genre: pop (40), classical (30), Hip-Hop (7)" in text
    assert "era: 1990s (21), 1980s (20)" in text


def test_doctor_of_a_folder_that_is_no_model_is_an_error(run: Runner) -> None:
    result = run("midigen", "doctor", "-m", ".", code=1)
    assert result.err == "midigen: . has no config.json: not a model folder\n"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], "no command given; there are plugins, doctor, recipes, learn"),
        (["plugin"], "No such command 'plugin'"),
        (["plugins", "--jason"], "No such option"),
    ],
)
def test_a_call_without_meaning_is_one_line_and_exit_code_2(
    run: Runner, argv: list[str], words: str
) -> None:
    result = run("midigen", *argv, code=2)
    assert result.err.startswith("midigen: ") and words in result.err
    assert result.err.count("\n") == 1


def test_version_and_help_are_there_for_the_group_and_each_command(run: Runner) -> None:
    for argv in (["--version"], ["plugins", "--version"]):
        assert run("midigen", *argv).text == f"midigen (midigen) {__version__}\n"
    assert "plugins" in run("midigen", "-h").text
    assert "--json" in run("midigen", "plugins", "--help").text
    assert "--least" in run("midigen", "learn", "--help").text


def test_the_manual_can_walk_the_commands() -> None:
    assert isinstance(main, CommandGroup)
    commands = main.click().commands
    assert list(commands) == ["plugins", "doctor", "recipes", "learn"]
    assert {"--json", "--quiet", "--traceback"} <= {
        name for param in commands["plugins"].params for name in param.opts
    }


LEARN = ("midigen", "learn", "--tokenizer", "pitch:chords=sets")


def test_learn_writes_the_chords_of_a_folder_most_frequent_first(run: Runner, tunes: Path) -> None:
    counts = Counter[str]()
    for path in tunes.glob("*.mid"):
        counts += Pitch.learner(chords="sets").count(Score(path))
    ranked = sorted(counts, key=lambda name: (-counts[name], name))

    done = run(*LEARN, tunes, "-o", "chords.tok.json", "--least", "1")
    learned = json.loads((run.folder / "chords.tok.json").read_text())
    found = {"vocabulary": ranked, "transposed": []}
    assert learned == {"midigen": "pitch", "chords": "sets", "step": 8, **found}
    files = len(list(tunes.iterdir()))
    assert done.err == (
        f"midigen: {files} files, {counts.total():,} chords; learned {len(counts)} of"
        f" {len(counts)} kinds, 100.0% of all\n"
    )
    assert done.out == b""
    Pitch.from_definition(learned)

    often = [name for name in ranked if counts[name] >= 3]
    assert 5 < len(often) < len(ranked)
    assert json.loads(run(*LEARN, tunes, "--least", "3").out)["vocabulary"] == often
    assert json.loads(run(*LEARN, tunes, "--most", "5", "-j2").out)["vocabulary"] == ranked[:5]


def test_learn_counts_transpositions_so_that_copies_stay_in_the_vocabulary(
    run: Runner, tunes: Path
) -> None:
    classes = ("midigen", "learn", "--tokenizer", "pitch:chords=classes,step=16")
    found = json.loads(run(*classes, tunes, "--shift", "2", "--least", "1").out)
    assert found["step"] == 16
    plain = json.loads(run(*classes, tunes, "--least", "1").out)["vocabulary"]
    assert sorted(found["vocabulary"]) == sorted(plain)
    moved = {shift_named(name, step) for name in plain for step in range(-2, 3)}
    assert set(found["transposed"]) == moved - set(plain) != set()


def test_learn_counts_what_it_cannot_read_and_goes_on(run: Runner, tunes: Path) -> None:
    (run.folder / "bad.mid").write_bytes(b"no MIDI at all")
    tune = tunes / "old_hundredth.mid"
    done = run(*LEARN, "bad.mid", tune, "--rejects", "bad.jsonl", "--least", "1")
    assert "1 files" in done.err and "1 rejected (1 not_midi)" in done.err
    assert json.loads((run.folder / "bad.jsonl").read_text())["src"] == "bad.mid"
    assert run(*LEARN, "bad.mid", tune, "--strict", code=1).err.startswith("midigen: bad.mid: ")


def test_learn_reads_lists_of_names_and_a_file_on_stdin(run: Runner, tunes: Path) -> None:
    tune = tunes / "old_hundredth.mid"
    (run.folder / "names").write_text(f"{tune}\n")
    args = (*LEARN, "--least", "1")
    by_name = run(*args, tune).out
    assert run(*args, "--files-from", "names").out == by_name
    assert run(*args, "-0", stdin=f"{tune}\0".encode()).out == by_name
    assert run(*args, stdin=tune.read_bytes()).out == by_name


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["--tokenizer", "remi", "."], 1, "the vocabulary of remi is fixed"),
        (["--tokenizer", "pitch:chords=top", "."], 1, "pitch:chords=top has no chords"),
        (["--tokenizer", "pich", "."], 1, "no tokenizer 'pich'"),
        (["--tokenizer", "pitch:chords=sets", "."], 1, "0 files"),
        (["."], 2, "Missing option '--tokenizer'"),
        (["--tokenizer", "pitch:chords=sets", "-o", "names", "."], 1, "names exists"),
    ],
)
def test_learn_says_in_one_line_why_it_cannot(
    run: Runner, args: list[str], code: int, words: str
) -> None:
    (run.folder / "names").write_text("")
    result = run("midigen", "learn", *args, code=code)
    assert words in result.err
    assert result.err.startswith("midigen: ") and result.err.count("\n") == 1
    assert result.out == b"" and (run.folder / "names").read_text() == ""


def test_learn_refuses_to_write_a_vocabulary_without_chords(run: Runner, tunes: Path) -> None:
    result = run(*LEARN, tunes, "--least", "100000", "-o", "none.tok.json", code=1)
    assert "none occurs 100000 times; lower --least" in result.err
    assert not (run.folder / "none.tok.json").exists()

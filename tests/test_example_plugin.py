"""The worked plugin of README: built, installed into a place of its own, and driven by the pipe."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import symusic
from conftest import HERE, Runner

PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the plugin installed from its wheel, to be put on PYTHONPATH."""
    folder = tmp_path_factory.mktemp("plugin")
    source = folder / "source"
    shutil.copytree(
        HERE / "example_plugin", source, ignore=shutil.ignore_patterns("__pycache__", "build")
    )
    offline = ["--no-index", "--no-deps"]
    wheel = [*PIP, "wheel", "--no-build-isolation", *offline, "--wheel-dir", folder, source]
    subprocess.run(wheel, check=True)
    (built,) = folder.glob("midigen_melody-*.whl")
    subprocess.run([*PIP, "install", *offline, "--target", folder / "site", built], check=True)
    return folder / "site"


@pytest.fixture
def env(site: Path) -> dict[str, str]:
    return {"PYTHONPATH": str(site)}


def pitches(data: bytes) -> list[int]:
    return [note.pitch for track in symusic.Score.from_midi(data).tracks for note in track.notes]


def test_plugin_is_listed_with_its_package(run: Runner, env: dict[str, str]) -> None:
    listed = [json.loads(line) for line in run("midigen", "plugins", "--json", env=env).lines]
    (melody,) = [plugin for plugin in listed if plugin["name"] == "melody"]
    assert melody == {
        "group": "midigen.tokenizers",
        "name": "melody",
        "version": "0.1.0",
        "origin": "midigen-melody: midigen_melody:Melody",
    }


def test_melody_goes_through_the_pipe(run: Runner, tunes: Path, env: dict[str, str]) -> None:
    tune = tunes / "old_hundredth.mid"
    line = f"midi2tok --tokenizer melody {tune} | tok2midi"
    melody = [note.pitch for note in symusic.Score(tune).tracks[0].notes]
    assert pitches(run.shell(line, env=env).out) == melody


def test_parameter_of_the_plugin_stands_in_the_record(
    run: Runner, tunes: Path, env: dict[str, str]
) -> None:
    tune = tunes / "old_hundredth.mid"
    coarse, default = (
        json.loads(run("midi2tok", "--tokenizer", spec, tune, env=env).out)
        for spec in ("melody:grid=8", "melody:grid=16")
    )
    assert coarse["tok"].startswith("melody:grid=8#")
    assert default["tok"].startswith("melody#")
    wrong = run("midi2tok", "--tokenizer", "melody:grid=7", tune, env=env, code=None)
    assert wrong.code in (1, 2)
    assert "grid=7 is not one of 8, 16, 32" in wrong.err


def test_augmenting_needs_no_word_from_the_plugin(
    run: Runner, tunes: Path, env: dict[str, str]
) -> None:
    tune = tunes / "old_hundredth.mid"
    records = f"midi2tok --tokenizer melody {tune} | tokaug --shift 2 --copies all"
    shifts = [json.loads(line)["aug"].get("shift", 0) for line in run.shell(records, env=env).lines]
    assert sorted(shifts) == [-2, -1, 0, 1, 2]
    up = f"{records} | tokfilter --where 'aug.shift == 2' | tok2midi"
    melody = [note.pitch for note in symusic.Score(tune).tracks[0].notes]
    assert pitches(run.shell(up, env=env).out) == [pitch + 2 for pitch in melody]


def test_without_the_plugin_its_records_name_what_is_missing(
    run: Runner, tunes: Path, env: dict[str, str]
) -> None:
    record = run("midi2tok", "--tokenizer", "melody", tunes / "sakura.mid", env=env).out
    refused = run("tok2midi", stdin=record, code=1)
    assert "no tokenizer 'melody'; installed: " in refused.err
    assert "Traceback" not in refused.err

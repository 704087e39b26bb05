"""The worked Makefile of the README builds a model from MIDI, and only what changed again."""

import os
import shutil
import time
from pathlib import Path

import pytest
from conftest import CHECKOUT, HERE, Runner

TARGETS = (
    "tokens.jsonl.zst",
    "labelled.jsonl.zst",
    "my.model/config.json",
    "samples.jsonl",
    "samples.mid",
)
EXAMPLE = HERE / "example_make" / "Makefile"


@pytest.fixture
def project(run: Runner, tunes: Path, short_training: None) -> Path:
    """A folder with the Makefile, music and labels."""
    shutil.copy(EXAMPLE, run.folder)
    shutil.copytree(tunes, run.folder / "music")
    rows = [f"{path.name},folk" for path in sorted(tunes.glob("*.mid"))]
    (run.folder / "labels.csv").write_text("\n".join(["file,genre", *rows]) + "\n")
    return run.folder


def make(run: Runner) -> str:
    return run("make").text


def stamps(folder: Path) -> dict[str, int]:
    return {name: (folder / name).stat().st_mtime_ns for name in TARGETS}


def test_what_changed_is_built_again_and_nothing_else(run: Runner, project: Path) -> None:
    make(run)
    built = stamps(project)
    assert (project / "samples.mid").read_bytes().startswith(b"MThd")

    assert "up to date" in make(run)
    assert stamps(project) == built

    # Time stamps of files may be no finer than a second.
    later = time.time() + 2
    os.utime(project / "my.model" / "config.json", (later, later))
    make(run)
    again = stamps(project)
    kept = ("tokens.jsonl.zst", "labelled.jsonl.zst")
    assert all(again[name] == built[name] for name in kept)
    assert all(again[name] != built[name] for name in TARGETS if name not in kept)


def test_readme_shows_this_makefile() -> None:
    text = EXAMPLE.read_text(encoding="utf-8").replace("\t", "    ")
    rules = text[text.index("samples.mid:") : text.index("clean:")].strip()
    assert rules in (CHECKOUT / "README.md").read_text(encoding="utf-8").replace("\t", "    ")

"""Every example of the manual pages and of the README's pipelines runs as it is written.

Each runs in a folder that has what it names. Training is cut short.
"""

import importlib
import re
import shutil
from pathlib import Path

import pytest
from book import write_book
from conftest import CHECKOUT, COMMANDS, Runner
from msd_made import write_matched

EXAMPLES = [
    pytest.param(example.line, id=f"{name}-{number}")
    for name in COMMANDS
    for number, example in enumerate(importlib.import_module(f"midigen.cli.{name}").main.examples)
]
# Programs of other packages: where one is missing, what needs it is not run.
OTHERS = ("jq", "zstdcat", "parallel")
PLAYS = "--play "


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, bin_dir: Path, tunes: Path) -> Path:
    """A folder with music, records, labels and a model that the examples may name."""
    folder = tmp_path_factory.mktemp("prepared")
    for name in ("tunes", "songs/folk", "music", "lmd/a/b"):
        shutil.copytree(tunes, folder / name)
    shutil.copy(tunes / "sakura.mid", folder / "song.mid")
    (folder / "book.txt").write_bytes(write_book(20_000))
    (folder / "names.txt").write_text("Bach\nBartók\nBoulanger\n", encoding="utf-8")
    genres = ("folk", "jazz", "pop")
    rows = [
        f"{path.name},{genres[i % 3]},someone,{path.stem},{1800 + i}"
        for i, path in enumerate(sorted(tunes.glob("*.mid")))
    ]
    table = "\n".join(["file,genre,artist,title,year", *rows]) + "\n"
    (folder / "labels.csv").write_text(table)
    write_matched(folder, sorted(tunes.glob("*.mid")))
    run = Runner(folder, bin_dir)
    run.shell("midi2tok tunes | toklabel --from csv:labels.csv > tokens.jsonl")
    run.shell(
        "toktrain --steps 20 --preset tiny --batch 512 --eval-tokens 512 --device cpu"
        " --condition-least 1 --infill-rate 0.5 -o prepared.model < tokens.jsonl"
    )
    return folder


@pytest.fixture
def place(run: Runner, prepared: Path, short_training: None) -> Runner:
    """A runner in a copy of the prepared folder, with the short `toktrain`."""
    shutil.copytree(prepared, run.folder, dirs_exist_ok=True)
    return run


def skip_without(line: str) -> None:
    missing = [name for name in OTHERS if f"{name} " in line and not shutil.which(name)]
    if missing:
        pytest.skip(f"{missing[0]} is not installed here")
    if PLAYS in line:
        pytest.skip("it sounds as long as it lasts; test_playing plays on paper")


def put_models(folder: Path, line: str) -> None:
    """Give names of models that a line reads, and does not make, to copies of the prepared one."""
    for name in re.findall(r"-m (\S+)", line):
        if not (folder / name).exists() and f"-o {name}" not in line:
            shutil.copytree(folder / "prepared.model", folder / name)


@pytest.mark.parametrize("line", EXAMPLES)
def test_example_of_a_manual_page_runs(place: Runner, line: str) -> None:
    skip_without(line)
    put_models(place.folder, line)
    before = {path.relative_to(place.folder) for path in place.folder.rglob("*")}
    done = place.shell(line)
    after = {path.relative_to(place.folder) for path in place.folder.rglob("*")}
    assert done.out or after - before, "it neither printed nor wrote anything"
    assert not [path for path in after if ".part-" in path.name]


def blocks(text: str) -> list[str]:
    """Return the indented blocks of a text: shell lines, as they are."""
    found = re.findall(r"(?:^ {4}\S.*\n(?:^ {4}.*\n)*)", text, flags=re.MULTILINE)
    return [re.sub(r"^ {4}", "", block, flags=re.MULTILINE) for block in found]


def run_all(place: Runner, texts: list[str]) -> None:
    for text in texts:
        if PLAYS in text or any(f"{n} " in text and not shutil.which(n) for n in OTHERS):
            continue
        if "toktrain" not in text:
            put_models(place.folder, text)
        place.shell(text)


def test_pipelines_of_the_readme_run(place: Runner) -> None:
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    texts = blocks(readme.partition("\n## Pipelines\n")[2].partition("\n### ")[0])
    assert len(texts) >= 6
    run_all(place, texts)


def test_pipelines_of_the_overview_run(place: Runner) -> None:
    page = (CHECKOUT / "manpages" / "midigen.7.md").read_text(encoding="utf-8")
    texts = blocks(page)
    assert len(texts) >= 5
    run_all(place, texts)

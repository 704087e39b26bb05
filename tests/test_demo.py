"""The demo, on little music and for few seconds, and the music that it gets from music21."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
import symusic
from conftest import HERE, Runner

EXPORT = HERE / "demo" / "export_music21.py"


def load_export() -> ModuleType:
    spec = importlib.util.spec_from_file_location("export_music21", EXPORT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.usefixtures("short_training")
def test_demo_makes_two_files_over_the_last_ones_and_says_where(run: Runner, tunes: Path) -> None:
    (run.folder / "demo" / "model").mkdir(parents=True)
    (run.folder / "demo" / "model" / "config.json").write_text("{}")
    (run.folder / "demo" / "starter.mid").write_bytes(b"of the last time")
    done = run(str(HERE / "demo" / "demo.sh"), "2", tunes, timeout=300)
    paths = re.findall(r"^by the .*: +(/.*\.mid)$", done.text, flags=re.MULTILINE)
    assert [Path(path).name for path in paths] == ["starter.mid", "trained.mid"]
    for path in paths:
        assert symusic.Score(path).note_num() > 0


@pytest.fixture(scope="module")
def chorales(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some of Bach's chorales, and a tune whose repeats music21 cannot unfold."""
    pytest.importorskip("music21", reason="no music21 here: make test installs it")
    export = load_export()
    folder = tmp_path_factory.mktemp("chorales")
    pieces = list(export.selection())
    chosen = [path for path, name in pieces if name.startswith("bach/")][:4]
    chosen += [path for path, _ in pieces if path.stem == "AbithaMugginsFavoriteReel"]
    assert len(chosen) == 5
    faults = [export.export((path, folder / f"{path.stem}.mid")) for path in chosen]
    assert faults == [""] * 5
    return folder


def test_music21_gives_music_that_goes_there_and_back(run: Runner, chorales: Path) -> None:
    run.shell(f"midi2tok --strict {chorales} | tok2midi -o 'back/{{src}}.mid'")
    names = {path.name for path in chorales.iterdir()}
    assert {path.name for path in (run.folder / "back").iterdir()} == names
    for name in names:
        there, back = symusic.Score(chorales / name), symusic.Score(run.folder / "back" / name)
        assert there.note_num() > 30
        # Notes that two voices share are one note in the tokens of one program.
        assert 0.8 * there.note_num() <= back.note_num() <= there.note_num()


def test_export_names_a_piece_that_cannot_be_read(tmp_path: Path) -> None:
    pytest.importorskip("music21", reason="no music21 here: make test installs it")
    broken = tmp_path / "broken.mxl"
    broken.write_bytes(b"not a score")
    fault = load_export().export((broken, tmp_path / "out.mid"))
    assert fault.startswith("broken.mxl: ")

"""What -o names is there whole or not at all."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from midigen.atomic import atomic_file, atomic_folder, move_folder
from midigen.errors import MidigenError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_file_gets_its_name_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with atomic_file(target) as file:
        file.write(b"half")
        file.flush()
        assert not target.exists()
        file.write(b" and half")
    assert target.read_bytes() == b"half and half"
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_failed_write_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), atomic_file(tmp_path / "out") as file:
        file.write(b"half")
        raise error
    with pytest.raises(error), atomic_folder(tmp_path / "folder") as folder:
        (folder / "half").touch()
        raise error
    assert names(tmp_path) == []


def test_failed_write_leaves_what_stood_there(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("old")
    with pytest.raises(ValueError), atomic_file(tmp_path / "out", force=True) as file:
        file.write(b"new")
        raise ValueError
    assert (tmp_path / "out").read_text() == "old"
    assert names(tmp_path) == ["out"]


def test_existing_name_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    for name in ("out", "link"):
        with (
            pytest.raises(MidigenError, match=f"{name} exists; --force replaces it"),
            atomic_file(tmp_path / name),
        ):
            pytest.fail("the block ran")
    with pytest.raises(MidigenError, match="exists"), atomic_folder(tmp_path / "out"):
        pytest.fail("the block ran")


def test_name_that_appears_in_the_meantime_is_not_written_over(tmp_path: Path) -> None:
    with pytest.raises(MidigenError, match="exists"), atomic_file(tmp_path / "out") as file:
        file.write(b"new")
        (tmp_path / "out").write_text("another's")
    assert (tmp_path / "out").read_text() == "another's"
    assert names(tmp_path) == ["out"]


def test_force_replaces_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("old")
    with atomic_file(tmp_path / "out", force=True) as file:
        file.write(b"new")
    assert (tmp_path / "out").read_text() == "new"
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "old").touch()
    with atomic_folder(tmp_path / "model", force=True) as folder:
        (folder / "new").touch()
    assert names(tmp_path / "model") == ["new"]
    with atomic_folder(tmp_path / "out", force=True) as folder:
        (folder / "new").touch()
    assert names(tmp_path) == ["model", "out"]


def test_folder_is_moved_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "x").touch()
    (tmp_path / "there").mkdir()
    with pytest.raises(MidigenError, match="exists"):
        move_folder(tmp_path / "part", tmp_path / "there", force=False)
    move_folder(tmp_path / "part", tmp_path / "there", force=True)
    assert names(tmp_path) == ["there"] and names(tmp_path / "there") == ["x"]


def test_modes_are_those_of_a_file_that_was_just_created(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with atomic_file(tmp_path / "out") as file:
            file.write(b"x")
        with atomic_folder(tmp_path / "folder"):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o750


def test_missing_folder_is_named(tmp_path: Path) -> None:
    for opened in (atomic_file, atomic_folder):
        with (
            pytest.raises(MidigenError, match=r"cannot write .*/gone/out: there is no folder"),
            opened(tmp_path / "gone" / "out"),
        ):
            pytest.fail("the block ran")


def test_bare_name_is_written_into_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with atomic_file("out") as file:
        file.write(b"x")
    assert names(tmp_path) == ["out"]


def test_device_or_pipe_is_written_to_and_never_replaced(tmp_path: Path) -> None:
    with atomic_file("/dev/null") as file:
        file.write(b"x")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
        with atomic_file(pipe) as file:
            file.write(b"through")
        assert reader.communicate()[0] == b"through"
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_kill_9_leaves_nothing_under_the_name(tmp_path: Path) -> None:
    script = (
        "import sys, time; from midigen.atomic import atomic_file\n"
        "with atomic_file('out') as file:\n"
        "    file.write(b'x' * 1_000_000); file.flush(); print(flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
        process.wait()
    time.sleep(0.05)
    assert not (tmp_path / "out").exists()
    assert all(name.startswith(".out.part-") for name in names(tmp_path))

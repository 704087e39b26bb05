"""The wheel, installed into an environment of its own, has all that belongs to it."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from conftest import CHECKOUT, COMMANDS

PARTS = ("midigen", "plugins", "manpages", "pyproject.toml", "README.md", "LICENSE")
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
OFFLINE = ["--no-index", "--no-deps"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the sources: no traces of earlier builds get in."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in PARTS:
        if (CHECKOUT / name).is_dir():
            ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", "*.so")
            shutil.copytree(CHECKOUT / name, source / name, ignore=ignore)
        else:
            shutil.copy(CHECKOUT / name, source)
    build = [*PIP, "wheel", "--no-build-isolation", *OFFLINE, "--wheel-dir", folder, source]
    subprocess.run(build, check=True)
    (built,) = folder.glob("midigen-*.whl")
    return built


@pytest.fixture(scope="module")
def prefix(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel; what it depends on is borrowed from the running one."""
    folder = tmp_path_factory.mktemp("elsewhere") / "env"
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    subprocess.run([*PIP, "--python", python, "install", *OFFLINE, wheel], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def run(prefix: Path, line: str, cwd: Path) -> bytes:
    env = os.environ | {"PATH": f"{prefix / 'bin'}:/usr/bin:/bin"}
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], env=env, cwd=cwd, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_installed_package_is_the_one_of_the_wheel(prefix: Path, tmp_path: Path) -> None:
    where = run(prefix, "python -c 'import midigen; print(midigen.__file__)'", tmp_path)
    assert Path(where.decode().strip()).is_relative_to(prefix)


def test_all_commands_and_pages_are_installed(prefix: Path) -> None:
    assert {path.name for path in (prefix / "bin").iterdir()} >= set(COMMANDS)
    man = prefix / "share" / "man"
    assert sorted(path.stem for path in (man / "man1").iterdir()) == COMMANDS
    for section in "57":
        pages = {path.name for path in (CHECKOUT / "manpages").glob(f"*.{section}")}
        assert {path.name for path in (man / f"man{section}").iterdir()} == pages


def test_wheel_holds_packages_pages_and_weights_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names}
    plugins = {path.name for path in (CHECKOUT / "plugins").glob("midigen_*")}
    (info,) = (name for name in top if name.endswith(".dist-info"))
    (data,) = (name for name in top if name.endswith(".data"))
    assert top == {"midigen", *plugins, info, data}
    assert f"{info}/licenses/LICENSE" in names
    built = {name.partition(".")[0] for name in names if name.endswith(".so")}
    assert ("midigen_llama/_step_plain" in built) == (shutil.which("cc") is not None)
    assert not [name for name in names if "/native/" in name]
    weights = {name for name in names if name.startswith("midigen_starter/weights/")}
    assert {"midigen_starter/weights/model.safetensors", "midigen_starter/weights/README.md"} <= (
        weights
    )


def test_every_plugin_loads(prefix: Path, tmp_path: Path) -> None:
    listed = run(prefix, "midigen plugins && midigen doctor", tmp_path).decode()
    for name in ("remi", "llama", "path", "csv", "starter", "local"):
        assert name in listed


def test_starter_model_plays(prefix: Path, tmp_path: Path) -> None:
    run(prefix, "toksample --genre pop --bars 2 --seed 1 | tok2midi > out.mid", tmp_path)
    assert (tmp_path / "out.mid").read_bytes().startswith(b"MThd")

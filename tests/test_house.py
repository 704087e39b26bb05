"""The parts of the checkout agree: commands, launchers, scripts, pages, imports."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import CHECKOUT, COMMANDS, Runner

HEAVY = ("torch", "miditok", "numpy", "symusic", "matplotlib", "transformers")
EDGE = "midigen.cli._edge"
TOP_LEVEL = {
    *("bin", "midigen", "plugins", "manpages", "tests"),
    *("pyproject.toml", "Makefile", "constraints.txt", "README.md", "LICENSE", "CHANGELOG.md"),
}


def project() -> dict:
    return tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]


def imports(path: Path, *, nested: bool = True) -> Iterator[str]:
    """Yield the modules that a file imports (nested: also inside functions)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree) if nested else tree.body:
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_commands_are_the_same_in_bin_scripts_modules_and_pages() -> None:
    assert sorted(path.name for path in (CHECKOUT / "bin").iterdir()) == COMMANDS
    assert sorted(project()["scripts"]) == COMMANDS
    assert sorted(path.stem for path in (CHECKOUT / "manpages").glob("*.1")) == COMMANDS
    for name in COMMANDS:
        assert project()["scripts"][name] == f"midigen.cli.{name}:main"


@pytest.mark.parametrize("command", COMMANDS)
def test_command_says_its_own_name(run: Runner, command: str) -> None:
    assert run(command, "--version").text.startswith(f"{command} (midigen) ")
    assert run(command, "--help").text.startswith(f"Usage: {command} ")


def test_every_command_is_in_the_readme() -> None:
    section = (CHECKOUT / "README.md").read_text().partition("## Commands")[2].partition("\n## ")[0]
    table = re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE)
    assert sorted(table) == COMMANDS


def test_every_extra_and_make_target_of_the_readme_exists() -> None:
    readme = (CHECKOUT / "README.md").read_text()
    makefile = (CHECKOUT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)", readme)) <= targets
    assert set(re.findall(r"midigen\[(\w+)\]", readme)) <= set(project()["optional-dependencies"])


def test_every_file_that_the_readme_names_exists() -> None:
    readme = (CHECKOUT / "README.md").read_text()
    named = re.findall(r"\]\(([^):]+)\)", readme)
    named += re.findall(r"`((?:bin|midigen|plugins|manpages|tests)/[\w./-]*)`", readme)
    assert len(named) > 5
    assert not [name for name in named if not (CHECKOUT / name).exists()]


def test_top_level_holds_what_it_should() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    top = {path.split("/")[0] for path in listed}
    assert {name for name in top if not name.startswith(".")} == TOP_LEVEL


def test_launchers_are_one_text_and_can_be_run() -> None:
    launchers = [CHECKOUT / "bin" / name for name in COMMANDS]
    assert len({path.read_bytes() for path in launchers}) == 1
    assert all(os.access(path, os.X_OK) for path in launchers)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with a launcher and a command in its .venv that shows its arguments."""
    folder = tmp_path / "a checkout"
    (folder / "bin").mkdir(parents=True)
    launcher = folder / "bin" / "tokaug"
    launcher.write_bytes((CHECKOUT / "bin" / "tokaug").read_bytes())
    launcher.chmod(0o755)
    (folder / ".venv" / "bin").mkdir(parents=True)
    command = folder / ".venv" / "bin" / "tokaug"
    command.write_text('#!/bin/sh\nprintf "<%s>" "$@"\nexit 7\n')
    command.chmod(0o755)
    return folder


@pytest.mark.parametrize("way", ["path", "absolute link", "relative link"])
def test_launcher_runs_the_command_of_its_checkout(run: Runner, checkout: Path, way: str) -> None:
    program = checkout / "bin" / "tokaug"
    if way != "path":
        link = run.folder / "elsewhere"
        link.symlink_to(program if way == "absolute link" else "a checkout/bin/tokaug")
        program = link
    assert run(str(program), "a b", "", code=7).out == b"<a b><>"


def test_launcher_runs_by_its_bare_name(run: Runner, checkout: Path) -> None:
    result = run("sh", "-c", 'cd "$0/bin" && sh tokaug "a b"', checkout, code=7)
    assert result.out == b"<a b>"


def test_launcher_without_installation_says_what_to_do(run: Runner, checkout: Path) -> None:
    (checkout / ".venv" / "bin" / "tokaug").unlink()
    result = run(str(checkout / "bin" / "tokaug"), code=2)
    assert "run make install" in result.err
    assert result.err.count("\n") == 1


def test_core_never_imports_a_plugin() -> None:
    for path in sorted((CHECKOUT / "midigen").rglob("*.py")):
        assert not [name for name in imports(path) if name.startswith("midigen_")], path


def test_plugins_do_not_import_one_another() -> None:
    # One excepted: both have MidiTok's values and vocabularies, and its array stages.
    allowed = {"midigen_miditok": {"midigen_remi"}}
    for folder in sorted((CHECKOUT / "plugins").glob("midigen_*")):
        others = {p.name for p in (CHECKOUT / "plugins").glob("midigen_*")} - {folder.name}
        others -= allowed.get(folder.name, set())
        for path in sorted(folder.glob("*.py")):
            assert not [name for name in imports(path) if name.split(".")[0] in others], path


@pytest.mark.parametrize("command", COMMANDS)
def test_command_module_imports_the_edge_alone(command: str) -> None:
    path = CHECKOUT / "midigen" / "cli" / f"{command}.py"
    found = {name.split(".")[0] for name in imports(path, nested=False)}
    assert found <= {"midigen", "typer", *sys.stdlib_module_names}
    assert {n for n in imports(path, nested=False) if n.startswith("midigen")} == {EDGE}


def poison(folder: Path, *names: str) -> dict[str, str]:
    """Return an environment in which importing these packages is an error, in any process."""
    for name in names:
        (folder / name).mkdir(parents=True)
        text = f"raise RuntimeError('{name} was imported')\n"
        (folder / name / "__init__.py").write_text(text)
    return {"PYTHONPATH": str(folder)}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_and_version_import_nothing_heavy(run: Runner, tmp_path: Path, command: str) -> None:
    env = poison(tmp_path / "poison", *HEAVY)
    run(command, "--help", env=env)
    run(command, "--version", env=env)
    if command == "midigen":
        run(command, "plugins", "--help", env=env)


def test_filters_need_neither_torch_nor_miditok(run: Runner, tunes: Path, tmp_path: Path) -> None:
    env = poison(tmp_path / "poison", "torch", "miditok", "transformers")
    run.shell(
        f"midi2tok -j2 {tunes} | toklabel --set genre=folk | tokfilter --genre folk"
        " | tokaug --shift 1 | tok2midi -o 'out/{id}-{n}.mid'",
        env=env,
    )
    assert len(list((tmp_path / "out").iterdir())) > len(list(tunes.iterdir()))


def test_poison_poisons(tmp_path: Path) -> None:
    env = os.environ | poison(tmp_path / "poison", "numpy")
    done = subprocess.run(
        [sys.executable, "-c", "import numpy"], env=env, capture_output=True, text=True
    )
    assert "numpy was imported" in done.stderr

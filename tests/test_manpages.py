"""The manual pages are what the commands are, and their examples work."""

import importlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import CHECKOUT, COMMANDS, Runner

from midigen.record import _TYPES, check

PAGES = CHECKOUT / "manpages"
GENERATE = [sys.executable, PAGES / "generate.py"]
EXAMPLES = [
    (name, i)
    for name in COMMANDS
    for i in range(len(importlib.import_module(f"midigen.cli.{name}").main.examples))
]


def test_pages_are_those_that_the_commands_give() -> None:
    done = subprocess.run([*GENERATE, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_check_notices_a_changed_a_missing_and_a_surplus_page(tmp_path: Path) -> None:
    pages = tmp_path / "manpages"
    shutil.copytree(PAGES, pages)
    (pages / "midi2tok.1").write_text("changed")
    (pages / "midigen.7").unlink()
    (pages / "tokgone.1").write_text("of a command that is no more")
    command = [sys.executable, pages / "generate.py"]
    done = subprocess.run([*command, "--check"], capture_output=True, text=True)
    assert done.returncode == 1
    assert [line.split()[0] for line in done.stderr.splitlines()] == [
        "manpages/midi2tok.1",
        "manpages/midigen.7",
        "manpages/tokgone.1",
    ]
    subprocess.run(command, check=True)
    assert {p.name: p.read_bytes() for p in pages.glob("*.[157]")} == {
        p.name: p.read_bytes() for p in PAGES.glob("*.[157]")
    }


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.[157]")), ids=lambda path: path.name)
def test_page_is_whole(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    headings = re.findall(r"^\.SH (.+)$", text, flags=re.MULTILINE)
    assert headings[0] == "NAME"
    assert headings[-1] == "SEE ALSO"
    assert headings[1] == ("SYNOPSIS" if page.suffix == ".1" else "DESCRIPTION")
    if page.suffix == ".1":
        assert {"DESCRIPTION", "OPTIONS", "EXAMPLES", "EXIT STATUS"} <= set(headings)
    for name, section in re.findall(r"\\fB([\w\\-]+)\\fR\((\d)\)", text.partition("SEE ALSO")[2]):
        other = PAGES / f"{name.replace(chr(92), '')}.{section}"
        assert other.exists() or other.name == "jq.1", other.name


@pytest.mark.skipif(not shutil.which("groff"), reason="no groff here: pages are not set")
@pytest.mark.parametrize("page", sorted(PAGES.glob("*.[157]")), ids=lambda path: path.name)
def test_page_is_set_without_a_warning(page: Path) -> None:
    done = subprocess.run(
        ["groff", "-ww", "-man", "-K", "utf-8", "-T", "utf8", page], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) > 20


def test_record_page_names_every_key_that_is_checked() -> None:
    keys = (PAGES / "midigen-record.5.md").read_text().partition("# Keys")[2].partition("\n# ")[0]
    assert set(re.findall(r"^\| (\w+) \|", keys, flags=re.MULTILINE)) - {"key"} == set(_TYPES)


def test_record_page_shows_the_record_of_a_real_file(
    run: Runner, hexdumps: Path, tmp_path: Path
) -> None:
    text = (PAGES / "midigen-record.5.md").read_text().partition("# A record")[2]
    shown, by_hand = re.findall(r"^ {4}(\{.*?\})$\n\n", text, flags=re.MULTILINE | re.DOTALL)
    shutil.copy(hexdumps / "one_note.mid", tmp_path / "one_note.mid")
    made = run("midi2tok", "one_note.mid")
    assert json.loads("".join(line.strip() for line in shown.splitlines())) == json.loads(made.out)
    record = check(json.loads(by_hand))
    played = run("tok2midi", stdin=json.dumps(record).encode() + b"\n")
    assert played.out == run("tok2midi", stdin=made.out).out
    assert "repair" not in played.err

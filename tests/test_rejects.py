"""What was not used is counted, listed in whole lines, and stops nothing unless it must."""

import io
import json
from pathlib import Path

import pytest

from midigen.errors import DataError
from midigen.rejects import Rejects


def test_rejects_are_counted_by_reason() -> None:
    rejects = Rejects()
    assert rejects.summary() == "" and rejects.total == 0
    for reason in ("parse", "no_notes", "parse"):
        rejects.add("x", reason)
    assert rejects.total == 3
    assert rejects.summary() == "3 rejected (2 parse, 1 no_notes)"


def test_each_reject_is_one_line_at_once(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    with path.open("ab", buffering=0) as file, Rejects(file) as rejects:
        rejects.add("a.mid", "parse", "cut\noff", line=3)
        assert path.read_bytes().count(b"\n") == 1
        rejects.add("b.mid", "io")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == [
        {"src": "a.mid", "reason": "parse", "detail": "cut\noff", "line": 3},
        {"src": "b.mid", "reason": "io", "detail": ""},
    ]


def test_strict_stops_at_the_first_with_its_place_and_lists_it() -> None:
    log = io.BytesIO()
    rejects = Rejects(log, strict=True)
    with pytest.raises(DataError, match=r"a\.mid: parse: cut off"):
        rejects.add("a.mid", "parse", "cut off")
    with pytest.raises(DataError, match=r"a\.mid: io$"):
        rejects.add("a.mid", "io")
    assert len(log.getvalue().splitlines()) == 2

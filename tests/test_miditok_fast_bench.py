"""The bench of tokenizers: a line for each that is installed, and its table."""

import json
import subprocess
import sys
from pathlib import Path

from bench.bench_tokenizers import LINES, bench

TABLE = Path(__file__).parent / "bench" / "table.py"


def test_every_tokenizer_of_scores_has_a_line(tunes: Path) -> None:
    result = bench(tunes, count=1, every=6)
    rows = {row["tokenizer"]: row for row in result["rows"]}
    assert rows.keys() >= {line.spec for line in LINES}
    assert "text" not in rows
    assert result["files"] > 0
    assert all(row["notes/s"] > 0 for row in rows.values())
    assert rows["pitch"]["ratio"] == "-"
    assert rows["events"]["MidiTok's"] == "REMI"


def test_rows_are_printed_as_a_table() -> None:
    rows = [{"tokenizer": "remi", "notes/s": 3000000}, {"tokenizer": "x", "notes/s": 1}]
    line = json.dumps({"bench": "tokenizers", "files": 12, "rows": rows}) + "\n"
    done = subprocess.run(
        [sys.executable, TABLE], input=line, capture_output=True, text=True, check=True
    )
    assert [printed.split() for printed in done.stdout.splitlines()] == [
        ["tokenizers"],
        ["files", "12"],
        ["tokenizer", "notes/s"],
        ["remi", "3,000,000"],
        ["x", "1"],
    ]

"""What a run tells while it trains: JSON Lines in metrics.jsonl and on stdout, or a table."""

import json
import os
from pathlib import Path
from typing import Any, TextIO

from midigen.scalars import Scalars


class Metrics:
    """Appends lines to a file and passes them on to `out`, as JSON or, for people, as a table.

    A reader of `out` that goes away does not stop the run: the file goes on. Without a path nothing
    is told: another process does. scalars: also gets every line.
    """

    def __init__(
        self, path: Path | None, out: TextIO, *, table: bool, scalars: Scalars | None = None
    ) -> None:
        self._scalars = scalars
        self._file = path.open("a", encoding="utf-8") if path else None
        self._out: TextIO | None = out
        self._table = table
        self._header = False

    def write(self, line: dict[str, Any]) -> None:
        if self._file is None:
            return
        text = json.dumps(line, ensure_ascii=False)
        self._file.write(text + "\n")
        self._file.flush()
        self._say(self._row(line) if self._table else text)
        if self._scalars is not None:
            self._scalars.write(line)

    def _say(self, text: str) -> None:
        if self._out is None or not text:
            return
        try:
            self._out.write(text + "\n")
            self._out.flush()
        except BrokenPipeError:
            # What is still buffered would fail again when Python flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._out.fileno())
            self._out = None

    def _row(self, line: dict[str, Any]) -> str:
        head = "" if self._header else f"{'step':>8} {'tokens':>12} {'train':>8} {'val':>8}\n"
        if line["event"] == "eval":
            self._header = True
            train = line["train_loss"]
            shown = f"{train:8.4f}" if train is not None else " " * 8
            loss = line["val"]["loss"]
            return f"{head}{line['step']:8d} {line['tokens']:12,d} {shown} {loss:8.4f}"
        if line["event"] == "final":
            return "\n".join(_final_row(name, line[name]) for name in ("val", "test"))
        return ""

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        if self._scalars is not None:
            self._scalars.close()


def _final_row(name: str, found: dict[str, Any]) -> str:
    more = "".join(
        f", {found[key]:.4f} {unit}"
        for key, unit in (("loss_note", "a note"), ("bits_byte", "bits a byte"))
        if found.get(key) is not None
    )
    return f"{name}: {found['loss']:.4f} nats a token{more}, on {found['pieces']} pieces"


def read(path: Path) -> list[dict[str, Any]]:
    """Return all lines of metrics.jsonl."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def rewind(path: Path, step: int) -> None:
    """Drop the lines behind `step` and a half line: a run that was killed goes on from there."""
    kept = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            line = json.loads(text)
        except ValueError:
            break
        if line.get("step", 0) <= step and line["event"] != "final":
            kept.append(text + "\n")
    part = path.with_name(path.name + ".part")
    part.write_text("".join(kept), encoding="utf-8")
    part.replace(path)

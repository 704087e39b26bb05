"""Reads measurements as JSON Lines on stdin and prints each as a table, as soon as it is there.

Other lines, which say how far a measurement is, pass as they are.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any


def flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the names (``encode.ratio``) and values of a nested object."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flat(inner, f"{name}.{key}" if name else key)
    else:
        yield name, value


def text(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of rows that have the same columns, under their names."""
    lines = [list(rows[0]), *([text(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for first, *others in lines:
        cells = [f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True)]
        yield "  ".join([f"  {first:<{widths[0]}}", *cells])


def main() -> None:
    for line in sys.stdin:
        if not line.startswith("{"):
            print(line, end="", flush=True)
            continue
        result = json.loads(line)
        print(result.pop("bench"))
        rows = result.pop("rows", [])
        for name, value in flat(result):
            print(f"  {name:<36} {text(value):>16}", flush=True)
        for line in table(rows) if rows else ():
            print(line, flush=True)


if __name__ == "__main__":
    main()

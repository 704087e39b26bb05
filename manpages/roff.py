"""Turns the plain markup of help texts into the man macros of roff.

Blocks are parted by blank lines: ``# Heading``, ``## Heading``, ``- item`` lists, ``| tables |``
(their first column names, the last describes; of more than three columns all stand side by side),
text that is indented by four columns or follows a
line with a backspace (as Click marks it) stands as it is, and the rest are paragraphs. Inside a
line, `backquotes`, **asterisks** and --options are bold.
"""

import re
from collections.abc import Callable

_DESCRIBED = 3
"""Most columns of a table whose last one describes."""
_SPECIAL = {
    "\\": "\\e",
    "-": "\\-",
    "'": "\\(aq",
    "`": "\\(ga",
    "^": "\\(ha",
    "~": "\\(ti",
}


def escape(text: str) -> str:
    """Return text that roff shows as it is; quotes and dashes survive copy and paste."""
    shown = "".join(_SPECIAL.get(letter, letter) for letter in text)
    return re.sub(r"^(?=\.)", r"\\&", shown, flags=re.MULTILINE)


def bold(text: str) -> str:
    return f"\\fB{escape(text)}\\fR"


def inline(text: str) -> str:
    """Return a line of text with `backquoted` and **starred** words and its --options in bold."""
    marks = r"(``.+?``|`[^`]+`|\*\*[^*]+\*\*|(?<!\S)--[a-z][a-z-]*)"
    parts = re.split(marks, " ".join(text.split()))
    shown = [bold(part.strip("`*")) if i % 2 else escape(part) for i, part in enumerate(parts)]
    return "".join(shown)


def render(text: str) -> str:
    """Return the blocks of a text as man macros."""
    blocks = re.split(r"\n(?:[ \t]*\n)+", text.strip("\n"))
    return "".join(_block(block) for block in blocks if block.strip())


def tidy(page: str) -> str:
    """Return a page without the paragraph macros behind headings, which start one themselves."""
    return re.sub(r"^(\.S[HS] .*\n)\.PP\n", r"\1", page, flags=re.MULTILINE)


def _block(block: str) -> str:
    lines = block.splitlines()
    if lines[0].strip() == "\b":
        return _literal(lines[1:])
    for start, show in _KINDS.items():
        if all(line.startswith(start) for line in lines):
            return show(lines)
    if lines[0].startswith("- "):
        return _list(lines)
    return f".PP\n{inline(block)}\n"


def _literal(lines: list[str]) -> str:
    indent = min(len(line) - len(line.lstrip()) for line in lines)
    body = "\n".join(escape(line[indent:]) for line in lines)
    return f".PP\n.RS 4\n.EX\n{body}\n.EE\n.RE\n"


def _table(lines: list[str]) -> str:
    rows = [re.split(r"(?<!\\)\|", line.strip()[1:-1]) for line in lines]
    if len(rows[0]) > _DESCRIBED:
        return _columns([[cell.strip().replace("`", "") for cell in row] for row in rows])
    shown = []
    for row in rows[2:]:
        name, *between, text = (cell.strip().replace("\\|", "|") for cell in row)
        tag = bold(name.strip("`")) + "".join(f" ({inline(cell)})" for cell in between)
        shown.append(f".TP\n{tag}\n{inline(text)}\n")
    return "".join(shown)


def _columns(rows: list[list[str]]) -> str:
    """Return a table as it stands; its second row, the line below the names, is left out."""
    del rows[1]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return _literal(lines)


def _list(lines: list[str]) -> str:
    items = re.split(r"^- ", "\n".join(lines), flags=re.MULTILINE)[1:]
    return "".join(f".IP \\(bu 2\n{inline(item)}\n" for item in items)


def _heading(lines: list[str]) -> str:
    return "".join(f".SH {escape(line[2:].upper())}\n" for line in lines)


def _subheading(lines: list[str]) -> str:
    return "".join(f".SS {escape(line[3:])}\n" for line in lines)


_KINDS: dict[str, Callable[[list[str]], str]] = {
    "    ": _literal,
    "|": _table,
    "# ": _heading,
    "## ": _subheading,
}

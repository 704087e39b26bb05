"""The words, signs, numbers and strings of a condition (`midigen.where`), with their columns."""

import re
from math import isfinite
from typing import NamedTuple, NoReturn

from midigen.errors import UsageError

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<sign>==|!=|<=|>=|[<>+\-*/()\[\],.])
    )""",
    re.VERBOSE,
)
WORDS = frozenset({"and", "or", "not", "in", "true", "false", "null"})


class Token(NamedTuple):
    kind: str
    text: str
    column: int
    """Of its first character, from 1."""


def tokens(text: str) -> list[Token]:
    found, place = [], 0
    end = len(text.rstrip())
    while place < end:
        match = _TOKEN.match(text, place)
        if match is None:
            start = place + len(text[place:]) - len(text[place:].lstrip())
            fail(start + 1, _what_is_wrong(text[start:]))
        group = str(match.lastgroup)
        kind = "word" if match[group] in WORDS else group
        found.append(Token(kind, match[group], match.start(group) + 1))
        place = match.end()
    return [*found, Token("end", "", len(text) + 1)]


def _what_is_wrong(rest: str) -> str:
    if rest[0] in "\"'":
        return "this string has no end"
    if rest[0] == "=":
        return "'=' compares nothing; use =="
    if rest[0] in "&|!":
        return f"{rest[0]!r} is no operator; use and, or, not, !="
    return f"{rest[0]!r} means nothing here"


def number(token: Token) -> int | float:
    try:
        number = int(token.text) if token.text.isdecimal() else float(token.text)
        is_usable = isfinite(number)
    except (ValueError, OverflowError):
        is_usable = False
    if not is_usable:
        fail(token.column, f"{token.text:.20} is too large a number")
    return number


def fail(column: int, fact: str) -> NoReturn:
    raise UsageError(f"--where: column {column}: {fact}")

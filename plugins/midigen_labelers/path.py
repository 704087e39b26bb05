"""`path:PATTERN`: labels from the names of folders and files."""

import re
from collections.abc import Mapping
from typing import Any

from midigen.errors import UsageError
from midigen.labels import read_value

_PIECES = re.compile(r"\{(?P<field>[^{}]*)\}|(?P<star>\*)|(?P<one>\?)|(?P<text>[^{}*?]+|[{}])")
_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class PathLabeler:
    """Matches ``{genre}/{artist}/*`` against the end of `src`; the fields become `meta`.

    One part of the pattern for each folder and one for the file. ``{field}`` takes one character or
    more, ``*`` any number, ``?`` one, none of them a slash; the file's ending (``.mid``) may be
    left out. Raises UsageError for a pattern without fields, or with one twice.
    """

    def __init__(self, arg: str) -> None:
        self._fields = _fields(arg)
        *folders, file = filter(None, arg.split("/"))
        self._folders = [_regex(part) for part in folders]
        self._file = _regex(file)

    def __call__(self, record: Mapping[str, Any]) -> dict[str, Any] | None:
        names = [name for name in record["src"].split("/") if name]
        if len(names) <= len(self._folders):
            return None
        stem = re.sub(r"(?i)\.(midi?|kar|smf|rmi)$", "", names[-1])
        file = self._file.fullmatch(stem) or self._file.fullmatch(names[-1])
        ends = names[-1 - len(self._folders) : -1]
        folders = [regex.fullmatch(name) for regex, name in zip(self._folders, ends, strict=True)]
        found: dict[str, str] = {}
        for match in (*folders, file):
            if match is None:
                return None
            found |= match.groupdict()
        return {field: read_value(field, found[field]) for field in self._fields}


def _fields(pattern: str) -> list[str]:
    fields = [piece["field"] for piece in _PIECES.finditer(pattern) if piece["field"] is not None]
    if not fields:
        raise UsageError(f"path:{pattern} has no {{field}}, as in path:{{genre}}/{{artist}}/*")
    for field in fields:
        if not _FIELD.match(field):
            raise UsageError(f"path:{pattern}: {{{field}}} is not a field's name")
        if fields.count(field) > 1:
            raise UsageError(f"path:{pattern} names the field {field} twice")
    return fields


def _regex(part: str) -> re.Pattern[str]:
    """Return what one name must look like."""
    regex = ""
    for piece in _PIECES.finditer(part):
        if piece["field"] is not None:
            regex += f"(?P<{piece['field']}>.+?)"
        else:
            regex += ".*?" if piece["star"] else "." if piece["one"] else re.escape(piece[0])
    return re.compile(regex, re.DOTALL)

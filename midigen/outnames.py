"""Names of output files, made from records: ``-o 'songs/{genre}/{id}-{n}.mid'``."""

import re
from collections.abc import Mapping
from string import Formatter
from typing import Any

from midigen.errors import UsageError
from midigen.record import Record, meta_values

NUMBER = "n"
_FIELDS = ("id", "group", "src")
_UNKNOWN = "unknown"
_UNSAFE = re.compile(r"[^\w .,()+-]+")
_BYTES = 120
"""Of a value in a name: file systems take 255 for the whole."""


def clean(text: str) -> str:
    """Return `text` as a part of a file name: no separators, nothing that leads out of a folder."""
    kept = _UNSAFE.sub("_", text).strip(" .")
    return kept.encode()[:_BYTES].decode(errors="ignore").rstrip(" .") or "_"


def stem(path: str) -> str:
    """Return the last part of a path of any system, without its extension."""
    name = re.split(r"[/\\]", path.rstrip("/\\"))[-1]
    return name.rpartition(".")[0] or name


class Pattern:
    """A file name with fields in braces; ``{{`` and ``}}`` are braces.

    Fields are n (a running number from 1; ``{n:03}`` pads it), id, group, src (the source's name
    without folders and extension) and every key of `meta`. Values are cleaned: a folder that stands
    in the pattern is never left. Raises UsageError for a pattern that is none.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._parts = list(Formatter().parse(text))
        except ValueError as error:
            raise UsageError(f"-o {text}: {error}") from error
        self.fields = [name for _, name, _, _ in self._parts if name is not None]
        for _, name, width, conversion in self._parts:
            number = name == NUMBER and re.fullmatch(r"(0?[1-9])?", width or "")
            if name == "" or conversion or (width and not number):
                raise UsageError(f"-o {text}: a field is a name in braces: {{id}}, {{n:03}}")

    @property
    def is_numbered(self) -> bool:
        """True if every file gets a name of its own."""
        return NUMBER in self.fields

    def name(self, record: Record, number: int) -> str:
        """Return the name for a record."""
        made = ""
        for literal, field, width, _ in self._parts:
            made += literal
            if field == NUMBER:
                made += format(number, width or "")
            elif field is not None:
                made += clean(_value(record, field))
        return made


def _value(record: Mapping[str, Any], field: str) -> str:
    if field == "src":
        return stem(record.get("src", "")) or _UNKNOWN
    if field in _FIELDS:
        return str(record.get(field, _UNKNOWN))
    return "+".join(map(str, meta_values(record, field))) or _UNKNOWN

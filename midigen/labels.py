"""Values for `meta` from text: single ones, assignments, maps from old to new."""

import re
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from math import isfinite
from pathlib import Path
from typing import Any

import orjson

from midigen.errors import MidigenError, UsageError
from midigen.names import fold
from midigen.record import is_unknown
from midigen.tables import read_rows

Meta = dict[str, Any]

_NUMBERS = {"year": int, "tempo": float, "bpm": float}
_SEVERAL = ("genre",)
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\Z")


def read_value(key: str, text: str) -> Any:
    """Return what `text` says of a key, None if nothing.

    A year is a whole number, a tempo a number (other texts stay texts), a genre can be several,
    divided by ``|`` or ``;``.
    """
    text = text.strip()
    if key in _NUMBERS:
        try:
            number = float(text)
            return None if is_unknown(number) else _NUMBERS[key](number)
        except (ValueError, OverflowError):
            return text or None
    if key in _SEVERAL:
        return one_or_several(part.strip() for part in re.split("[|;]", text))
    return text or None


def meta_value(key: str, value: Any) -> Any:
    """Return what a value of a typed table says of a key, None if nothing.

    Raises ValueError for what `meta` cannot hold: objects, lists of lists, bytes.
    """
    if isinstance(value, str):
        return read_value(key, value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float | Decimal):
        number = float(value)
        whole = _NUMBERS.get(key) is int and number.is_integer()
        return None if not isfinite(number) else int(number) if whole else number
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list):
        if any(isinstance(item, list) for item in value):
            raise ValueError("a list of lists")
        items = [meta_value(key, item) for item in value]
        return one_or_several(str(item) for item in items if item is not None)
    if value is None or isinstance(value, int):
        return value
    raise ValueError(f"{type(value).__name__}")


def one_or_several(values: Iterable[Any]) -> Any:
    """Return the distinct values as `meta` holds them: None, one alone, or a list."""
    distinct = list(dict.fromkeys(value for value in values if not is_unknown(value)))
    return distinct if len(distinct) > 1 else distinct[0] if distinct else None


def says_nothing(key: str, value: Any) -> bool:
    """Return whether a value of `meta` is unknown: null, empty, NaN, year 0."""
    return is_unknown(value) or (key == "year" and value in (0, "0"))


def read_assignments(texts: Sequence[str]) -> Meta:
    """Read ``key=value``; a key given several times gets a list, one without value is None.

    Raises UsageError for anything else.
    """
    found: dict[str, list[Any]] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not _KEY.match(key):
            raise UsageError(f"--set {text!r} is not key=value")
        known = read_value(key, value)
        found.setdefault(key, []).extend(known if isinstance(known, list) else [known])
    return {key: one_or_several(values) for key, values in found.items()}


def read_map(text: str) -> tuple[str, dict[str, Any]]:
    """Read ``key=FILE``; return the key and its new values by the folded old ones.

    FILE is a table of two columns, old and new (a first row of these words is left out), or a JSON
    object. A new value that is empty takes the old one away.
    """
    key, equals, path = text.partition("=")
    if not equals or not path or not _KEY.match(key):
        raise UsageError(f"--map {text!r} is not key=FILE")
    pairs = _json_pairs(path) if path.endswith(".json") else _table_pairs(path)
    found: dict[str, Any] = {}
    for old, new in pairs:
        value = read_value(key, new) if isinstance(new, str) else new
        if found.setdefault(fold(old), value) != value:
            raise MidigenError(f"{path}: {old!r} is mapped to {found[fold(old)]!r} and {value!r}")
    return key, found


def _json_pairs(path: str) -> list[tuple[str, Any]]:
    try:
        data = orjson.loads(Path(path).read_bytes())
    except orjson.JSONDecodeError as error:
        raise MidigenError(f"{path}: {error}") from error
    if not isinstance(data, dict) or not all(map(is_value, data.values())):
        raise MidigenError(f"{path}: not an object of old to new: text, number, null or list")
    return list(data.items())


def is_value(value: Any) -> bool:
    """Return whether record v1 lets `meta` hold this."""
    if isinstance(value, list):
        return all(isinstance(item, str) for item in value)
    return value is None or isinstance(value, str | int | float)


def _table_pairs(path: str) -> list[tuple[str, str]]:
    pairs = []
    for row in read_rows(path):
        if len(row.cells) != 2:
            raise MidigenError(f"{path}:{row.line}: {len(row.cells)} columns; old and new are two")
        pairs.append((row.cells[0], row.cells[1]))
    return pairs[1:] if pairs and pairs[0] == ("old", "new") else pairs

"""``key=value`` texts of a command line to `meta`."""

import math
import re
from collections.abc import Iterable
from typing import Any

from midigen.errors import UsageError
from midigen.record import put_meta

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\Z")
# Names stay text, also where they look like a number: an artist may be called 1975.
TEXT_KEYS = frozenset({"genre", "artist", "title", "album", "composer", "style", "key", "split"})


def read_assignments(texts: Iterable[str]) -> dict[str, Any]:
    """Return the `meta` that assignments stand for; a key given twice gets a list of texts.

    Whole numbers and decimals become numbers unless the key names text (`TEXT_KEYS`). Raises
    UsageError for what is no assignment.
    """
    values: dict[str, list[str]] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not _KEY.match(key):
            raise UsageError(f"{text!r} is not key=value, as in genre=pop")
        values.setdefault(key, []).append(value)
    meta: dict[str, Any] = {}
    for key, several in values.items():
        put_meta(meta, key, several if len(several) > 1 else _value(key, several[0]))
    return meta


def _value(key: str, text: str) -> str | int | float:
    if key in TEXT_KEYS:
        return text
    if re.fullmatch(r"-?(0|[1-9][0-9]{0,15})", text):
        return int(text)
    if re.fullmatch(r"-?[0-9]{1,15}\.[0-9]{1,15}", text) and math.isfinite(float(text)):
        return float(text)
    return text

"""Record v1: one JSON object a line, made, checked and completed here.

A record is a plain dict, so that keys this version does not know pass through every filter.
"""

import hashlib
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from midigen.errors import MidigenError
from midigen.spec import Tok, parse_tok

VERSION = 1
Record = dict[str, Any]

_COUNTS = ("notes", "bars", "seconds", "tracks")
_TYPES: dict[str, tuple[type, ...]] = {
    "v": (int,),
    "id": (str,),
    "group": (str,),
    "src": (str,),
    "md5": (str,),
    "tok": (str,),
    "ids": (list,),
    "n": (dict,),
    "meta": (dict,),
    "part": (list,),
    "aug": (dict,),
    "cut": (dict,),
    "gen": (dict,),
}
_NAMES = {int: "a whole number", str: "a string", list: "a list", dict: "an object"}


def short_hash(data: bytes) -> str:
    """Return the first 16 hex digits of the SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()[:16]


def check(record: Any, vocab_size: int | None = None) -> Record:
    """Return `record` if it keeps to record v1.

    vocab_size: where the vocabulary is known, ids must lie in 0..vocab_size-1.
    Raises MidigenError that names the key, what stands there and what may.
    """
    if not isinstance(record, dict):
        raise MidigenError(f"a record is a JSON object, not {type(record).__name__}")
    for key in ("id", "tok", "ids"):
        if key not in record:
            raise MidigenError(f"a record needs {key!r}")
    for key, types in _TYPES.items():
        if key in record and (not isinstance(record[key], types) or isinstance(record[key], bool)):
            raise MidigenError(f"{key!r} must be {_NAMES[types[0]]}, not {record[key]!r:.40}")
    if record.get("v", VERSION) != VERSION:
        raise MidigenError(f"record version {record['v']}; this midigen reads version {VERSION}")
    parse_tok(record["tok"])
    check_ids(record["ids"], vocab_size)
    _check_part(record.get("part"))
    _check_numbers("n", record.get("n", {}))
    _check_numbers("aug", record.get("aug", {}))
    _check_meta(record.get("meta", {}))
    return record


def check_ids(ids: Sequence[Any], vocab_size: int | None = None) -> None:
    """Raise MidigenError unless all `ids` are whole numbers in 0..vocab_size-1."""
    limit = 2**32 if vocab_size is None else vocab_size
    if _are_words(ids) and (vocab_size is None or max(ids, default=0) < limit):
        return
    for id in ids:
        if type(id) is not int:
            raise MidigenError(f"id {id!r:.40} is not a whole number")
        if not 0 <= id < limit:
            raise MidigenError(f"id {id} not in 0..{limit - 1}")


def _are_words(ids: Sequence[Any]) -> bool:
    """Return whether `ids` is a list of whole numbers in 0..2**32-1: 8 ns an id, not 32."""
    try:
        array("I", ids)
        # true and false are 1 and 0 to array; JSON spells them.
        return b"e" not in orjson.dumps(ids)
    except (TypeError, OverflowError):
        return False


def _check_part(part: Any) -> None:
    if part is None:
        return
    if len(part) != 2 or any(type(k) is not int for k in part) or not 0 <= part[0] < part[1]:
        raise MidigenError(f"'part' must be [k, n] with 0 <= k < n, not {part!r:.40}")


def _check_numbers(key: str, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if type(value) not in (int, float):
            raise MidigenError(f"{key}.{name} must be a number, not {value!r:.40}")


def _check_meta(meta: Mapping[str, Any]) -> None:
    for key, value in meta.items():
        plain = value is None or isinstance(value, str | int | float)
        if not plain and not (
            isinstance(value, list) and all(isinstance(item, str) for item in value)
        ):
            raise MidigenError(
                f"meta.{key} must be a string, a number, null or a list of strings,"
                f" not {value!r:.40}"
            )


def complete(record: Record) -> Record:
    """Return a checked record with every missing key at its default, known keys first.

    A hand-made line has no group of its own: its id stands for it. Counts that nobody measured stay
    absent from `n`.
    """
    known = {
        "v": VERSION,
        "id": record["id"],
        "group": record.get("group", record["id"]),
        "src": record.get("src", ""),
    }
    if "md5" in record:
        known["md5"] = record["md5"]
    known |= {
        "tok": record["tok"],
        "ids": record["ids"],
        "n": record.get("n", {}),
        "meta": record.get("meta", {}),
    }
    if "part" in record:
        known["part"] = record["part"]
    known["aug"] = record.get("aug", {})
    return known | {key: value for key, value in record.items() if key not in known}


def counts(notes: int, bars: int, seconds: float, tracks: int) -> dict[str, int | float]:
    """Return the `n` of a record; seconds rounded to milliseconds."""
    return dict(zip(_COUNTS, (notes, bars, round(seconds, 3), tracks), strict=True))


def is_unknown(value: Any) -> bool:
    """Return whether a `meta` value says nothing: null, empty, NaN."""
    return value is None or value in ("", []) or value != value


def put_meta(meta: dict[str, Any], key: str, value: Any) -> None:
    """Set ``meta[key]``; an unknown value (also year 0) makes the key absent."""
    if is_unknown(value) or (key == "year" and value in (0, "0")):
        meta.pop(key, None)
    else:
        meta[key] = value


def meta_values(record: Mapping[str, Any], key: str) -> list[Any]:
    """Return the values of a `meta` key as a list: none, one or several."""
    value = record.get("meta", {}).get(key)
    if is_unknown(value):
        return []
    return list(value) if isinstance(value, list) else [value]


def is_original(record: Mapping[str, Any]) -> bool:
    """Return whether nothing was done to this record by `tokaug`."""
    return not record.get("aug")


class OneTok:
    """Refuses a stream that mixes vocabularies: a consumer of one asks it for each record."""

    def __init__(self) -> None:
        self.tok: str | None = None
        self._where = ""

    def check(self, record: Mapping[str, Any], where: str) -> Tok:
        """Return the stream's tok. Raises MidigenError, naming both fingerprints and the line."""
        if self.tok is None:
            self.tok, self._where = record["tok"], where
        elif record["tok"] != self.tok:
            raise MidigenError(
                f"{where}: tok {record['tok']} after {self.tok} ({self._where}):"
                " one stream, one vocabulary; separate them with tokfilter --where"
            )
        return parse_tok(self.tok)

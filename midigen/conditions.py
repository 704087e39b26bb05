"""The conditions of a piece, by field: what its `meta` says, and what can be counted.

Every key of `meta` is a field. Some more are worked out: ``era`` (the decade of `meta.year`),
``density`` (notes a second), ``length`` (bars) and ``instruments`` (families of General MIDI, and
drums).
"""

from collections.abc import Mapping
from typing import Any

from midigen.record import meta_values

DERIVED = ("era", "density", "length", "instruments")
_LONGEST = 200
"""Characters of a value; longer texts are no names of anything."""


def era_of(year: int) -> str:
    """Return the era of a year: its decade, as ``1980s``."""
    return f"{year // 10 * 10}s"


def condition_values(record: Mapping[str, Any], field: str) -> list[str]:
    """Return the values of a field that a record names; unknown ones none.

    What `meta` says itself comes before what is worked out.
    """
    values = [str(value) for value in meta_values(record, field)]
    values = [value for value in values if len(value) <= _LONGEST]
    if not values and field in DERIVED:
        values = _derived(record, field)
    return values


def described(record: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the values of every field that a record names."""
    found = {field: condition_values(record, field) for field in (*record["meta"], *DERIVED)}
    return {field: values for field, values in found.items() if values}


def _derived(record: Mapping[str, Any], field: str) -> list[str]:
    counts = record["n"]
    if field == "era":
        return [era_of(int(year)) for year in meta_values(record, "year") if _is_year(year)]
    if field == "length":
        return [str(counts["bars"])] if counts.get("bars") else []
    if field == "density":
        notes, seconds = counts.get("notes"), counts.get("seconds")
        return [f"{notes / seconds:.2f}"] if notes and seconds else []
    return _instruments(record)


def _instruments(record: Mapping[str, Any]) -> list[str]:
    """Return the families of the programs that a record uses, in the order of their programs."""
    from midigen.content import Content
    from midigen.programs import DRUMS, FAMILIES

    programs = Content.of(record["tok"]).programs(dict(record))
    if not programs:
        return []
    names = [name.lower() for name in FAMILIES]
    families = sorted({program // 8 for program in programs if program != DRUMS})
    return [names[family] for family in families] + ["drums"] * (DRUMS in programs)


def _is_year(value: Any) -> bool:
    try:
        return 0 < int(value) < 10_000
    except (ValueError, OverflowError):
        return False

"""The conditions of a piece: genre, artist and era, out of its `meta`."""

from collections.abc import Mapping
from typing import Any

from midigen.record import meta_values


def era_of(year: int) -> str:
    """Return the era of a year: its decade, as ``1980s``."""
    return f"{year // 10 * 10}s"


def condition_values(record: Mapping[str, Any], field: str) -> list[str]:
    """Return the values of ``genre``, ``artist`` or ``era`` that a record names; unknown ones none.

    The era is `meta.era`, else the decade of `meta.year`.
    """
    values = [str(value) for value in meta_values(record, field)]
    if field == "era" and not values:
        years = meta_values(record, "year")
        values = [era_of(int(year)) for year in years if _is_year(year)]
    return values


def _is_year(value: Any) -> bool:
    try:
        return 0 < int(value) < 10_000
    except (ValueError, OverflowError):
        return False

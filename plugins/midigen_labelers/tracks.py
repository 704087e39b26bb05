"""Tracks of the Million Song Dataset: which one a record belongs to."""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

TRACK, MATCH = "msd_track_id", "msd_match"
"""Keys of `meta`: the track's id, and how well the piece matches it, 0 to 1."""
_ID = re.compile(r"TR[A-Z]{5}[0-9A-F]{11}\Z")


def is_track(name: str) -> bool:
    """Return whether this is a track's id, like TRAAAAW128F429D538."""
    return _ID.match(name) is not None


def track_in(src: str) -> str | None:
    """Return the track that a path names, as ``A/A/A/TRAAAAW128F429D538/0a1b.mid``: the last."""
    path = PurePosixPath(src)
    names = (*path.parts[:-1], path.stem)
    return next((name for name in reversed(names) if is_track(name)), None)


def track_of(record: Mapping[str, Any]) -> str | None:
    """Return a record's track: what its `meta` says, else its path.

    A piece that was compared and found too unlike its track has none, whatever folder it lies in.
    """
    known = record["meta"].get(TRACK)
    if isinstance(known, str) and known:
        return known
    return None if MATCH in record["meta"] else track_in(record["src"])

"""Small files in the forms of the Million Song Dataset, Lakh's match and tagtraum, for tests."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

TYPES = {
    "metadata": {
        "artist_name": "S1024",
        "title": "S1024",
        "genre": "S1024",
        "idx_artist_terms": "<i4",
        "release": "S1024",
        "song_hotttnesss": "<f8",
    },
    "analysis": {
        "track_id": "S32",
        "tempo": "<f8",
        "key": "<i4",
        "mode": "<i4",
        "time_signature": "<i4",
        "loudness": "<f8",
        "duration": "<f8",
    },
    "musicbrainz": {"year": "<i4"},
}
"""Fields by group; the order and some neighbours of those that are read differ from file to file in
the data set, so they are found by name."""


def track_id(k: int) -> str:
    """Return the id of the k-th track: folders A/A/A, A/A/B ..."""
    return f"TRAA{chr(65 + k % 26)}{chr(65 + k // 26 % 26)}{chr(65 + k // 676)}128F{k:07X}"


def song(k: int, **fields: Any) -> dict[str, Any]:
    """Return the fields of the k-th song."""
    return {
        "track_id": track_id(k),
        "artist_name": f"Artist {k}",
        "title": f"Title {k}",
        "tempo": 100.5 + k,
        "key": k % 12,
        "mode": k % 2,
        "time_signature": 3 + k % 2,
        "loudness": -7.25 - k,
        "year": 1960 + k,
        "terms": ["rock", f"term {k}"],
    } | fields


def write_h5(path: Path, songs: Sequence[Mapping[str, Any]], without: Iterable[str] = ()) -> Path:
    """Write an HDF5 file of these songs, without the data sets named; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    terms = [term for one in songs for term in one.get("terms", [])]
    with h5py.File(path, "w") as file:
        for group, types in TYPES.items():
            file.create_group(group)
            if f"{group}/songs" in without:
                continue
            rows = np.zeros(len(songs), list(types.items()))
            start = 0
            for row, one in zip(rows, songs, strict=True):
                for field in types:
                    if field in one:
                        value = one[field]
                        row[field] = value.encode() if isinstance(value, str) else value
                if "idx_artist_terms" in types:
                    row["idx_artist_terms"] = start
                    start += len(one.get("terms", []))
            packed: dict[str, Any] = {"compression": "gzip", "chunks": (3,), "maxshape": (None,)}
            file.create_dataset(f"{group}/songs", data=rows, **packed)
        if "metadata/artist_terms" not in without:
            encoded = np.array([term.encode() for term in terms], "S256")
            file.create_dataset("metadata/artist_terms", data=encoded)
    return path


def nested(root: Path, track: str) -> Path:
    """Return where a song lies in the layout of the data set."""
    return root.joinpath(*track[2:5], f"{track}.h5")


def write_matched(folder: Path, files: Sequence[Path]) -> None:
    """Lay MIDI files out as Lakh's matched part does, each of a song of its own, and all about it.

    lmd_matched, match_scores.json, lmd_matched_h5, msd_tagtraum_cd2.cls.
    """
    scores: dict[str, dict[str, float]] = {}
    genres = ["# genre annotations"]
    for k, file in enumerate(files):
        data, track = file.read_bytes(), track_id(k)
        md5 = hashlib.md5(data).hexdigest()
        place = folder.joinpath("lmd_matched", *track[2:5], track, f"{md5}.mid")
        place.parent.mkdir(parents=True)
        place.write_bytes(data)
        scores[track] = {md5: 0.5 + k / 100}
        write_h5(nested(folder / "lmd_matched_h5", track), [song(k)])
        genres.append("\t".join((track, "Pop_Rock", "Jazz")[: 2 + k % 2]))
    (folder / "match_scores.json").write_text(json.dumps(scores))
    (folder / "msd_tagtraum_cd2.cls").write_text("\n".join(genres) + "\n")

"""`midi:FOLDER`: what a record's MIDI file itself says."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from midigen.errors import MidigenError, Reject
from midigen.ingest import ingest
from midigen.keys import Key
from midigen.labels import one_or_several
from midigen.smf import KEY_SIGNATURE, TEMPO, Events, read_many
from midigen.smfsteps import quantities
from midigen.sources import read_source
from midigen.twins import piece_id

_COPYRIGHT, _TRACK_NAME = 0x02, 0x03
_MINUTE_US = 60_000_000


class MidiLabeler:
    """Gives track_names, copyright, and the first key and tempo.

    The file is looked for under FOLDER (``.`` if none is given): by the record's `src`, by as much
    of its end as leads to a file, then as ``<md5>.mid``, as ``0/<md5>.mid``. It is the right one if
    it has the record's MD5, or its id where there is no MD5.
    """

    def __init__(self, arg: str) -> None:
        self._root = Path(arg or ".")
        if not self._root.is_dir():
            raise MidigenError(f"midi:{arg}: no such folder; give the one that the files lie in")

    def __call__(self, record: Mapping[str, Any]) -> dict[str, Any] | None:
        """Raises Reject: ``no_file``, ``other_file``, and those of reading a file."""
        if "gen" in record and "md5" not in record:
            return None  # It never was a file.
        data = self._find(record)
        events = read_many([ingest(data).midi])
        if events.rejects:
            raise events.rejects[0]
        tempos, keys = events.meta(TEMPO, 3)[1], events.meta(KEY_SIGNATURE, 2)[1]
        return {
            "track_names": one_or_several(_texts(events, _TRACK_NAME)),
            "copyright": one_or_several(_texts(events, _COPYRIGHT)),
            "tempo": _bpm(int.from_bytes(bytes(tempos[0].tolist()))) if len(tempos) else None,
            "key": _key(*map(int, keys[0])) if len(keys) else None,
        }

    def _find(self, record: Mapping[str, Any]) -> bytes:
        """Return the bytes of the record's file."""
        other = ""
        for path in self._places(record):
            if not path.is_file():
                continue
            data = read_source(str(path))
            if _is_of(data, record):
                return data
            other = str(path)
        if other:
            raise Reject("other_file", f"{other} is not the file of {record['src']}: another MD5")
        raise Reject("no_file", f"{record['src']} is not under {self._root}")

    def _places(self, record: Mapping[str, Any]) -> Iterator[Path]:
        # A stream may come from anybody: what it names is read under FOLDER only.
        names = [name for name in PurePosixPath(record["src"]).parts if name not in ("/", "..")]
        for start in range(len(names)):
            yield self._root.joinpath(*names[start:])
        md5 = str(record.get("md5", "")).lower()
        if md5.isalnum():
            yield self._root / f"{md5}.mid"
            yield self._root / md5[0] / f"{md5}.mid"


def _is_of(data: bytes, record: Mapping[str, Any]) -> bool:
    if record.get("md5"):
        return hashlib.md5(data).hexdigest() == str(record["md5"]).lower()
    return hashlib.sha256(data).hexdigest().startswith(piece_id(dict(record)))


def _texts(events: Events, kind: int) -> list[str]:
    """Return the text of every meta event of a kind, perhaps an empty one, in the file's order."""
    places, _ = events.meta(kind, 0)
    sizes, starts = quantities(events.data, events.at[places] + 1)
    spans = zip(sizes.tolist(), starts.tolist(), strict=True)
    return [_decode(events.data[start : start + size].tobytes()) for size, start in spans]


def _decode(data: bytes) -> str:
    """Return the text of a meta event on one line. The standard asks for ASCII; files hold more."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _bpm(mspq: int) -> float | None:
    """Return quarters a minute; None for a tempo of 0, which says nothing."""
    return round(_MINUTE_US / mspq, 3) if mspq else None


def _key(fifths: int, is_minor: int) -> str | None:
    """Return the key of a key signature: fifths as a byte, -7 to 7 in two's complement."""
    fifths = fifths - 256 if fifths > 127 else fifths
    if not -7 <= fifths <= 7 or is_minor not in (0, 1):
        return None
    return str(Key((7 * fifths + 9 * is_minor) % 12, bool(is_minor)))

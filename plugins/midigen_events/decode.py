"""Ids to a score: any ids, any number of them. `midigen_events` says what a repair is."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import symusic

from midigen.protocols import Decoded
from midigen_events import vocabulary as v
from midigen_events.channels import DRUMS
from midigen_events.rows import Rows, read_rows

_LATEST = 1 << 30
"""Steps: what begins later does not fit into a score."""
_A_MINUTE = 60_000_000
"""Microseconds."""
_LONGEST_TEMPO = 0xFFFFFF
"""Microseconds a quarter, in the three bytes that a MIDI file has for them."""
# Columns of `Rows.values`.
_TRACK, _CHANNEL, _PITCH, _VELOCITY, _DURATION = range(2, 7)
_PATCH = _CONTROLLER = 4
_VALUE = 5
_BPM = 3


class Seat(NamedTuple):
    """What a track of a score plays: a track and channel of a sequence, and a patch."""

    part: int
    track: int
    channel: int
    program: int


def decode(parts: "Sequence[np.ndarray | Sequence[int]]") -> Decoded:
    """Return the `symusic.Score` of sequences of ids in 0..V-1 that sound together; count repairs.

    Each track of the score has the notes of one track, channel and patch. Controllers join notes of
    their channel, if they can of their track and patch.
    """
    repairs: Counter[str] = Counter()
    read = [_mended(np.asarray(part, dtype=np.int64), repairs) for part in parts]
    score: Any = symusic.Score(v.STEPS)
    score.tempos = [symusic.Tempo(time, mspq=mspq) for time, mspq in _tempos(read)]
    score.time_signatures = [symusic.TimeSignature(*each) for each in _signatures(read)]
    score.key_signatures = [symusic.KeySignature(*each) for each in _keys(read)]
    score.tracks = _tracks(read)
    return Decoded(score, {kind: count for kind, count in repairs.items() if count})


def _mended(ids: np.ndarray, repairs: Counter[str]) -> Rows:
    """Return the whole events of a sequence, with values that can be; count what was not so."""
    rows = read_rows(ids)
    late = rows.whole & (rows.time > _LATEST)
    good = rows.whole & ~late
    silent = good & (rows.kind == v.NOTE) & (rows.values[:, _VELOCITY] == 0)
    good &= ~silent
    short = good & (rows.kind == v.NOTE) & (rows.values[:, _DURATION] == 0)
    slow = good & (rows.kind == v.SET_TEMPO) & (rows.values[:, _BPM] < v.SLOWEST)
    rows.values[short, _DURATION] = 1
    rows.values[slow, _BPM] = v.SLOWEST
    special = int(((ids == v.BOS) | (ids == v.EOS)).sum())
    repairs["special token"] += special
    repairs["stray id"] += len(ids) - len(rows.place) - int(rows.length.sum()) - special
    repairs["incomplete event"] += int((~rows.whole).sum())
    repairs["missing padding"] += int((rows.whole & (rows.length < v.UNIT - 1)).sum())
    repairs["late event"] += int(late.sum())
    repairs["silent note"] += int(silent.sum())
    repairs["note without length"] += int(short.sum())
    repairs["tempo too slow"] += int(slow.sum())
    return rows.at(good)


def _tempos(read: Sequence[Rows]) -> list[tuple[int, int]]:
    """Return times and microseconds a quarter; the last of one time holds."""
    rows = _of(read, v.SET_TEMPO)
    return sorted({row[0]: min(_A_MINUTE // row[1 + _BPM], _LONGEST_TEMPO) for row in rows}.items())


def _signatures(read: Sequence[Rows]) -> list[tuple[int, int, int]]:
    """Return times, numerators and denominators; the last of one time holds."""
    found = {row[0]: (row[4] + 1, 2 << row[5]) for row in _of(read, v.TIME_SIGNATURE)}
    return [(time, *signature) for time, signature in sorted(found.items())]


def _keys(read: Sequence[Rows]) -> list[tuple[int, int, int]]:
    """Return times, sharps and 1 for minor; of one time, the key that most tracks name.

    Tracks of drums name C, and a score has one key for all.
    """
    named: dict[int, Counter[tuple[int, int]]] = {}
    for row in _of(read, v.KEY_SIGNATURE):
        named.setdefault(row[0], Counter())[row[4] - 7, row[5]] += 1
    return [(time, *keys.most_common(1)[0][0]) for time, keys in sorted(named.items())]


def _of(read: Sequence[Rows], kind: int) -> Iterator[list[int]]:
    """Yield time and the seven values of the events of a kind."""
    for rows in read:
        found = rows.at(rows.kind == kind)
        yield from np.column_stack((found.time, found.values)).tolist()


def _tracks(read: Sequence[Rows]) -> list[Any]:
    """Return the tracks of a score."""
    notes: dict[Seat, Rows] = {}
    controls: dict[Seat, Rows] = {}
    for part, rows in enumerate(read):
        patch = _patches(rows)
        for kind, found in ((v.NOTE, notes), (v.CONTROL_CHANGE, controls)):
            of_kind = rows.kind == kind
            found |= _seated(part, rows.at(of_kind), patch[of_kind])
    joining: dict[Seat, list[Rows]] = {seat: [] for seat in notes}
    for seat, rows in controls.items():
        joining.setdefault(_nearest(seat, notes), []).append(rows)
    none = Rows.none()
    return [_track(seat, notes.get(seat, none), joining[seat]) for seat in sorted(joining)]


def _patches(rows: Rows) -> np.ndarray:
    """Return (K,) the patch that the channel of each event has there; 0 until it gets one."""
    patch = np.zeros(len(rows.kind), dtype=np.int64)
    is_patch = rows.kind == v.PATCH_CHANGE
    for channel in np.unique(rows.values[is_patch, _CHANNEL]).tolist():
        on_channel = rows.values[:, _CHANNEL] == channel
        places = np.flatnonzero(is_patch & on_channel)
        last = np.searchsorted(places, np.arange(len(patch)), side="right") - 1
        held = np.where(last >= 0, rows.values[places[last], _PATCH], 0)
        patch = np.where(on_channel, held, patch)
    return patch


def _seated(part: int, rows: Rows, patch: np.ndarray) -> dict[Seat, Rows]:
    """Return events by where they play."""
    key = (rows.values[:, _TRACK] << 4 | rows.values[:, _CHANNEL]) << 7 | patch
    order = np.argsort(key, kind="stable")
    found, starts = np.unique(key[order], return_index=True)
    groups = np.split(order, starts[1:])
    return {
        Seat(part, k >> 11, k >> 7 & 0xF, k & 0x7F): rows.at(places)
        for k, places in zip(found.tolist(), groups, strict=bool(len(found)))
    }


def _nearest(seat: Seat, notes: Mapping[Seat, Rows]) -> Seat:
    """Return the seat with notes that a controller for `seat` should shape; itself if none is."""
    same = [other for other in notes if (other.part, other.channel) == (seat.part, seat.channel)]
    near = [(other.program != seat.program, other.track != seat.track, other) for other in same]
    return min(near)[2] if near else seat


def _track(seat: Seat, notes: Rows, controls: Sequence[Rows]) -> Any:
    made: Any = symusic.Track(program=seat.program, is_drum=seat.channel == DRUMS)
    made.notes = symusic.Note.from_numpy(
        time=notes.time.astype(np.int32),
        duration=notes.values[:, _DURATION].astype(np.int32),
        pitch=notes.values[:, _PITCH].astype(np.int8),
        velocity=notes.values[:, _VELOCITY].astype(np.int8),
        ttype="tick",
    )
    if controls:
        time = np.concatenate([rows.time for rows in controls])
        values = np.concatenate([rows.values for rows in controls])
        order = np.argsort(time, kind="stable")
        made.controls = symusic.ControlChange.from_numpy(
            time=time[order].astype(np.int32),
            number=values[order, _CONTROLLER].astype(np.uint8),
            value=values[order, _VALUE].astype(np.uint8),
            ttype="tick",
        )
    return made

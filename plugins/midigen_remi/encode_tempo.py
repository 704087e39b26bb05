"""Tempo changes of many pieces: scaled, rounded to the vocabulary and thinned as MidiTok does."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from midigen_remi.config import RemiConfig
from midigen_remi.encode_read import HALF, MAX_QUARTERS, Piece, Unfit, round_onsets
from midigen_remi.encode_tables import Tables, nearest


@dataclass(slots=True)
class Tempos:
    """Tempo tokens of many pieces, in their order: piece and time (ticks) int64 (T,), id uint16."""

    piece: np.ndarray
    time: np.ndarray
    id: np.ndarray


def read_tempos(
    pieces: Sequence[Piece], config: RemiConfig, tables: Tables, unfit: Unfit
) -> Tempos:
    """Return the tempo tokens of all pieces and add to `unfit` the pieces with tempos out of order.

    Of several tempos in one tick the last counts (`MusicTokenizer._preprocess_tempos`); a piece
    that begins without one gets the default tempo.
    """
    if not config.tempos:
        none = np.zeros(0, np.int64)
        return Tempos(none, none, none.astype(np.uint16))
    columns = [piece.score.tempos.numpy() for piece in pieces]
    counts = [len(column["time"]) for column in columns]
    owner = np.repeat(np.arange(len(pieces)), counts)
    raw = np.concatenate([column["time"] for column in columns])
    same = owner[1:] == owner[:-1]
    unfit.odd.update(owner[1:][same & (raw[1:] < raw[:-1])].tolist(), owner[raw < 0].tolist())
    limit = np.repeat([MAX_QUARTERS * piece.score.ticks_per_quarter for piece in pieces], counts)
    unfit.reject_late(set(owner[raw > limit].tolist()))
    time = (raw * np.repeat([piece.scale for piece in pieces], counts) + HALF).astype(np.int64)
    round_onsets(time, range(len(pieces)), counts, pieces)
    place = nearest(tables.tempo_mspq, np.concatenate([column["mspq"] for column in columns]))
    last = np.append(~same | (time[1:] != time[:-1]), True)[: len(time)]
    owner, time, place = owner[last], time[last], place[last]
    if config.mergetempos:
        changed = np.append(True, (owner[1:] != owner[:-1]) | (place[1:] != place[:-1]))
        changed = changed[: len(time)]
        owner, time, place = owner[changed], time[changed], place[changed]
    return _with_first(Tempos(owner, time, place), len(pieces), config, tables)


def _with_first(tempos: Tempos, pieces: int, config: RemiConfig, tables: Tables) -> Tempos:
    """Turn places in `Tables.tempo` into ids and give every piece a tempo at tick 0."""
    first = np.searchsorted(tempos.piece, np.arange(pieces))
    early = np.bincount(tempos.piece, minlength=pieces) > 0
    starts = first[early]
    if config.mergetempos:
        tempos.time[starts[tables.tempo_is_default[tempos.id[starts]]]] = 0
    early[early] = tempos.time[starts] == 0
    late = np.flatnonzero(~early)
    return Tempos(
        np.insert(tempos.piece, first[late], late),
        np.insert(tempos.time, first[late], 0),
        np.insert(tables.tempo[tempos.id], first[late], tables.default_tempo_id),
    )

"""The records of one encoded score: one, or one a part."""

from typing import Any

from midigen.measure import Measure, measure_many
from midigen.protocols import Encoded
from midigen.record import Record, complete

Counts = dict[str, int | float]


def records_of(
    known: Record, encoded: Encoded, score: Any, counts: list[Counts] | None = None
) -> list[Record]:
    """Return the records of an encoded `score` with the keys that are `known` (id without ``.k``).

    What the vocabulary could not hold joins `meta.lossy`. counts: the `n` of each part; without
    them the parts' tracks are measured.
    """
    meta = dict(known["meta"])
    lossy = [*meta.get("lossy", ()), *encoded.lossy]
    if lossy:
        meta["lossy"] = list(dict.fromkeys(lossy))
    parts = encoded.parts
    if len(parts) == 1 and encoded.programs is None:
        return [complete(known | {"meta": meta, "ids": parts[0]})]
    if counts is None or len(counts) != len(parts):
        counts = _measured(encoded, score)
    records = []
    for k, (ids, n) in enumerate(zip(parts, counts, strict=True)):
        own = {"id": f"{known['id']}.{k}", "ids": ids, "n": n, "part": [k, len(parts)]}
        program = {} if encoded.programs is None else {"program": encoded.programs[k]}
        records.append(complete(known | own | {"meta": meta | program}))
    return records


def _measured(encoded: Encoded, score: Any) -> list[Counts]:
    """Return the `n` of each part, so that sums over parts count every note once.

    Where it is not known which track a part comes from, they stay unmeasured.
    """
    tracks = encoded.tracks
    if tracks is None:
        tracks = [k for k, track in enumerate(score.tracks) if track.note_num()]
    if len(tracks) != len(encoded.parts):
        return [{} for _ in encoded.parts]
    measures = measure_many([_solo(score, score.tracks[k]) for k in tracks])
    return [found.n if isinstance(found, Measure) else {} for found in measures]


def _solo(score: Any, track: Any) -> Any:
    """Return a score that has one of the tracks of another, under its tempos and signatures."""
    solo = type(score)(score.ticks_per_quarter)
    solo.tracks = [track]
    solo.tempos, solo.time_signatures = score.tempos, score.time_signatures
    return solo

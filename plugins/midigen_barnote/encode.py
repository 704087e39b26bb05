"""Scores to the ids of `barnote`, many at once, with no Python object for an event."""

from collections.abc import Sequence
from typing import Any

from midigen.errors import Reject
from midigen.protocols import Encoded
from midigen_barnote.config import Config
from midigen_barnote.fit import Fitting
from midigen_barnote.read import Piece, read_notes, read_piece
from midigen_barnote.write import write_ids

BATCH_NOTES = 30_000
"""Notes at once: NumPy's cost per call is shared, and the arrays still fit a core's cache."""
BATCH_SCORES = 256

Result = Encoded | Reject


def encode_many(scores: Sequence[Any], config: Config) -> list[Result]:
    """Encode `symusic.Score`s in ticks; a Reject stands in the place of one that cannot be."""
    results: list[Result] = []
    batch: list[Any] = []
    notes = 0
    for score in scores:
        batch.append(score)
        notes += score.note_num()
        if notes >= BATCH_NOTES or len(batch) == BATCH_SCORES:
            results += _encode_batch(batch, config)
            batch, notes = [], 0
    return results + _encode_batch(batch, config)


def _encode_batch(scores: Sequence[Any], config: Config) -> list[Result]:
    results: list[Result] = [Reject("no_notes", "none that the grid has")] * len(scores)
    pieces: list[Piece] = []
    numbers: list[int] = []
    for number, score in enumerate(scores):
        try:
            pieces.append(read_piece(score, config))
            numbers.append(number)
        except Reject as reject:
            results[number] = reject
    fitting = Fitting(read_notes(pieces), config, len(pieces))
    for owner, refusal in fitting.rejects.items():
        results[numbers[owner]] = refusal
    for owner, ids in write_ids(pieces, fitting.notes):
        results[numbers[owner]] = Encoded([ids], fitting.lossy(owner))
    return results

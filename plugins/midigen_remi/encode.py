"""Array encoder: scores to the ids of MidiTok's REMI, many at once, no Python object per event."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from midigen.errors import Reject
from midigen.protocols import Encoded
from midigen.vocab import Vocab
from midigen_remi.config import RemiConfig
from midigen_remi.encode_batch import encode_notes
from midigen_remi.encode_read import Notes, Piece, Unfit, read_notes, read_pieces
from midigen_remi.encode_tables import Tables, duration_width
from midigen_remi.encode_tempo import Tempos, read_tempos
from midigen_remi.values import PROGRAMS

BATCH_NOTES = 30_000
"""Notes at once: NumPy's cost per call is shared, and the arrays still fit a core's cache."""
BATCH_SCORES = 256

Result = Encoded | Reject


def is_covered(config: RemiConfig) -> bool:
    """Return whether the array code can encode this configuration; else MidiTok itself must."""
    return not (
        config.chords
        or config.pedals != "0"
        or config.bends
        or config.keys
        or config.controls
        or config.intervals
        or config.durations not in (PROGRAMS, ())
        or (config.dedupe and not config.durations)
        or duration_width(config) > 1 << 16
    )


class Encoder:
    """Encodes scores of one configuration, about `batch_notes` notes at once."""

    batch_notes = BATCH_NOTES

    def __init__(self, config: RemiConfig, vocab: Vocab) -> None:
        self.config = config
        self.tables = Tables(config, vocab)

    @cached_property
    def _engine(self) -> Any:
        from midigen_remi.engine import Engine

        return Engine(self.config)

    def encode_many(self, scores: Sequence[Any]) -> list[Result]:
        """Encode `symusic.Score`s in ticks; a Reject stands in the place of one that cannot be."""
        results: list[Result] = []
        batch: list[Any] = []
        notes = 0
        for score in scores:
            batch.append(score)
            notes += score.note_num()
            if notes >= self.batch_notes or len(batch) == BATCH_SCORES:
                results += self._encode_batch(batch)
                batch, notes = [], 0
        return results + self._encode_batch(batch)

    def _encode_batch(self, scores: Sequence[Any]) -> list[Result]:
        if not scores:
            return []
        unfit = Unfit()
        pieces = read_pieces(scores, self.config, unfit)
        notes = read_notes(pieces, self.config, unfit)
        self._find_unfit(pieces, notes, unfit)
        tempos = read_tempos(pieces, self.config, self.tables, unfit)
        if unfit.odd or unfit.rejects:
            return self._encode_apart(scores, unfit)
        results: list[Result] = [Reject("no_notes", "none that the vocabulary has")] * len(scores)
        for number, encoded in self._encode_notes(pieces, notes, tempos):
            results[number] = encoded
        return results

    def _find_unfit(self, pieces: Sequence[Piece], notes: Notes, unfit: Unfit) -> None:
        """Add to `unfit` what `read_notes` takes, but this encoder does not: nothing here."""

    def _encode_notes(
        self, pieces: Sequence[Piece], notes: Notes, tempos: Tempos
    ) -> Iterable[tuple[int, Encoded]]:
        """Yield the number and the ids of every piece that has a note in the vocabulary."""
        return encode_notes(pieces, notes, tempos, self.config, self.tables)

    def _encode_apart(self, scores: Sequence[Any], unfit: Unfit) -> list[Result]:
        """Encode a batch in which some pieces are not for the array code."""
        results: dict[int, Result] = dict(unfit.rejects)
        for odd in unfit.odd - results.keys():
            (results[odd],) = self._engine.encode_many([scores[odd]])
        fit = [n for n in range(len(scores)) if n not in results]
        results |= zip(fit, self._encode_batch([scores[n] for n in fit]), strict=True)
        return [results[n] for n in range(len(scores))]

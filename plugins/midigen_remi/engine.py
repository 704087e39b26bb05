"""MidiTok itself, for configurations and scores that the array code does not cover."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from midigen.errors import Reject
from midigen.protocols import Encoded
from midigen_remi.config import RemiConfig
from midigen_remi.encode_read import MAX_QUARTERS, too_long
from midigen_remi.miditok_import import import_miditok
from midigen_remi.values import DRUMS


class Engine:
    """Encodes scores through `miditok.REMI`; importing it costs 0.35 s, so it is made late."""

    def __init__(self, config: RemiConfig) -> None:
        miditok = import_miditok()
        self.config = config
        self.tokenizer = miditok.REMI(miditok.TokenizerConfig(**config.miditok_arguments()))
        self.dtype = np.uint16 if len(self.tokenizer) <= 1 << 16 else np.uint32

    def encode_many(self, scores: Sequence[Any]) -> list[Encoded | Reject]:
        """Encode `symusic.Score`s in ticks; a Reject stands in the place of one that cannot be."""
        return [self._encode(score) for score in scores]

    def _encode(self, score: Any) -> Encoded | Reject:
        if score.end() > MAX_QUARTERS * score.ticks_per_quarter:
            return too_long()
        try:
            # A copy, as MidiTok moves the time signatures of a score that needs no resampling.
            prepared = self.tokenizer.preprocess_score(score.copy())
            if not prepared.note_num():
                return Reject("no_notes", "none that the vocabulary has")
            sequences = self.tokenizer.encode(prepared, no_preprocess_score=True)
        except Exception as error:  # MidiTok documents none: a score it fails on is one reject.
            return Reject("tokenizer", f"MidiTok: {type(error).__name__}: {error}")
        lossy = self.tokenizer.score_has_time_signatures_not_in_vocab(score)
        programs = [DRUMS if track.is_drum else track.program for track in prepared.tracks]
        return Encoded(
            [
                np.array(s.ids, self.dtype)
                for s in (sequences if isinstance(sequences, list) else [sequences])
            ],
            ("time_signature",) if lossy else (),
            None if self.config.programs else programs,
        )

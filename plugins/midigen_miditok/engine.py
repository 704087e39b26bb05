"""MidiTok itself: encodes for the classes, configurations and scores that no array code covers."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from midigen_remi.encode_read import MAX_QUARTERS, too_long
from midigen_remi.miditok_import import import_miditok
from midigen_remi.values import DRUMS

from midigen.errors import MidigenError, Reject
from midigen.protocols import Encoded
from midigen.vocab import Vocab
from midigen_miditok.config import MidiTokConfig
from midigen_miditok.slots import flat_vocab


@contextmanager
def silent() -> Iterator[None]:
    """Ignore MidiTok's warnings of what a class leaves out: its parameters do not offer it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class Engine:
    """Encodes scores through one of MidiTok's classes; importing it costs 0.35 s: made late.

    Events of several ids are laid flat: the ids of sub-vocabulary k follow those of k - 1, and an
    event that has fewer ids than others is filled up with PAD.
    """

    def __init__(self, config: MidiTokConfig, vocab: Vocab | None = None) -> None:
        """vocab: ours. Raises MidigenError where the installed MidiTok has another one."""
        miditok = import_miditok()
        self.config = config
        with silent():
            arguments = miditok.TokenizerConfig(**config.miditok_arguments())
            self.tokenizer = getattr(miditok, config.kind)(arguments)
        theirs = self.tokenizer.vocab
        slots = theirs if isinstance(theirs, list) else [theirs]
        tokens = [sorted(slot, key=slot.__getitem__) for slot in slots]
        if vocab is not None and flat_vocab(tokens) != vocab:
            raise MidigenError(
                f"the installed MidiTok has another vocabulary for {config.kind} of this"
                " configuration; ids would not mean the same"
            )
        sizes = [len(slot) for slot in slots]
        self._padding = [slot["PAD_None"] for slot in slots]
        self._offsets = np.cumsum([0, *sizes[:-1]])  # (slots,)
        self._dtype = np.uint16 if sum(sizes) <= 1 << 16 else np.uint32

    def encode_many(self, scores: Sequence[Any]) -> list[Encoded | Reject]:
        """Encode `symusic.Score`s in ticks; a Reject stands in the place of one that cannot be."""
        return [self._encode(score) for score in scores]

    def _encode(self, score: Any) -> Encoded | Reject:
        if score.end() > MAX_QUARTERS * score.ticks_per_quarter:
            return too_long()
        try:
            with warnings.catch_warnings(record=True) as found:
                warnings.simplefilter("always")
                # A copy, as MidiTok moves the time signatures of a score that needs no resampling.
                prepared = self.tokenizer.preprocess_score(self._copy(score))
                if not prepared.note_num():
                    return Reject("no_notes", "none that the vocabulary has")
                sequences = self.tokenizer.encode(prepared, no_preprocess_score=True)
        except Exception as error:  # MidiTok documents none: a score it fails on is one reject.
            return Reject("tokenizer", f"MidiTok: {type(error).__name__}: {error}")
        lossy = []
        if self.tokenizer.score_has_time_signatures_not_in_vocab(score):
            lossy.append("time_signature")
        if any("limit of the tokenizer" in str(warning.message) for warning in found):
            lossy.append("bars")
        programs = [DRUMS if track.is_drum else track.program for track in prepared.tracks]
        each = sequences if isinstance(sequences, list) else [sequences]
        return Encoded(
            [self._flat(sequence.ids) for sequence in each],
            tuple(lossy),
            None if self.config.options.programs else programs,
        )

    def _copy(self, score: Any) -> Any:
        """Return a copy, for PerTok without the signatures that other classes leave out."""
        copy = score.copy()
        if self.config.kind == "PerTok":
            known = self.tokenizer.time_signatures
            copy.time_signatures = [
                s for s in copy.time_signatures if (s.numerator, s.denominator) in known
            ]
        return copy

    def _flat(self, ids: list[Any]) -> np.ndarray:
        """Return (N,) ids of the flattened vocabulary."""
        if len(self._offsets) == 1:
            return np.array(ids, dtype=self._dtype)
        # MuMIDI's events that are no notes end before the velocity.
        whole = [event + self._padding[len(event) :] for event in ids]
        array = np.array(whole, dtype=np.int64).reshape(-1, len(self._offsets))
        return (array + self._offsets).ravel().astype(self._dtype)

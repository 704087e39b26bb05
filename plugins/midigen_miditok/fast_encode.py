"""Array encoder of TSD, MIDILike and Structured: MidiTok's ids, no Python object per event."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from midigen_remi.encode import Encoder
from midigen_remi.encode_batch import encode_notes
from midigen_remi.encode_read import Notes, Piece, Unfit
from midigen_remi.encode_tempo import Tempos

from midigen.protocols import Encoded
from midigen.vocab import Vocab
from midigen_miditok.config import MidiTokConfig
from midigen_miditok.fast_midilike import encode_on_off, reject_late_ends
from midigen_miditok.fast_tables import EventTables
from midigen_miditok.fast_write import write_structured, write_tsd


class EventEncoder(Encoder):
    """Encodes scores of one configuration."""

    def __init__(self, config: MidiTokConfig, vocab: Vocab) -> None:
        self.config = config.options
        self.tables: Any = EventTables(config.kind, config.options, vocab)
        self._miditok_config = config
        if config.kind == "MIDILike":
            # Its notes are two events each.
            self.batch_notes //= 2

    @cached_property
    def _engine(self) -> Any:
        from midigen_miditok.engine import Engine

        return Engine(self._miditok_config)

    def _find_unfit(self, pieces: Sequence[Piece], notes: Notes, unfit: Unfit) -> None:
        if self._miditok_config.kind == "MIDILike" and self.config.durations:
            reject_late_ends(pieces, notes, unfit)

    def _encode_notes(
        self, pieces: Sequence[Piece], notes: Notes, tempos: Tempos
    ) -> Iterable[tuple[int, Encoded]]:
        if self._miditok_config.kind == "MIDILike":
            return encode_on_off(pieces, notes, tempos, self.config, self.tables)
        write = write_structured if self._miditok_config.kind == "Structured" else write_tsd
        return encode_notes(pieces, notes, tempos, self.config, self.tables, write)

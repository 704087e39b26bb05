"""MMM ids back to a score: its tracks, each decoded as a sequence of the base.

Repairs are those of the base (`midigen_remi.decode`, `midigen_miditok.event_decode`) and these:

    missing track start    ids outside a track are a track of their own
    missing track end      the track ends where the next begins
    empty track            ignored
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from midigen.protocols import Decoded
from midigen.vocab import Vocab
from midigen_miditok.config import MidiTokConfig
from midigen_miditok.mmm_tracks import MmmTracks


class MmmDecoder:
    """Decodes through the base."""

    def __init__(self, config: MidiTokConfig, vocab: Vocab) -> None:
        self.tracks = MmmTracks(config, vocab)

    def decode(self, parts: Sequence[Any], _programs: Sequence[int] | None) -> Decoded:
        """Return the `symusic.Score` of all tracks of all parts, and the repairs."""
        repairs: Counter[str] = Counter()
        found = [
            track
            for part in parts
            for track in self.tracks.split(np.asarray(part, dtype=np.int64), repairs)
        ]
        decoded = self.tracks.decode(found)
        repairs.update(decoded.repairs)
        return Decoded(decoded.value, {name: count for name, count in repairs.items() if count})

"""CPWord ids back to a score, by way of `remi`: its events say the same as REMI's tokens.

What sounds is what MidiTok's ``CPWord.decode`` makes of the same ids, except that drum notes
outside the range of the other pitches are kept. Chords are names for notes that are there anyway,
and say nothing more. Repairs are those of `midigen_remi.decode` and these:

    incomplete event             dropped: ids that are not one of each slot, in their order
    special token                the event that has one is dropped
    incomplete note              dropped: a pitch, velocity, duration or program is missing
    empty event                  dropped: neither note, bar, position nor rest
    stray value                  ignored: a value in a slot that this kind of event leaves empty
    missing time signature       the signature stays as it was
    missing tempo                the tempo stays as it was
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from midigen.protocols import Decoded
from midigen_miditok.config import MidiTokConfig
from midigen_miditok.decode_compound import drop_special
from midigen_miditok.flatten import Flat
from midigen_miditok.remi_side import RemiSide

FORMS: dict[str, tuple[str, ...]] = {
    "note": ("Program", "Pitch", "Velocity", "Duration"),
    "bar": ("Time", "TimeSig"),
    "position": ("Time", "Tempo"),
    "rest": ("Rest",),
}
"""What the kinds of events say, in the order in which REMI says it."""


def slot_names(flat: Flat) -> list[str]:
    """Return what each slot of CPWord holds; Time: a Bar or a Position."""
    last = [flat.types[int(flat.ids_in(k)[-1])] for k in range(flat.width)]
    return [{"Position": "Time", "PitchDrum": "Pitch"}.get(kind, kind) for kind in last]


class CPWordDecoder:
    """Decodes with arrays."""

    def __init__(self, config: MidiTokConfig, flat: Flat) -> None:
        self.flat = flat
        self.slot = {name: k for k, name in enumerate(slot_names(flat))}
        self.remi = RemiSide(config.options, flat)
        self._empty = flat.is_type("Ignore")
        self._is_note = np.array([token == "0.Family_Note" for token in flat.vocab.tokens])
        self._is_bar = flat.is_type("Bar")

    def decode(self, parts: Sequence[Any], programs: Sequence[int] | None) -> Decoded:
        """Return the `symusic.Score` of one sequence, or of one a track, and the repairs."""
        repairs: Counter[str] = Counter()
        said = [self._translate(np.asarray(part, dtype=np.int64), repairs) for part in parts]
        decoded = self.remi.decoder.decode(said, programs)
        repairs.update(decoded.repairs)
        # MidiTok itself writes one before a time signature that it has no bar for.
        del repairs["rest without event"]
        decoded.value.tempos = _changes(decoded.value.tempos)
        return Decoded(decoded.value, {name: count for name, count in repairs.items() if count})

    def _translate(self, ids: np.ndarray, repairs: Counter[str]) -> np.ndarray:
        """Return the `remi` ids of one sequence of T ids, and count its repairs."""
        events = drop_special(self.flat, self.flat.events(ids, repairs), repairs)
        filled = ~self._empty[events]  # (N, K)
        filled[:, 0] = False
        form = self._forms(events, filled)
        repairs["empty event"] += int((form == "").sum())
        said = np.full((len(events), 4), -1)
        for name, slots in FORMS.items():
            here = np.flatnonzero(form == name)
            columns = [self.slot[slot] for slot in slots if slot in self.slot]
            whole = filled[here[:, None], columns]
            repairs[_MISSING[name]] += int((~whole.all(axis=1)).sum())
            if name == "note":
                here, whole = here[whole.all(axis=1)], whole[whole.all(axis=1)]
            said[here, : len(columns)] = self.remi.ids[events[here[:, None], columns]]
            allowed = [*columns, self.slot.get("Chord", 0)] if name == "position" else columns
            others = np.delete(filled[form == name], allowed, axis=1)
            repairs["stray value"] += int(others.any(axis=1).sum())
        return said[said >= 0]

    def _forms(self, events: np.ndarray, filled: np.ndarray) -> np.ndarray:
        """Return (N,) the kind of every event, "" for one that is none."""
        timed = filled[:, self.slot["Time"]]
        rest = filled[:, self.slot["Rest"]] if "Rest" in self.slot else np.zeros_like(timed)
        return np.select(
            [
                self._is_note[events[:, 0]],
                timed & self._is_bar[events[:, self.slot["Time"]]],
                timed,
                rest,
            ],
            ["note", "bar", "position", "rest"],
            "",
        )


_MISSING = {
    "note": "incomplete note",
    "bar": "missing time signature",
    "position": "missing tempo",
    "rest": "empty event",
}


def _changes(tempos: Any) -> list[Any]:
    """Return what changes the tempo, once at most at a tick: every position repeats the tempo."""
    kept: list[Any] = []
    for tempo in tempos:
        if not kept or (tempo.mspq != kept[-1].mspq and tempo.time != kept[-1].time):
            kept.append(tempo)
    return kept

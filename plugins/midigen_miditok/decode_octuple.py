"""Octuple ids back to a score: array code, for any ids.

What sounds is what MidiTok's ``Octuple.decode`` makes of the same ids, except that drum notes
outside the range of the other pitches are kept, that a bar whose time signature has another
denominator than the one before counts its own positions from its first note on, and that tracks do
not inherit the last time signature of the track before. Repairs, and what happens:

    incomplete event             dropped: ids that are not one of each slot, in their order
    special token                the event that has one is dropped
    time backwards               plays where it says, before the event that it follows
    position outside the bar     counts on into the bars behind
    misplaced time signature     ignored: it changes within a bar
    wrong kind of pitch          plays: a drum pitch on a melodic program or the other way round
    program change               ignored: a track has one program, that of its first event
"""

from collections import Counter

import numpy as np
from midigen_remi.decode import DEFAULT_VELOCITY, Notes

from midigen_miditok.decode_compound import CompoundDecoder, Sequenced, drop_special


class OctupleDecoder(CompoundDecoder):
    """Decodes with arrays."""

    def read(self, ids: np.ndarray, repairs: Counter[str]) -> Sequenced:
        """Read one sequence of T ids and count its repairs."""
        events = drop_special(self.flat, self.flat.events(ids, repairs), repairs)
        column = {name: events[:, k] for k, name in enumerate(self.names)}
        value = self.meaning.value
        bar, position = self.bar[column["Bar"]], value[column["Position"]]
        back = (np.diff(bar) < 0) | ((np.diff(bar) == 0) & (np.diff(position) < 0))
        repairs["time backwards"] += int(back.sum())

        start, signature, changes = self._bars(bar, column.get("TimeSig"), repairs)
        outside = position >= self.meaning.positions[signature]
        repairs["position outside the bar"] += int(outside.sum())
        tick = np.maximum(start + position * self.meaning.step[signature], 0)

        length = self.meaning.default_length[signature]
        if "Duration" in column:
            length = self.meaning.length[signature, column["Duration"]]
        velocity = np.full(len(events), DEFAULT_VELOCITY)
        if "Velocity" in column:
            velocity = value[column["Velocity"]]
        named = value[column["Program"]] if "Program" in column else None
        program = self.programs(column["Pitch"], named, repairs)
        notes = Notes(program, tick, length, value[column["Pitch"]], velocity)
        return Sequenced(notes, self.tempos(tick, column.get("Tempo")), changes)

    def _bars(
        self, bar: np.ndarray, named: np.ndarray | None, repairs: Counter[str]
    ) -> tuple[np.ndarray, np.ndarray, list[tuple[int, int]]]:
        """Return (N,) where the bar of each event begins, (N,) its signature, and the changes.

        named: (N,) TimeSig ids, None where there are none.
        """
        current = self.meaning.default_signature
        if named is None or not len(bar):
            signature = np.full(len(bar), current)
            return bar * self.meaning.bar[current], signature, [(0, current)]
        ticks = self.meaning.bar.tolist()
        said = self.meaning.value[named].tolist()
        section = section_bar = 0
        last, current, changes = -1, said[0], [(0, said[0])]
        starts, signatures = [], []
        for here, signature in zip(bar.tolist(), said, strict=True):
            if signature != current and here <= last:
                repairs["misplaced time signature"] += 1
            elif signature != current:
                section += (here - section_bar) * ticks[current]
                section_bar, current = here, signature
                changes.append((max(section, 0), current))
            starts.append(section + (here - section_bar) * ticks[current])
            signatures.append(current)
            last = here
        return np.array(starts), np.array(signatures), changes

"""Notes of one track with the same onset and pitch: only the shortest stays."""

import numpy as np

from midigen_remi.config import RemiConfig
from midigen_remi.encode_events import Events, Heads, Places


def drop_duplicates(
    events: Events,
    places: Places,
    heads: Heads,
    rows: np.ndarray,
    lasts: np.ndarray,
    voice: np.ndarray,
    config: RemiConfig,
) -> tuple[Events, Places, np.ndarray, np.ndarray]:
    """Return events, places, rows and lasts with `remove_duplicated_notes` done.

    MidiTok sorts the notes of a track by (onset, pitch, duration, velocity) for this, and that
    order stays. voice: (N,) the voice of each note.
    """
    note = np.flatnonzero(events.source >= len(heads.seq))
    owner = voice[events.source[note] - len(heads.seq)]
    onset = events.onset[note]
    first = int(config.program_in_notes)
    pitch = rows[note, first]
    velocity = rows[note, first + bool(config.velocities)]
    order = np.lexsort((velocity, rows[note, -1], pitch, owner, onset))
    onset, owner, pitch = onset[order], owner[order], pitch[order]
    same = (onset[1:] == onset[:-1]) & (owner[1:] == owner[:-1]) & (pitch[1:] == pitch[:-1])
    keep = np.ones(len(events.onset), bool)
    keep[note[1:][same]] = False
    place = np.arange(len(events.onset))
    place[note] = note[order]
    place = place[keep]
    return events.select(place), places.select(place), rows[place], lasts[place]

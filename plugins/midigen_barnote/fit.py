"""Notes made to fit the vocabulary of `barnote`: none too short or too long, none out of range."""

import numpy as np

from midigen.errors import Reject
from midigen_barnote.config import Config
from midigen_barnote.layout import HIGHEST, LONGEST, LOWEST
from midigen_barnote.read import Notes

MAX_PARTS = 1 << 20
"""Notes that those of one piece may become where long ones are split."""


class Fitting:
    """The notes of P pieces, made to fit.

    rejects: by the number of the piece; the notes of these are not in `notes`.
    """

    def __init__(self, notes: Notes, config: Config, pieces: int) -> None:
        self.rejects: dict[int, Reject] = {}
        self._lost: dict[str, np.ndarray] = {}
        self._pieces = pieces
        notes = self._lengthened(notes, keep_short=config.short == "keep")
        notes = self._in_range(notes, config.outside)
        parts = np.bincount(notes.owner, -(-notes.duration // LONGEST), pieces)
        for owner in np.flatnonzero(parts > MAX_PARTS).tolist():
            self.rejects[owner] = Reject(
                "too_long", f"more than {MAX_PARTS} notes, long ones split"
            )
        if self.rejects:
            notes = notes.where(~np.isin(notes.owner, list(self.rejects)))
        self.notes = split(notes)

    def lossy(self, owner: int) -> tuple[str, ...]:
        """Return what is lost of a piece: ``short_notes``, ``pitch``."""
        return tuple(word for word, lost in self._lost.items() if lost[owner])

    def _lengthened(self, notes: Notes, *, keep_short: bool) -> Notes:
        """Return the notes without those of duration 0, or with these a unit long."""
        if keep_short:
            return notes._replace(duration=np.maximum(notes.duration, 1))
        short = notes.duration == 0
        self._lose("short_notes", notes, short)
        return notes.where(~short)

    def _in_range(self, notes: Notes, outside: str) -> Notes:
        """Return the notes without pitches out of range: rejected, dropped or moved by octaves."""
        found = (notes.pitch < LOWEST) | (notes.pitch > HIGHEST)
        if not found.any():
            return notes
        if outside == "reject":
            for place in np.flatnonzero(found)[::-1].tolist():
                fact = f"pitch {notes.pitch[place]} not in {LOWEST}..{HIGHEST}"
                remedy = "barnote:outside=drop leaves such notes out"
                self.rejects[int(notes.owner[place])] = Reject("tokenizer", f"{fact}; {remedy}")
            return notes
        self._lose("pitch", notes, found)
        return notes.where(~found) if outside == "drop" else notes._replace(pitch=fold(notes.pitch))

    def _lose(self, word: str, notes: Notes, found: np.ndarray) -> None:
        self._lost[word] = np.bincount(notes.owner[found], minlength=self._pieces)


def fold(pitch: np.ndarray) -> np.ndarray:
    """Return pitches moved by as few octaves as bring them into the range."""
    octaves_up = np.maximum(-(-(LOWEST - pitch) // 12), 0)
    octaves_down = np.maximum(-(-(pitch - HIGHEST) // 12), 0)
    return pitch + 12 * (octaves_up - octaves_down)


def split(notes: Notes) -> Notes:
    """Return the notes with those above 32 units cut into pieces of 32 and a rest."""
    count = -(-notes.duration // LONGEST)
    if not (count > 1).any():
        return notes
    owner, time, duration, pitch = (np.repeat(column, count) for column in notes)
    past = LONGEST * (np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count))
    return Notes(owner, time + past, np.minimum(duration - past, LONGEST), pitch)

"""`melody`: the highest line of a piece on a grid, one token a step.

A bar of 4/4 is ``Bar_None`` and `grid` steps. A step is ``Pitch_60`` (a note begins), ``Hold_None``
(it goes on) or ``Rest_None``. Other time signatures are barred as 4/4, and tempo, velocities, drums
and lower voices are lost.
"""

from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

from midigen.errors import MidigenError, Reject
from midigen.protocols import Decoded, Encoded
from midigen.spec import format_spec
from midigen.vocab import Vocab

if TYPE_CHECKING:
    import numpy as np

    from midigen_melody.grammar import MelodyGrammar

BAR, HOLD, REST, FIRST_PITCH = range(4)
TOKENS = ("Bar_None", "Hold_None", "Rest_None", *(f"Pitch_{pitch}" for pitch in range(128)))
GRIDS = ("8", "16", "32")
TICKS_PER_QUARTER = 480
VELOCITY = 80


class Melody:
    """A tokenizer (`midigen.protocols.Tokenizer`); `grid`: steps a bar, 8, 16 or 32."""

    medium: Literal["score", "text"] = "score"
    unit = 1

    def __init__(self, grid: str = "16") -> None:
        if grid not in GRIDS:
            raise MidigenError(f"melody: grid={grid} is not one of {', '.join(GRIDS)}")
        self.grid = int(grid)
        self.spec = format_spec("melody", {} if grid == "16" else {"grid": grid})
        self.vocab = Vocab(TOKENS)

    def encode(self, x: Any) -> Encoded:
        """Encode a `symusic.Score` in ticks. Raises Reject (``no_notes``) where no melody is."""
        import numpy as np

        tracks = [track.notes.numpy() for track in x.tracks if not track.is_drum]
        onset, length, pitch = (
            np.concatenate([[], *(notes[name] for notes in tracks)]).astype(np.int64)
            for name in ("time", "duration", "pitch")
        )
        if not len(onset):
            raise Reject("no_notes", "no notes but drums")
        step = 4 * x.ticks_per_quarter / self.grid
        start = np.floor(onset / step + 0.5).astype(np.int64)
        stop = np.floor((onset + length) / step + 0.5).astype(np.int64)
        # The highest of the notes that begin together; of equal ones the longest.
        order = np.lexsort((stop, pitch, start))
        start, stop, pitch = start[order], stop[order], pitch[order]
        top = np.append(start[1:] != start[:-1], True)
        start, stop, pitch = start[top], stop[top], pitch[top]
        # A note ends where the next begins, and is a step long at least.
        stop = np.minimum(np.maximum(stop, start + 1), np.append(start[1:], stop[-1] + 1))
        steps = -(-int(stop[-1]) // self.grid) * self.grid
        sounding = np.bincount(start, minlength=steps + 1) - np.bincount(stop, minlength=steps + 1)
        ids = np.where(np.cumsum(sounding)[:steps] > 0, HOLD, REST)
        ids[start] = FIRST_PITCH + pitch
        bars = np.insert(ids.reshape(-1, self.grid), 0, BAR, axis=1)
        is_44 = all(s.numerator == s.denominator == 4 for s in x.time_signatures)
        return Encoded([bars.ravel().astype(np.uint8)], () if is_44 else ("time_signature",))

    def decode(
        self, parts: "list[np.ndarray | list[int]]", programs: list[int] | None = None
    ) -> Decoded:
        """Decode any ids to a `symusic.Score`.

        Repairs: ``bar too short`` (the rest of it is silent), ``bar too long`` (its surplus is
        dropped), ``hold without note`` (silent), ``before the first bar`` (dropped).
        """
        import symusic

        repairs: Counter[str] = Counter()
        notes: list[list[int]] = []  # start, stop, pitch, in steps
        for ids in parts:
            bar, place, is_sounding = -1, self.grid, False
            for id in map(int, ids):
                if id == BAR:
                    if place < self.grid:
                        repairs["bar too short"] += 1
                        is_sounding = False
                    bar, place = bar + 1, 0
                elif place == self.grid:
                    repairs["before the first bar" if bar < 0 else "bar too long"] += 1
                else:
                    now = bar * self.grid + place
                    place += 1
                    if id >= FIRST_PITCH:
                        notes.append([now, now + 1, id - FIRST_PITCH])
                        is_sounding = True
                    elif id == REST:
                        is_sounding = False
                    elif is_sounding:
                        notes[-1][1] = now + 1
                    else:
                        repairs["hold without note"] += 1
            repairs["bar too short"] += place < self.grid
        step = 4 * TICKS_PER_QUARTER // self.grid
        score = symusic.Score(TICKS_PER_QUARTER)
        track = symusic.Track(name="melody")
        for start, stop, pitch in notes:
            track.notes.append(symusic.Note(start * step, (stop - start) * step, pitch, VELOCITY))
        score.tracks.append(track)
        return Decoded(score, dict(+repairs))

    def grammar(self) -> "MelodyGrammar":
        """Return the automaton of the sequences that decode without a repair."""
        from midigen_melody.grammar import MelodyGrammar

        return MelodyGrammar(self.grid)

    def bar_starts(self, ids: "np.ndarray") -> "np.ndarray":
        """Return the indices of the Bar tokens, ascending."""
        import numpy as np

        return np.flatnonzero(np.asarray(ids) == BAR)

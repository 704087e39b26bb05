"""`barnote`: bars and notes on a grid of sixteenths, 153 tokens.

**Ids.** 0 is the bar, 1 to 32 are offsets 0 to 31, 33 to 120 pitches 21 to 108, 121 to 152
durations 1 to 32; the unit is a sixteenth. A bar is Offset Bar, a note Offset Pitch Duration.
Offsets count from the bar before, in the first bar, which has no Bar token, from 0.

**It holds** onset, pitch and duration of all notes, rounded to sixteenths (halves to the even one),
and where bars begin. What is longer is split: a bar above 31 units gets further Bar tokens 31 units
apart, a note above 32 becomes several. A note that lies further than that behind the last bar line
is reached by such bars too. Notes lie in the order of (onset, pitch, duration).

**It loses** velocities, tempos, programs, tracks and which notes are drums: a drum is a note like
the others, and `tokaug` moves it like them; time signatures, but for the lengths of bars; notes
that begin and end in one place of the grid (`meta.lossy` names ``short_notes``). A piece with a
pitch out of range or without a time signature is rejected (``tokenizer``).

**Parameters** change what becomes of these:

    outside=drop    leaves notes out of range out; outside=fold moves them by octaves
                    (meta.lossy: pitch)
    short=keep      notes that would go get a sixteenth
    meter=4/4       this signature, or another, holds where a piece begins without one

**Decoded** it is one track of piano, every velocity 100, at 120 quarters a minute. Time signatures
come from the distances of bars: 4/4 where there are none. Notes that were split are joined. Silent
bars at the end are not kept.

**Repairs**, by kind, and what happens:

    incomplete note         dropped: a pitch without a duration behind it
    stray duration          ignored: it belongs to no pitch
    note without offset     plays at the last offset of its bar, at its beginning if there is none
    bar without offset      begins as long after the bar before it as the last that had an offset
                            did, or 16 units after it
    empty bar               ignored: it begins where the bar before it does
    offset without event    only moves time
    time backwards          goes back: an offset smaller than the one before it in the same bar

Source: the description and the output of the encoder with which this encoding of 153 tokens was
published; written without its code.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from midigen.errors import Reject
from midigen.protocols import Decoded, Encoded
from midigen_barnote.config import read_config
from midigen_barnote.layout import BAR, build_vocab

if TYPE_CHECKING:
    import numpy as np

    from midigen_barnote.grammar import BarNoteGrammar


class BarNote:
    """A `midigen.protocols.BatchTokenizer`; parameters as in `midigen_barnote.config`."""

    medium: Literal["score", "text"] = "score"
    unit = 1

    def __init__(self, **params: str) -> None:
        self.config = read_config(params)
        self.spec = self.config.spec
        self.vocab = build_vocab()

    def encode(self, x: Any) -> Encoded:
        """Encode a `symusic.Score` in ticks. Raises Reject (``no_notes``, ``tokenizer`` ...)."""
        (result,) = self.encode_many([x])
        if isinstance(result, Reject):
            raise result
        return result

    def encode_many(self, xs: Sequence[Any]) -> list[Encoded | Reject]:
        """Encode scores, in order. What `encode` would raise stands in the score's place."""
        from midigen_barnote.encode import encode_many

        return encode_many(xs, self.config)

    def decode(
        self, parts: "Sequence[np.ndarray | Sequence[int]]", programs: Sequence[int] | None = None
    ) -> Decoded:
        """Decode any ids, one sequence a part, to a `symusic.Score`; count what was repaired."""
        from midigen_barnote.decode import decode

        return decode(parts)

    def grammar(self) -> "BarNoteGrammar":
        """Return the automaton of the sequences that decode without a repair."""
        from midigen_barnote.grammar import BarNoteGrammar

        return BarNoteGrammar()

    def bar_starts(self, ids: "np.ndarray") -> "np.ndarray":
        """Return the index 0 and those behind Bar tokens, as far as something stands there."""
        import numpy as np

        array = np.asarray(ids)
        return np.append(0, np.flatnonzero(array[:-1] == BAR) + 1)[: len(array)]

"""Learning to fill in: training windows arranged so that what is missing comes last.

Of a window, some bars are taken out and written behind the rest (Bavarian et al., arXiv
2207.14255; the order suffix, prefix, middle), so that they follow what is before them, as in a
piece that goes on:

    Hole for every bar that is missing, what is behind, End, what is before, Fill, the bars, End

or all notes of some programs, where there are several:

    the window without them, Fill, the same bars with them alone, End

So one model continues, fills in and accompanies. The bars of both voices are whole, and as many.
A model of before there was this order reads its own, prefix, suffix, middle: what is before, Hole
for every bar, what is behind, Fill, the bars, End (`ModelVocab.suffix_first`).
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from midigen.errors import UsageError
from midigen.openers import bar_ids, openers
from midigen.permutation import mix
from midigen.programs import DRUMS
from midigen.tokenizers import tokenizer_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midigen.modelvocab import ModelVocab
    from midigen.vocab import Vocab

MOST_HOLE = 0.75
"""Of a window's bars that are taken out at most."""
_NOTE = frozenset(("Pitch", "PitchDrum", "Velocity", "Duration"))
_BAR = "Bar"
_NO_PROGRAM = DRUMS - 1


class Arranged(NamedTuple):
    """ids (n,), and which of them are not learned to be predicted, bool (n,).

    anew: they begin with a bar, whatever stood before the window.
    """

    ids: np.ndarray
    silent: np.ndarray
    anew: bool = False


class ByProgram:
    """Takes sequences of a vocabulary apart by program: notes say theirs, bars have a token.

    fits: whether the vocabulary is of this kind, as `remi` and its like are.
    """

    def __init__(self, vocab: "Vocab") -> None:
        types = np.array(vocab.types)
        self._bar = types == _BAR
        self._position = types == "Position"
        self._tempo = types == "Tempo"
        self._is_note = np.isin(types, list(_NOTE))
        self._pitch = np.isin(types, ("Pitch", "PitchDrum"))
        self._program = np.full(len(types), _NO_PROGRAM)
        self._program[types == "Program"] = [
            int(value)
            for kind, value in zip(vocab.types, vocab.values, strict=True)
            if kind == "Program"
        ]
        others = set(vocab.types) - _NOTE - {_BAR, "Position", "Tempo", "TimeSig", "Program"}
        others -= {kind for kind in others if kind in ("PAD", "BOS", "EOS", "MASK")}
        self.fits = bool(self._bar.any() and (types == "Program").any() and not others)

    def programs(self, ids: np.ndarray) -> np.ndarray:
        """Return the distinct programs of base ids (T,), -1 for drums."""
        found = np.unique(self._program[ids])
        return found[found != _NO_PROGRAM]

    def notes(self, ids: np.ndarray) -> int:
        """Return how many notes base ids hold."""
        return int(self._pitch[ids].sum())

    def take(self, ids: np.ndarray, programs: np.ndarray, *, tempo: bool) -> np.ndarray:
        """Return `ids` (T,) with the notes of some programs alone; bars and signatures stay.

        tempo: whether tempos stay, too.
        """
        own = self._program[ids]
        starts = own != _NO_PROGRAM
        # A note's ids follow its program; whatever else comes ends it.
        inside = starts | self._is_note[ids]
        last = np.maximum.accumulate(np.where(starts | ~inside, np.arange(len(ids)), 0))
        kept = ~inside | np.isin(own[last], programs)
        if not tempo:
            kept &= ~self._tempo[ids]
        ids = ids[kept]
        # A position of which nothing is left goes, too.
        follows = np.append(ids[1:], -1)
        ends = (follows < 0) | self._bar[follows] | self._position[follows]
        found: np.ndarray = ids[~(self._position[ids] & ends)]
        return found


def around(
    vocab: "ModelVocab", before: "Sequence[int]", bars: int, behind: "Sequence[int]"
) -> list[int]:
    """Return what a model reads before it writes `bars` bars between two parts of a piece.

    BOS, where `before` begins with it, stays the first.
    """
    assert vocab.infill is not None
    hole, fill, end = vocab.infill
    holes = [hole] * bars
    if vocab.suffix_first:
        first = 1 if len(before) and before[0] == vocab.bos else 0
        bos, before = before[:first], before[first:]
        return [*bos, *holes, *behind, end, *before, fill]
    return [*before, *holes, *behind, fill]


class Arranger:
    """Arranges windows of model ids: a share `rate` of them, drawn by number.

    Raises UsageError for a vocabulary without a token that begins a bar.
    """

    def __init__(self, vocab: "ModelVocab", rate: float) -> None:
        if vocab.infill is None:
            raise UsageError("this vocabulary has no ids to fill in with")
        self._vocab = vocab
        self._ids = vocab.infill
        self._rate = rate
        self._voices = ByProgram(vocab.base)
        bars = bar_ids(tokenizer_of(vocab.tok))
        if not bars:
            raise UsageError(f"{vocab.tok} has no token that begins a bar: no filling in")
        self._starts = openers(vocab, bars)

    def __call__(self, ids: np.ndarray, number: int) -> Arranged | None:
        """Return `ids` (n,), a window's, in another order; at most as many. None: as they are.

        number: 64 random bits.
        """
        draws = mix(np.arange(4, dtype=np.uint64), number, 0) / 2.0**64
        if draws[0] >= self._rate:
            return None
        starts = np.flatnonzero(self._starts[ids])
        if draws[1] < 0.5 and self._voices.fits and len(starts) > 1:
            found = self._by_voices(ids[starts[0] :], int(draws[2] * 2**53), draws[3])
            if found is not None:
                return found
        return self._by_bars(ids, starts, draws[2], draws[3])

    def _by_bars(
        self, ids: np.ndarray, starts: np.ndarray, length: float, place: float
    ) -> Arranged | None:
        """Take bars out: as many, and as far in, as two numbers in 0..1 say."""
        # The last bar may be cut off, and makes room: the end of what is behind is left out.
        most = int((len(starts) - 1) * MOST_HOLE)
        if most < 1:
            return None
        count = 1 + int(length * most)
        first = int(place * (len(starts) - count))
        a, b = int(starts[first]), int(starts[first + count])
        extra = count + (3 if self._vocab.suffix_first else 2)
        behind = ids[b : max(b, len(ids) - extra)].tolist()
        read = around(self._vocab, ids[:a].tolist(), count, behind)
        found = np.concatenate((read, ids[a:b], [self._ids.end]))[: len(ids)]
        silent = np.isin(found, self._ids)
        silent[len(read) :] = False
        return Arranged(found, silent, anew=self._vocab.suffix_first)

    def _by_voices(self, ids: np.ndarray, bits: int, share: float) -> Arranged | None:
        """Take programs out: those of whose numbers' bits are set; at least one stays, one goes."""
        base = self._vocab.expand(ids)
        programs = self._voices.programs(base)
        if len(programs) < 2:
            return None
        order = np.argsort(mix(programs.astype(np.int64).view(np.uint64), bits, 1))
        count = 1 + int(share * (len(programs) - 1))
        missing = programs[order[:count]]
        given = programs[order[count:]]
        parts = [
            self._voices.take(base, given, tempo=True),
            self._voices.take(base, missing, tempo=False),
        ]
        if sum(map(self._voices.notes, parts)) != self._voices.notes(base):
            return None  # A note does not say its program itself.
        kept, gone = self._vocab.encode_many(parts)
        ends = [np.append(np.flatnonzero(self._starts[part]), len(part)) for part in (kept, gone)]
        # As many whole bars as fit; the window's last may be cut off.
        size = ends[0][1:-1] + ends[1][1:-1] + 2
        bars = int(np.searchsorted(size, len(ids), side="right"))
        if not bars:
            return None
        kept, gone = kept[: ends[0][bars]], gone[: ends[1][bars]]
        if not len(self._voices.programs(self._vocab.expand(gone))):
            return None
        found = np.concatenate((kept, [self._ids.fill], gone, [self._ids.end]))
        silent = np.zeros(len(found), bool)
        silent[len(kept)] = True
        return Arranged(found, silent, anew=True)

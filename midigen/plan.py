"""What holds for every sample of a run: vocabulary, grammar, bars, and how long samples are."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from midigen.content import word
from midigen.controls import Controls, Masks
from midigen.errors import MidigenError
from midigen.merges import breaks_of
from midigen.modelvocab import ModelVocab
from midigen.onsets import Onsets
from midigen.openers import bar_ids, openers
from midigen.protocols import Tokenizer

if TYPE_CHECKING:
    import numpy as np

    from midigen.ways import Ways

BAR_LIMIT = 1024
"""Base ids after which a bar is closed: a model that repeats itself must come to an end."""
DEFAULT_BARS = 32
DEFAULT_TOKENS = 1024
ANYTHING = Controls()


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a sample is, without its prompt; None is no limit.

    bars: exactly as many. seconds: as many whole bars as fit, at least one. tokens: base ids, never
    more. With none of them the model decides, within 32 bars (1,024 ids where there are no bars,
    which of text are bytes). endless: it never does.
    """

    bars: int | None = None
    tokens: int | None = None
    seconds: float | None = None
    endless: bool = False

    @property
    def is_open(self) -> bool:
        """True where the model decides when to end."""
        return (self.bars, self.tokens, self.seconds, self.endless) == (None, None, None, False)

    def to_json(self) -> dict[str, Any]:
        """Return the limits that there are."""
        return {name: value for name, value in asdict(self).items() if value}


class Plan:
    """What holds for every sample of a run.

    grammar: the lifted automaton (`midigen.constrain.Lifted`), or None. window: the model's, in
    model ids. counts_bars: whether bars tell when a sample ends. fills: whether each prompt says
    how many bars are written for it (`midigen.filling`). controls: what notes may be. Raises
    MidigenError where bars or seconds are asked of a tokenizer without bars, or controls of one
    that has nothing of the kind.
    """

    def __init__(
        self,
        vocab: ModelVocab,
        tokenizer: Tokenizer,
        grammar: Any,
        limits: Limits,
        window: int,
        seed: int,
        *,
        fills: bool = False,
        controls: Controls = ANYTHING,
    ) -> None:
        self.vocab = vocab
        self.tokenizer = tokenizer
        self.grammar = grammar
        self.window = window
        self.seed = seed
        self.fills = fills
        self.controls = Masks(controls, self) if controls else None
        self.onsets = Onsets(vocab, tokenizer.unit)
        self.has_bars = "Bar" in vocab.base.types or bool(self.bar_ids) or self._is_barred
        if not self.has_bars and (limits.bars is not None or limits.seconds is not None):
            raise MidigenError(f"{vocab.tok} has no bars to count; use --tokens")
        self.is_open = limits.is_open and not fills
        self.bars = limits.bars or (DEFAULT_BARS if self.is_open and self.has_bars else None)
        self.seconds = limits.seconds
        self.counts_bars = fills or self.bars is not None or self.seconds is not None
        self.tokens = sys.maxsize if limits.endless else limits.tokens or self._most_tokens()

    def _most_tokens(self) -> int:
        """Return a bound for samples that are limited otherwise."""
        if self.fills:
            return sys.maxsize
        if self.bars is not None:
            return 2 * self.bars * BAR_LIMIT
        if self.seconds is not None:
            return 2 * (1 + int(self.seconds)) * BAR_LIMIT
        return DEFAULT_TOKENS

    @property
    def is_timed(self) -> bool:
        """Whether bars count that no token begins."""
        return self.grammar is not None and self.counts_bars and not self.bar_ids

    @property
    def _is_barred(self) -> bool:
        """Whether bars are told by whole events, so many ids long, whatever these are, or time."""
        if self.tokenizer.unit > 1:
            return True
        every = list(range(len(self.vocab.base)))
        return any(len(self.bar_starts(ids)) > 1 for ids in ([0] * BAR_LIMIT, every))

    @cached_property
    def bar_ids(self) -> frozenset[int]:
        """The base ids that begin a bar wherever they stand; none where others decide that too."""
        return bar_ids(self.tokenizer)

    @cached_property
    def written(self) -> "np.ndarray":
        """Bool (V,): the ids that stand for base ids: no specials, no conditions."""
        import numpy as np

        return np.array([bool(self.vocab.expansion(i)) for i in range(len(self.vocab))])

    @cached_property
    def starts_bar(self) -> "np.ndarray":
        """Bool (V,): the ids whose first base id begins a bar."""
        return openers(self.vocab, self.bar_ids)

    @cached_property
    def sounding(self) -> "np.ndarray":
        """Bool (V,): the ids that write a note; all of whole events, or where none can be told."""
        return self.notes if self.onsets.has_notes else self.written

    @cached_property
    def notes(self) -> "np.ndarray":
        """Bool (V,): the ids that write a note; none where these cannot be told."""
        import numpy as np

        vocab, sounds = self.vocab, self.onsets.sounds
        return np.array([sounds(vocab.expansion(id)) for id in range(len(vocab))])

    @cached_property
    def passes(self) -> "np.ndarray":
        """Bool (V,): the ids that let time pass."""
        return self._passing(counts_bars=True)

    @cached_property
    def shifts(self) -> "np.ndarray":
        """Bool (V,): the same without tokens for bars."""
        return self._passing(counts_bars=False)

    def _passing(self, *, counts_bars: bool) -> "np.ndarray":
        import numpy as np

        vocab, passes = self.vocab, self.onsets.passes
        every = (vocab.expansion(id) for id in range(len(vocab)))
        return np.array([passes(base, counts_bars=counts_bars) for base in every])

    @cached_property
    def bar_numbers(self) -> "np.ndarray | None":
        """int64 (V,): the number of the last bar that ids name, -1 where they name none.

        None of vocabularies in which a bar's number does not stand with what is in it.
        """
        import numpy as np

        vocab = self.vocab.base
        if self.bar_ids or self.tokenizer.unit == 1:
            return None
        named = {
            i: int(value)
            for i, (kind, value) in enumerate(zip(vocab.types, vocab.values, strict=True))
            if word(kind) == "bar" and value.isdecimal()
        }
        if len(named) < 2:
            return None
        every = (self.vocab.expansion(id) for id in range(len(self.vocab)))
        return np.array([max((named.get(i, -1) for i in base), default=-1) for base in every])

    @cached_property
    def crosses_bar(self) -> "np.ndarray":
        """Bool (V,): the ids that begin a bar before they write a note, if they do."""
        import numpy as np

        sounds = self.onsets.sounds
        found = np.zeros(len(self.vocab), dtype=bool)
        for id in range(len(self.vocab)):
            telling = (i for i in self.vocab.expansion(id) if i in self.bar_ids or sounds((i,)))
            found[id] = next(telling, -1) in self.bar_ids
        return found

    @cached_property
    def ways(self) -> "Ways":
        """The ways to a note. Of a plan with a grammar."""
        from midigen.ways import Ways

        return Ways(self.grammar, self.notes, self.vocab.base.types)

    @cached_property
    def ways_within(self) -> "Ways":
        """The ways to a note on which no bar begins. Of a plan with a grammar."""
        from midigen.ways import Ways

        notes = self.notes & ~self.crosses_bar
        return Ways(self.grammar, notes, self.vocab.base.types, avoided=self.starts_bar)

    @cached_property
    def ways_to_bar(self) -> "Ways":
        """The ways to a bar. Of a plan with a grammar."""
        from midigen.ways import Ways

        return Ways(self.grammar, self.starts_bar, self.vocab.base.types)

    def holding(self, base: Iterable[int]) -> "np.ndarray":
        """Return bool (V,): the ids that stand for some of these base ids."""
        import numpy as np

        wanted = frozenset(base)
        return np.array(
            [not wanted.isdisjoint(self.vocab.expansion(i)) for i in range(len(self.vocab))]
        )

    def is_valid(self, ids: Sequence[int]) -> bool:
        """Return whether `ids` decode without a repair, as far as there is a grammar to tell."""
        if self.grammar is None:
            return True
        state = self.grammar.start()
        for id in ids:
            if not self.grammar.mask(state)[id]:
                return False
            state = self.grammar.step(state, id)
        return bool(self.grammar.accepting(state))

    def breaks(self, ids: Sequence[int]) -> list[int]:
        """Return where merges stop in `ids`: at its bars, or words of text."""
        import numpy as np

        find = breaks_of(self.tokenizer)
        return cast(list[int], find(np.array(ids, dtype=np.int64)).tolist())

    def bar_starts(self, ids: Sequence[int]) -> list[int]:
        """Return where bars begin in `ids`."""
        import numpy as np

        return cast(list[int], self.tokenizer.bar_starts(np.array(ids, dtype=np.int64)).tolist())

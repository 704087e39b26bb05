"""What a sample writes into: a hole between given bars, or new voices beside given ones.

What the model reads for it is arranged as in training (`midigen.infill`). Where that is longer than
its window, a frame of the piece is read: some bars, as many as fit, and the frame moves on as the
sample does.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

from midigen.context import carry
from midigen.errors import Reject
from midigen.infill import around

if TYPE_CHECKING:
    import numpy as np

    from midigen.draft import Draft
    from midigen.plan import Plan

_REST = 3
"""Fill, End, and End behind what is behind."""
_FUTURE = 4
"""Of what is read, one part of so many is behind the hole, or more where less stands before it:
what comes again is mostly found before it."""
_NEAR = 16
"""Bars on either side that say how long a bar of the piece is."""


class Filling(Protocol):
    """A task of a draft. Each draft has its own."""

    @property
    def bars(self) -> int:
        """How many bars it writes."""
        ...

    @property
    def ends_at(self) -> int:
        """How many new bars there are where what is read ends: there End, or a bar too many."""
        ...

    def context(self, draft: "Draft") -> list[int]:
        """Return what the model reads for the next id: at most a window of model ids."""
        ...

    def restrict(self, draft: "Draft", allowed: "np.ndarray") -> "np.ndarray":
        """Return which of the allowed ids, bool (V,), may come."""
        ...

    def whole(self, draft: "Draft") -> list[int]:
        """Return the base ids of the piece with what was written. Raises Reject."""
        ...


@dataclass(slots=True)
class Hole:
    """Bars between what the draft began with and `behind`, base ids.

    past: how many of the new bars count as what is before the hole.
    """

    bars: int
    behind: Sequence[int]
    past: int = 0

    @property
    def ends_at(self) -> int:
        return self.bars

    def context(self, draft: "Draft") -> list[int]:
        context = self._context(draft)
        if len(context) > draft.plan.window and draft.bars:
            # The bar in work is what is missing now, and those that are still to come.
            self.past = len(draft.bars) - 1
            context = self._context(draft)
        return _cut(context, draft)

    def _context(self, draft: "Draft") -> list[int]:
        plan = draft.plan
        start = draft.bars[self.past] if self.past else draft.start
        before, new = draft.ids[:start], draft.ids[start:]
        conditions = draft.prompt.conditions
        holes = self.bars - self.past
        past, rest = by_bars(plan, before), by_bars(plan, self.behind)
        written = plan.vocab.encode(new).tolist()
        spare = self._spare(plan, [*past[-_NEAR:], *rest[:_NEAR]], len(written))
        room = max(0, plan.window - spare - len(conditions) - holes - _REST)
        future = [id for bar in rest for id in bar]
        future = future[: max(room // _FUTURE, room - sum(map(len, past)))]
        head = _head(plan, before, past, room - len(future))
        return [*conditions, *around(plan.vocab, head, holes, future), *written]

    def _spare(self, plan: "Plan", bars: list[list[int]], written: int) -> int:
        """Return how many ids of the window stay free for those that are missing: half at most.

        Twice what as many bars of the piece take; always an eighth more than there are.
        """
        mean = sum(map(len, bars)) / max(1, len(bars))
        wanted = int(2 * mean * (self.bars - self.past))
        return min(plan.window // 2, max(wanted, written + plan.window // 8))

    def restrict(self, draft: "Draft", allowed: "np.ndarray") -> "np.ndarray":
        return allowed

    def whole(self, draft: "Draft") -> list[int]:
        return [*draft.ids, *self.behind]


@dataclass(slots=True)
class Voices:
    """New voices beside a piece: the same bars with the same signatures, other programs.

    given: the base ids of each bar of the piece. first, last: the frame, bars of the piece.
    """

    given: list[list[int]]
    first: int = 0
    last: int = 0
    _signatures: "dict[int, np.ndarray]" = field(default_factory=dict)
    _banned: "np.ndarray | None" = None

    @property
    def bars(self) -> int:
        return len(self.given)

    @property
    def ends_at(self) -> int:
        return self.last

    def context(self, draft: "Draft") -> list[int]:
        plan, infill = draft.plan, draft.plan.vocab.infill
        assert infill is not None
        bars = [*draft.bars, len(draft.ids)]
        done = len(draft.bars)
        given = plan.vocab.encode_many(self.given)
        new = plan.vocab.encode_many([draft.ids[a:b] for a, b in pairwise(bars)])
        conditions = draft.prompt.conditions
        room = plan.window // 2 - len(conditions) - _REST
        # The bar in work stays in the frame, and a quarter of the window of those before it, if
        # they are behind the frame's beginning: what is read changes as seldom as it can.
        first = max(0, done - 1) if done < self.last else done
        size = 0
        while first > 0:
            size += len(given[first - 1]) + len(new[first - 1])
            if size > room // 2:
                break
            first -= 1
        last, size = first, 0
        while last < self.bars and (size + len(given[last]) <= room or last <= done):
            size += len(given[last])
            last += 1
        self.first, self.last = first, last
        given_ids = [int(id) for bar in given[first:last] for id in bar]
        new_ids = [int(id) for bar in new[first:] for id in bar]
        bos = [plan.vocab.bos] if first == 0 and plan.vocab.bos is not None else []
        context = [*conditions, *bos, *given_ids, infill.fill, *new_ids]
        return _cut(context, draft)

    def restrict(self, draft: "Draft", allowed: "np.ndarray") -> "np.ndarray":
        """Only programs that the piece has not; in each bar the signature that it has there."""
        plan = draft.plan
        if self._banned is None:
            self._banned = plan.holding(self._own_programs(plan))
        allowed = allowed & ~self._banned
        opens, done = plan.starts_bar, len(draft.bars)
        here = self._without_other_signatures(plan, done - 1)
        there = self._without_other_signatures(plan, done)
        restricted: np.ndarray = allowed & ((opens & there) | (~opens & here))
        return restricted

    def _own_programs(self, plan: "Plan") -> set[int]:
        """Return the ids of the programs that the piece has."""
        programs = set(plan.vocab.base.ids_of("Program").tolist())
        return programs.intersection(id for bar in self.given for id in bar)

    def _without_other_signatures(self, plan: "Plan", bar: int) -> "np.ndarray":
        """Return bool (V,): the ids that hold no signature but that of a bar."""
        vocab = plan.vocab
        signatures = set(vocab.base.ids_of("TimeSig").tolist())
        given = self.given[bar] if 0 <= bar < self.bars else ()
        own = next((id for id in given if id in signatures), -1)
        if own not in self._signatures:
            self._signatures[own] = ~plan.holding(signatures - {own})
        return self._signatures[own]

    def whole(self, draft: "Draft") -> list[int]:
        """Return the piece with the new voices, encoded anew. Raises Reject."""
        tokenizer: Any = draft.plan.tokenizer
        piece = tokenizer.decode([[id for bar in self.given for id in bar]]).value
        piece.tracks.extend(tokenizer.decode([draft.ids]).value.tracks)
        (ids,) = tokenizer.encode(piece).parts
        return [int(id) for id in ids]


def _cut(context: list[int], draft: "Draft") -> list[int]:
    """Return a context that fits: of one with a bar that is too long its end, half a window."""
    window = draft.plan.window
    if len(context) <= window:
        return context
    return [*draft.prompt.conditions, *context[-(window // 2) :]]


def by_bars(plan: "Plan", ids: Sequence[int]) -> "list[list[int]]":
    """Return the model ids of base `ids`, bar by bar; what stands before the first is a bar."""
    if not len(ids):
        return []
    starts = plan.bar_starts(ids)
    cuts = [*([] if starts[:1] == [0] else [0]), *starts, len(ids)]
    bars = plan.vocab.encode_many([ids[a:b] for a, b in pairwise(cuts)])
    return [bar.tolist() for bar in bars]


def _as_many(bars: list[list[int]], room: int) -> list[list[int]]:
    """Return the first bars, as many as `room` holds."""
    size = 0
    for number, bar in enumerate(bars):
        size += len(bar)
        if size > room:
            return bars[:number]
    return bars


def _head(plan: "Plan", before: Sequence[int], bars: list[list[int]], room: int) -> list[int]:
    """Return the last of `bars`, which are base ids `before`, as many as `room` holds.

    With BOS if that is all; else behind what is in force there. Of a bar that is too long its end.
    """
    vocab = plan.vocab
    ids = [id for bar in _as_many(bars[::-1], room)[::-1] for id in bar]
    count = len(vocab.expand(ids))
    if count == len(before):
        return [vocab.bos, *ids] if vocab.bos is not None else ids
    if not count:
        return bars[-1][-room:] if room else []
    past, last = before[: len(before) - count], before[len(before) - count :]
    return [int(id) for id in vocab.encode(carry(vocab.base, past, last))]


def bars_of(plan: "Plan", ids: Sequence[int]) -> list[list[int]]:
    """Return base ids bar by bar. Raises Reject for what stands before the first bar."""
    starts = plan.bar_starts(ids)
    if starts[:1] != [0]:
        raise Reject("bars", "it does not begin with a bar")
    return [list(ids[a:b]) for a, b in pairwise([*starts, len(ids)])]

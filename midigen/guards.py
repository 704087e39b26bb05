"""What keeps a sample from standing still, from silence and from loops, whatever its model loves.

Each guard takes away ids that may come next, where it applies, and never all of them. What a guard
calls long, or rare, was counted in the corpus: music is left alone.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from midigen.plan import BAR_LIMIT

if TYPE_CHECKING:
    import numpy as np

    from midigen.draft import Draft

QUIET = 5
"""Bars behind the last note of which the last must have one: 1 % of the corpus rest for longer."""

SILENT = 64
"""Events behind which the first note must come; or half of the ids that were asked.

Where time makes bars, also the next note: time that nothing follows begins no bar.
"""

LOOPS = 8
"""Bars that may be the same in a row: of 99.9 % of the corpus no more than four are."""


class Guards:
    """The guards of one draft."""

    def __init__(self, draft: "Draft") -> None:
        self._draft = draft
        self._plan = draft.plan
        self.hurries = False
        """Whether the draft has been begun again."""
        self._way: dict[Any, Any] = {}
        self._bar_way: dict[Any, Any] = {}
        self._begin()

    def _begin(self) -> None:
        self._sounded = -1
        """The bar of the last note, counted from 1; 0: before all bars; -1: there is no note."""
        self._quiet_from = self._draft.start
        self._has_moved = False
        self._alike = 1
        self._bar_number = self._last_number(self._draft.ids)

    def begin_again(self) -> None:
        """Start anew, as the draft does: a note must come at once."""
        self._begin()
        self.hurries = True

    def took(self, base: Sequence[int]) -> None:
        """Take note of base ids that were written, and of the bars that they began."""
        plan, draft = self._plan, self._draft
        self._bar_number = max(self._bar_number, self._last_number(base))
        if plan.onsets.sounds(base):
            self._sounded, self._quiet_from = len(draft.bars), len(draft.ids)
            self._has_moved = False
        elif plan.is_timed and plan.onsets.passes(base):
            self._has_moved = True

    def began_bar(self) -> None:
        """Compare the last two whole bars."""
        bars, ids = self._draft.bars, self._draft.ids
        if len(bars) >= 3:
            a, b, c = bars[-3:]
            self._alike = self._alike + 1 if ids[a:b] == ids[b:c] else 1

    def restrict(self, allowed: "np.ndarray") -> "np.ndarray":
        """Return which of the ids `allowed`, bool (V,), are left."""
        plan = self._plan
        if plan.bar_ids and self._wants_bar():
            allowed = self._toward_bar(allowed)
        if self._wants_note():
            here = allowed & ~plan.crosses_bar
            allowed = here if here.any() else allowed
        if plan.grammar is not None:
            allowed = self._without_loop(self._without_doubles(allowed))
        if plan.is_timed:
            allowed = self._in_time(self._in_reach(allowed))
        return allowed

    def make_sound(self, allowed: "np.ndarray") -> "np.ndarray":
        """Return what is left if it is time for a note. To be asked last."""
        return self._toward_note(allowed) if self._must_sound() else allowed

    def _without_doubles(self, allowed: "np.ndarray") -> "np.ndarray":
        """Return `allowed` without the notes that its onset needs no more, if anything is left."""
        forbidden = self._plan.onsets.forbidden(self._draft.onset)
        if forbidden is None:
            return allowed
        left = allowed.copy()
        left[forbidden] = False
        return left if left.any() else allowed

    def _without_loop(self, allowed: "np.ndarray") -> "np.ndarray":
        """Return `allowed` without the note that leads to one more bar like the last ones."""
        if self._alike < LOOPS:
            return allowed
        begin, ids = self._draft.bars[-1], self._draft.ids
        last, written = ids[self._draft.bars[-2] : begin], ids[begin:]
        if written != last[: len(written)]:
            return allowed
        left, rest = allowed.copy(), last[len(written) :]
        for id in (allowed & self._plan.sounding).nonzero()[0]:
            base = list(self._plan.vocab.expansion(int(id)))
            left[id] = base != rest[: len(base)]
        return left if left.any() else allowed

    def _in_reach(self, allowed: "np.ndarray") -> "np.ndarray":
        """Return `allowed` without bars that are far ahead, where events name their bar.

        So many are left that those which were asked for can begin; and one must, if the last bar
        is far too long.
        """
        numbers, last = self._plan.bar_numbers, self._bar_number
        if numbers is None:
            return allowed
        missing = (self._draft.asked or 0) - len(self._draft.bars)
        near = (numbers <= last + QUIET) & (numbers <= max(last, numbers.max() - missing))
        near &= numbers > last - (not self._is_long)
        left = allowed & (near | (numbers < 0))
        return left if left.any() else allowed

    def _toward_bar(self, allowed: "np.ndarray") -> "np.ndarray":
        """Return those of `allowed` that begin a bar, or lead to one, if there are any."""
        near, state = allowed & self._plan.starts_bar, self._draft.state
        if not near.any() and self._plan.grammar is not None:
            if state not in self._bar_way:
                self._bar_way = self._plan.ways_to_bar.from_state(state)
            near = allowed & self._bar_way.get(state, False)
        return near if near.any() else self._without_merges(allowed)

    def _without_merges(self, allowed: "np.ndarray") -> "np.ndarray":
        """Return `allowed` without merged ids, if anything is left.

        One can pass over the place where a bar could begin, or time be told, again and again.
        """
        left = allowed.copy()
        left[len(self._plan.vocab.base) :] = False
        return left if left.any() else allowed

    def _in_time(self, allowed: "np.ndarray") -> "np.ndarray":
        """Return `allowed` without what stands still in a bar that is far too long.

        When time has passed there, a note must follow. Or, where all bars were silent and are
        written anew, return it without what lets time pass.
        """
        passes = self._plan.passes
        if self.hurries and self.is_silent:
            left = allowed & ~(passes if self._draft.bars else self._plan.shifts)
        elif self._is_long:
            if self._has_moved and self._plan.onsets.has_sounds:
                return self._toward_note(allowed)
            left = allowed & passes
            left = left if left.any() else self._without_merges(allowed)
        else:
            return allowed
        return left if left.any() else allowed

    def _wants_bar(self) -> bool:
        """Return whether a bar must begin: right behind a prompt, and where one is far too long."""
        if len(self._draft.ids) == self._draft.start:
            return self._draft.start > 0
        return self._is_long

    @property
    def _is_long(self) -> bool:
        """Whether the last bar is far too long."""
        draft = self._draft
        return len(draft.ids) - (draft.bars[-1] if draft.bars else draft.start) >= BAR_LIMIT

    @property
    def is_silent(self) -> bool:
        """Whether there is no note yet, where there can be one."""
        plan = self._plan
        return self._sounded < 0 and plan.grammar is not None and plan.onsets.has_sounds

    def _must_sound(self) -> bool:
        """Return whether it is time for a note: there is none yet, where there could long be."""
        plan, written = self._plan, len(self._draft.ids) - self._draft.start
        unit = plan.tokenizer.unit
        if not self.is_silent:
            quiet = len(self._draft.ids) - self._quiet_from
            return plan.is_timed and plan.onsets.has_sounds and quiet >= SILENT * unit
        return self.hurries or written >= min(
            SILENT * unit, plan.tokens // 2, plan.tokens - 4 * unit
        )

    def _toward_note(self, allowed: "np.ndarray") -> "np.ndarray":
        """Return those of `allowed` that lead to a note, or write it, if there are any."""
        if self._draft.state not in self._way:
            self._way = self._plan.ways.from_state(self._draft.state)
        if self._draft.state not in self._way:
            return allowed
        near = allowed & self._way[self._draft.state]
        return near if near.any() else allowed

    def _wants_note(self) -> bool:
        """Return whether this bar must have a note: the last of many, or of all that were asked."""
        plan, bars = self._plan, len(self._draft.bars)
        if plan.grammar is None or not plan.bar_ids or not plan.onsets.has_notes or not bars:
            return False
        if self._is_last_chance:
            return True
        return bars - max(0, self._sounded) >= QUIET

    @property
    def _is_last_chance(self) -> bool:
        """Whether all is silent, and no bar may come behind this one."""
        ends_here = len(self._draft.bars) == self._draft.asked or self._plan.seconds is not None
        return self.is_silent and ends_here and bool(self._plan.bar_ids)

    def leaves_no_note(self, id: int) -> bool:
        """Return whether the last chance for a note would be gone behind `id`."""
        plan = self._plan
        if not self._draft.bars or not self._is_last_chance or plan.notes[id]:
            return False
        ways = plan.ways_within
        behind = plan.grammar.step(self._draft.state, id)
        return bool(ways.from_state(self._draft.state)) and not ways.from_state(behind)

    def _last_number(self, ids: Sequence[int]) -> int:
        """Return the number of the last bar that ids name, -1 where they name none."""
        numbers = self._plan.bar_numbers
        return -1 if numbers is None else max((int(numbers[id]) for id in ids), default=-1)

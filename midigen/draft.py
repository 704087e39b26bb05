"""A sample in the making: what may come next, and when it is complete."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from midigen import rng
from midigen.barlines import bar_line_s
from midigen.context import context
from midigen.endings import Ending
from midigen.onsets import Onset
from midigen.plan import BAR_LIMIT, Plan

if TYPE_CHECKING:
    import numpy as np

    from midigen.prompts import Prompt


QUIET = 5
"""Bars behind the last note of which the last must have one: 1 % of the corpus rest for longer."""

SILENT = 64
"""Events behind which the first note must come; or half of the ids that were asked.

Where time makes bars, also the next note: time that nothing follows begins no bar.
"""

LOOPS = 8
"""Bars that may be the same in a row: of 99.9 % of the corpus no more than four are."""


class Draft:
    """One sample: the prompt's ids and those that follow, base ids.

    context: the model ids that the model must have read to say what comes next, at most a window.
    filling: what it writes into, None if it goes on behind the prompt.
    is_stale: `context` was made anew and is more than what was read plus one id.
    """

    def __init__(self, plan: Plan, prompt: "Prompt", index: int) -> None:
        self.plan = plan
        self.prompt = prompt
        self.index = index
        self.ids: list[int] = list(prompt.ids)
        self.start = len(self.ids)
        self.bars: list[int] = []
        self.done = False
        self._state = prompt.state
        self._onset = plan.onsets.behind(Onset(), self.ids)
        self._sounded = -1
        self._quiet_from = self.start
        self._has_moved = False
        self._bar_number = self._last_number(self.ids)
        self._alike = 1
        self._hurries = False
        self._way: dict[Any, Any] = {}
        self._has_tempo = False
        self._rng = rng.generator(plan.seed, prompt.piece + prompt.part, {}, f"sample:{index}")
        self.filling = None if prompt.filling is None else prompt.filling()
        self._asked = plan.bars if self.filling is None else self.filling.bars
        self._end = plan.vocab.eos
        if self.filling is not None:
            assert plan.vocab.infill is not None
            self._end = plan.vocab.infill.end
        self._begin()

    def _begin(self) -> None:
        self.context = self._read()
        self.is_stale = True
        if not self.context:
            # Nothing to read, nothing to predict from: the first id is drawn from what may begin.
            import numpy as np

            self.accept(int(self._rng.choice(np.flatnonzero(self.allowed()))))

    def _read(self) -> list[int]:
        if self.filling is not None:
            return self.filling.context(self)
        return context(self.plan, self.prompt.conditions, self.ids)

    @property
    def new(self) -> list[int]:
        """The base ids behind the prompt."""
        return self.ids[self.start :]

    def noise(self) -> "np.ndarray":
        """Return the next V numbers in [0, 1) of this sample's own randomness."""
        return self._rng.random(len(self.plan.vocab))

    def notes_read(self) -> "np.ndarray":
        """Return the ids in `context` that write a note, each once, int64."""
        import numpy as np

        ids = np.unique(np.array(self.context, dtype=np.int64))
        return ids[self.plan.sounding[ids]]

    def allowed(self) -> "np.ndarray":
        """Return bool (V,): the ids that may come next."""
        import numpy as np

        plan = self.plan
        if plan.grammar is None:
            allowed = plan.written.copy()
        else:
            allowed = np.zeros(len(plan.vocab), dtype=bool)
            mask = plan.grammar.mask(self._state)
            allowed[: len(mask)] = mask
        if plan.bar_ids and self._wants_bar():
            allowed = self._toward_bar(allowed)
        if self._wants_note():
            here = allowed & ~plan.crosses_bar
            allowed = here if here.any() else allowed
        if plan.grammar is not None:
            allowed = self._without_loop(self._without_doubles(allowed))
        if plan.is_timed:
            allowed = self._in_time(self._in_reach(allowed))
        if self.filling is not None:
            allowed = self.filling.restrict(self, allowed)
        if plan.controls is not None:
            allowed = plan.controls.apply(
                allowed, has_tempo=self._has_tempo, has_bar=bool(self.bars), plan=plan
            )
        if self._must_sound():
            allowed = self._toward_note(allowed)
        if self._end is not None:
            allowed[self._end] = self._may_end()
        return allowed

    def _without_doubles(self, allowed: "np.ndarray") -> "np.ndarray":
        """Return `allowed` without the notes that its onset needs no more, if anything is left."""
        forbidden = self.plan.onsets.forbidden(self._onset)
        if forbidden is None:
            return allowed
        left = allowed.copy()
        left[forbidden] = False
        return left if left.any() else allowed

    def _without_loop(self, allowed: "np.ndarray") -> "np.ndarray":
        """Return `allowed` without the note that leads to one more bar like the last ones."""
        if self._alike < LOOPS:
            return allowed
        begin, ids = self.bars[-1], self.ids
        last, written = ids[self.bars[-2] : begin], ids[begin:]
        if written != last[: len(written)]:
            return allowed
        left, rest = allowed.copy(), last[len(written) :]
        for id in (allowed & self.plan.sounding).nonzero()[0]:
            base = list(self.plan.vocab.expansion(int(id)))
            left[id] = base != rest[: len(base)]
        return left if left.any() else allowed

    def _in_reach(self, allowed: "np.ndarray") -> "np.ndarray":
        """Return `allowed` without bars that are far ahead, where events name their bar.

        So many are left that those which were asked for can begin; and one must, if the last bar
        is far too long.
        """
        numbers, last = self.plan.bar_numbers, self._bar_number
        if numbers is None:
            return allowed
        missing = (self._asked or 0) - len(self.bars)
        near = (numbers <= last + QUIET) & (numbers <= max(last, numbers.max() - missing))
        near &= numbers > last - (not self._is_long)
        left = allowed & (near | (numbers < 0))
        return left if left.any() else allowed

    def _toward_bar(self, allowed: "np.ndarray") -> "np.ndarray":
        """Return those of `allowed` that begin a bar; if there are none, what leads to one.

        A bar can begin where a piece may end, or a few events behind.
        """
        near = allowed & self.plan.starts_bar
        if near.any() or self.plan.grammar is None:
            return near if near.any() else allowed
        closing = self.plan.grammar.closing(self._state)
        if closing and allowed[closing[0]]:
            near[closing[0]] = True
            return near
        return self._without_merges(allowed)

    def _without_merges(self, allowed: "np.ndarray") -> "np.ndarray":
        """Return `allowed` without merged ids, if anything is left.

        One can pass over the place where a bar could begin, or time be told, again and again.
        """
        left = allowed.copy()
        left[len(self.plan.vocab.base) :] = False
        return left if left.any() else allowed

    def _in_time(self, allowed: "np.ndarray") -> "np.ndarray":
        """Return `allowed` without what stands still in a bar that is far too long.

        When time has passed there, a note must follow. Or, where all bars were silent and are
        written anew, return it without what lets time pass.
        """
        passes = self.plan.passes
        if self._hurries and self._is_silent:
            left = allowed & ~(passes if self.bars else self.plan.shifts)
        elif self._is_long:
            if self._has_moved and self.plan.onsets.has_sounds:
                return self._toward_note(allowed)
            left = allowed & passes
            left = left if left.any() else self._without_merges(allowed)
        else:
            return allowed
        return left if left.any() else allowed

    def _wants_bar(self) -> bool:
        """Return whether a bar must begin: right behind a prompt, and where one is far too long."""
        if len(self.ids) == self.start:
            return self.start > 0
        return self._is_long

    @property
    def _is_long(self) -> bool:
        """Whether the last bar is far too long."""
        return len(self.ids) - (self.bars[-1] if self.bars else self.start) >= BAR_LIMIT

    @property
    def _is_silent(self) -> bool:
        """Whether there is no note yet, where there can be one."""
        plan = self.plan
        return self._sounded < 0 and plan.grammar is not None and plan.onsets.has_sounds

    def _must_sound(self) -> bool:
        """Return whether it is time for a note: there is none yet, where there could long be."""
        plan, written = self.plan, len(self.ids) - self.start
        unit = plan.tokenizer.unit
        if not self._is_silent:
            quiet = len(self.ids) - self._quiet_from
            return plan.is_timed and plan.onsets.has_sounds and quiet >= SILENT * unit
        return self._hurries or written >= min(
            SILENT * unit, plan.tokens // 2, plan.tokens - 4 * unit
        )

    def _toward_note(self, allowed: "np.ndarray") -> "np.ndarray":
        """Return those of `allowed` that lead to a note, or write it, if there are any."""
        if self._state not in self._way:
            self._way = self.plan.ways.from_state(self._state)
        if self._state not in self._way:
            return allowed
        near = allowed & self._way[self._state]
        return near if near.any() else allowed

    def _wants_note(self) -> bool:
        """Return whether this bar must have a note: the last of many, or of all that were asked."""
        plan, bars = self.plan, len(self.bars)
        if plan.grammar is None or not plan.bar_ids or not plan.onsets.has_notes or not bars:
            return False
        if self._is_last_chance:
            return True
        return bars - max(0, self._sounded) >= QUIET

    @property
    def _is_last_chance(self) -> bool:
        """Whether all is silent, and no bar may come behind this one."""
        ends_here = len(self.bars) == self._asked or self.plan.seconds is not None
        return self._is_silent and ends_here and bool(self.plan.bar_ids)

    def _leaves_no_note(self, id: int) -> bool:
        """Return whether the last chance for a note would be gone behind `id`."""
        plan = self.plan
        if not self.bars or not self._is_last_chance or plan.notes[id]:
            return False
        ways = plan.ways_within
        behind = plan.grammar.step(self._state, id)
        return bool(ways.from_state(self._state)) and not ways.from_state(behind)

    def _may_end(self) -> bool:
        """Return whether the model may end the piece here: in the last bar, if bars were asked."""
        if len(self.ids) == self.start or not self._is_valid():
            return False
        if self.filling is not None:
            ends = len(self.bars) == self.filling.bars
            return len(self.bars) == self.filling.ends_at and not (ends and self._is_silent)
        return not self._is_silent and (self.plan.is_open or len(self.bars) == self._asked)

    def _is_valid(self) -> bool:
        grammar = self.plan.grammar
        return grammar is None or grammar.accepting(self._state)

    def fits(self, id: int) -> bool:
        """Return whether room for a valid end, and for a first note, stays behind `id`."""
        plan = self.plan
        if plan.grammar is None or id == self._end:
            return True
        length = len(self.ids) - self.start + len(plan.vocab.expansion(id))
        if length > plan.tokens or self._leaves_no_note(id):
            return False
        return length + plan.grammar.distance(plan.grammar.step(self._state, id)) <= plan.tokens

    def accept(self, id: int) -> None:
        """Write `id` behind the others; the sample may be complete by that."""
        plan = self.plan
        if id == self._end or self._leaves_frame(id):
            self._end_frame()
            return
        base = plan.vocab.expansion(id)
        if plan.grammar is not None:
            self._state = plan.grammar.step(self._state, id)
        self.ids += base
        self._onset = plan.onsets.behind(self._onset, base)
        if plan.controls is not None and plan.controls.tempo in base:
            self._has_tempo = True
        self._bar_number = max(self._bar_number, self._last_number(base))
        has_begun = self._find_bars(base)
        if plan.onsets.sounds(base):
            self._sounded, self._quiet_from, self._has_moved = len(self.bars), len(self.ids), False
        elif plan.is_timed and plan.onsets.passes(base):
            self._has_moved = True
        if has_begun and self._end_at_bar():
            return
        if not self.done and len(self.ids) - self.start >= plan.tokens:
            self.finish(self.start + plan.tokens)
        if not self.done:
            self.context.append(id)
            self.is_stale = len(self.context) > plan.window
            if self.is_stale:
                self.context = self._read()

    def _last_number(self, ids: Sequence[int]) -> int:
        """Return the number of the last bar that ids name, -1 where they name none."""
        numbers = self.plan.bar_numbers
        return -1 if numbers is None else max((int(numbers[id]) for id in ids), default=-1)

    def _leaves_frame(self, id: int) -> bool:
        """Return whether `id` begins a bar behind those that are filled in by now."""
        filling = self.filling
        return (
            filling is not None
            and len(self.bars) == filling.ends_at
            and bool(self.plan.starts_bar[id])
        )

    def _end_frame(self) -> None:
        """Complete the sample, or go on with the next frame of a piece that is filled in."""
        if self.filling is None or len(self.bars) == self.filling.bars:
            self.finish()
            return
        self.context = self._read()
        self.is_stale = True

    def _find_bars(self, base: Sequence[int]) -> bool:
        """Find the bars that the last ids begin; return whether there are any."""
        before = len(self.bars)
        if self.plan.bar_ids:
            first = len(self.ids) - len(base)
            for place in (first + i for i, id in enumerate(base) if id in self.plan.bar_ids):
                self._begin_bar(place)
        elif self.plan.counts_bars and len(self.ids) % self.plan.tokenizer.unit == 0:
            self.bars = [i for i in self.plan.bar_starts(self.ids) if i >= self.start]
        return len(self.bars) > before

    def _begin_bar(self, place: int) -> None:
        self.bars.append(place)
        if len(self.bars) >= 3:
            a, b, c = self.bars[-3:]
            self._alike = self._alike + 1 if self.ids[a:b] == self.ids[b:c] else 1

    def _end_at_bar(self) -> bool:
        """End the sample before the bar that has just begun, if it is one too many.

        One that would be silent is begun again, once, if time makes bars; return whether it was.
        """
        plan, bars = self.plan, self.bars
        if self._asked is not None and len(bars) > self._asked:
            end = bars[self._asked]
        elif plan.seconds is not None and len(bars) > 1 and self._seconds(bars[-1]) > plan.seconds:
            end = bars[-2] if len(bars) > 2 else bars[-1]
        else:
            return False
        can_mend = plan.is_timed and plan.onsets.has_sounds and self.filling is None
        if can_mend and not self._hurries and not plan.onsets.sounds(self.ids[self.start : end]):
            self._begin_again()
            return True
        self.finish(end)
        return False

    def _begin_again(self) -> None:
        """Take back all that is new, which is silent: a note must come at once."""
        del self.ids[self.start :]
        self.bars.clear()
        self._state, self._onset = self.prompt.state, self.plan.onsets.behind(Onset(), self.ids)
        self._has_tempo, self._alike, self._sounded, self._hurries = False, 1, -1, True
        self._quiet_from, self._has_moved = self.start, False
        self._bar_number = self._last_number(self.ids)
        self._begin()

    def _seconds(self, end: int) -> float:
        """Return how long the new bars before place `end` last."""
        score = self.plan.tokenizer.decode([self.ids[:end]]).value
        before = self.prompt.bars
        return bar_line_s(score, before + len(self.bars) - 1) - bar_line_s(score, before)

    def finish(self, end: int | None = None) -> None:
        """Complete the sample: cut it at `end`, and lead it to a valid end by the shortest way.

        Where that way would begin a bar (behind a rest it can), the sample ends at the last place
        at which a piece may.
        """
        plan = self.plan
        self.done = True
        if end is not None:
            del self.ids[end:]
        if plan.grammar is None:
            return
        state, last = walk(plan.grammar, self.ids)
        closing = plan.grammar.closing(state)
        if plan.is_timed and self._asked is not None and closing:
            found = Ending(plan, self.prompt.state, self.ids, self.start).closing(self._asked)
            if found is not None:
                size, closing = found
                del self.ids[size:]
        if last > self.start and not plan.bar_ids.isdisjoint(closing):
            del self.ids[last:]
        else:
            self.ids += closing


def walk(grammar: Any, ids: Sequence[int]) -> tuple[Any, int]:
    """Return the state behind base ids that the grammar allows, and the last place to end at."""
    state, last = grammar.start(), 0
    for place, id in enumerate(ids, 1):
        state = grammar.step(state, id)
        if grammar.accepting(state):
            last = place
    return state, last

"""A sample in the making: what may come next, and when it is complete."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from midigen import rng
from midigen.barlines import bar_line_s
from midigen.context import context
from midigen.endings import Ending
from midigen.guards import Guards
from midigen.onsets import Onset
from midigen.plan import Plan

if TYPE_CHECKING:
    import numpy as np

    from midigen.prompts import Prompt


class Draft:
    """One sample: the prompt's ids and those that follow, base ids.

    context: the model ids that the model must have read to say what comes next, at most a window.
    filling: what it writes into, None if it goes on behind the prompt. bars: where new ones begin.
    state: the grammar's behind all ids. onset: where they stand. asked: how many bars, if any.
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
        self.state = prompt.state
        self.onset = plan.onsets.behind(Onset(), self.ids)
        self._has_tempo = False
        self._rng = rng.generator(plan.seed, prompt.piece + prompt.part, {}, f"sample:{index}")
        self.filling = None if prompt.filling is None else prompt.filling()
        self.asked = plan.bars if self.filling is None else self.filling.bars
        self._end = plan.vocab.eos
        if self.filling is not None:
            assert plan.vocab.infill is not None
            self._end = plan.vocab.infill.end
        self._guards = Guards(self)
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

    def write_noise(self, to: "np.ndarray") -> None:
        """Write the next V numbers in [0, 1), float64, of this sample's own randomness."""
        self._rng.random(out=to)

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
            mask = plan.grammar.mask(self.state)
            allowed[: len(mask)] = mask
        allowed = self._guards.restrict(allowed)
        if self.filling is not None:
            allowed = self.filling.restrict(self, allowed)
        if plan.controls is not None:
            allowed = plan.controls.apply(
                allowed, has_tempo=self._has_tempo, has_bar=bool(self.bars), plan=plan
            )
        allowed = self._guards.make_sound(allowed)
        if self._end is not None:
            allowed[self._end] = self._may_end()
        return allowed

    def _may_end(self) -> bool:
        """Return whether the model may end the piece here: in the last bar, if bars were asked."""
        if len(self.ids) == self.start or not self._is_valid():
            return False
        if self.filling is not None:
            ends = len(self.bars) == self.filling.bars
            return len(self.bars) == self.filling.ends_at and not (ends and self._guards.is_silent)
        return not self._guards.is_silent and (self.plan.is_open or len(self.bars) == self.asked)

    def _is_valid(self) -> bool:
        grammar = self.plan.grammar
        return grammar is None or grammar.accepting(self.state)

    def fits(self, id: int) -> bool:
        """Return whether room for a valid end, and for a first note, stays behind `id`."""
        plan = self.plan
        if plan.grammar is None or id == self._end:
            return True
        length = len(self.ids) - self.start + len(plan.vocab.expansion(id))
        if length > plan.tokens or self._guards.leaves_no_note(id):
            return False
        return length + plan.grammar.distance(plan.grammar.step(self.state, id)) <= plan.tokens

    def accept(self, id: int) -> None:
        """Write `id` behind the others; the sample may be complete by that."""
        plan = self.plan
        if id == self._end or self._leaves_frame(id):
            self._end_frame()
            return
        base = plan.vocab.expansion(id)
        if plan.grammar is not None:
            self.state = plan.grammar.step(self.state, id)
        self.ids += base
        self.onset = plan.onsets.behind(self.onset, base)
        if plan.controls is not None and plan.controls.tempo in base:
            self._has_tempo = True
        has_begun = self._find_bars(base)
        self._guards.took(base)
        if has_begun and self._end_at_bar():
            return
        if not self.done and len(self.ids) - self.start >= plan.tokens:
            self.finish(self.start + plan.tokens)
        if not self.done:
            self.context.append(id)
            self.is_stale = len(self.context) > plan.window
            if self.is_stale:
                self.context = self._read()

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
        self._guards.began_bar()

    def _end_at_bar(self) -> bool:
        """End the sample before the bar that has just begun, if it is one too many.

        One that would be silent is begun again, once, if time makes bars; return whether it was.
        """
        plan, bars = self.plan, self.bars
        if self.asked is not None and len(bars) > self.asked:
            end = bars[self.asked]
        elif plan.seconds is not None and len(bars) > 1 and self._seconds(bars[-1]) > plan.seconds:
            end = bars[-2] if len(bars) > 2 else bars[-1]
        else:
            return False
        can_mend = plan.is_timed and plan.onsets.has_sounds and self.filling is None
        if (
            can_mend
            and not self._guards.hurries
            and not plan.onsets.sounds(self.ids[self.start : end])
        ):
            self._begin_again()
            return True
        self.finish(end)
        return False

    def _begin_again(self) -> None:
        """Take back all that is new, which is silent: a note must come at once."""
        del self.ids[self.start :]
        self.bars.clear()
        self.state, self.onset = self.prompt.state, self.plan.onsets.behind(Onset(), self.ids)
        self._has_tempo = False
        self._guards.begin_again()
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
        if plan.is_timed and self.asked is not None and closing:
            found = Ending(plan, self.prompt.state, self.ids, self.start).closing(self.asked)
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

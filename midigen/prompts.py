"""What a sample starts from: conditions alone, or the ids of a record that is to go on."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from midigen.asked import Asked, condition_ids, of_record
from midigen.errors import MidigenError, Reject
from midigen.filling import Filling, Hole, Voices, bars_of
from midigen.infill import ByProgram
from midigen.jsonl import RecordReader
from midigen.record import Record, check_ids
from midigen.rejects import Rejects

if TYPE_CHECKING:
    from midigen.plan import Plan


@dataclass(frozen=True, slots=True)
class Prompt:
    """Where a sample starts.

    ids: base ids, whole bars. record: where they came from. conditions: model ids. state: the
    grammar's, behind `ids`. bars: how many they hold. filling: makes what each sample writes into.
    """

    asked: Asked
    conditions: list[int]
    state: Any = None
    ids: tuple[int, ...] = ()
    bars: int = 0
    record: Record | None = None
    filling: Callable[[], Filling] | None = None

    @property
    def piece(self) -> str:
        """The piece that goes on: its id and what was done to it; empty without a record."""
        if self.record is None:
            return ""
        aug = self.record["aug"]
        done = ",".join(f"{name}={aug[name]!r}" for name in sorted(aug))
        if "cut" in self.record:
            done += f":{self.record['cut']!r}"
        return f"{self.record['id'].removesuffix(self.part)}{':' * bool(done)}{done}"

    @property
    def part(self) -> str:
        """What the ids of parts end in, ``.k``; empty for whole pieces."""
        return f".{self.record['part'][0]}" if self.record and "part" in self.record else ""


def unprompted(plan: "Plan", asked: Asked) -> Prompt:
    """Return the start of a sample that has conditions alone.

    Raises MidigenError if no piece is as short as the plan's limit of tokens.
    """
    state = None
    if plan.grammar is not None:
        state = plan.grammar.start()
        least = len(plan.grammar.closing(state))
        if least > plan.tokens:
            raise MidigenError(f"--tokens {plan.tokens}: the shortest piece has {least}")
    return Prompt(asked, condition_ids(plan.vocab, asked), state)


@dataclass(frozen=True, slots=True)
class Task:
    """What is done with a prompt, beside going on: rewrite a range of bars, or add voices.

    infill: first and last bar, from 1; None: the piece's last.
    """

    infill: tuple[int, int | None] | None = None
    voices: bool = False

    @property
    def fills(self) -> bool:
        return self.infill is not None or self.voices

    def to_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self.infill is not None:
            found["infill"] = list(self.infill)
        if self.voices:
            found["keep_tracks"] = True
        return found


GO_ON = Task()


def check_task(plan: "Plan", task: Task) -> None:
    """Raise MidigenError for a model or a tokenizer that cannot fill in."""
    if plan.vocab.infill is None:
        raise MidigenError(
            "the model has not learned to fill in; toktrain --infill-rate 0.5 teaches it"
        )
    if not plan.bar_ids:
        raise MidigenError(f"{plan.vocab.tok} has no token that begins a bar: no filling in")
    if task.voices and not ByProgram(plan.vocab.base).fits:
        raise MidigenError(f"{plan.vocab.tok} cannot be taken apart by programs: no --keep-tracks")


def read_prompts(
    plan: "Plan",
    reader: RecordReader,
    rejects: Rejects,
    asked: Asked,
    bars: int | None,
    task: Task = GO_ON,
) -> Iterator[Prompt]:
    """Yield a prompt a record; what cannot be one is a reject.

    bars: how many of the record's bars are used, None for all. Conditions that are not asked for
    come from the record's `meta`, as far as the model knows them. Reasons: ``tok``, ``record``,
    ``grammar``, ``bars``.
    """
    for record in reader:
        try:
            prompt = make_prompt(plan, record, asked, bars)
            yield fill_prompt(plan, prompt, task) if task.fills else prompt
        except Reject as reject:
            rejects.add(reader.where, reject.reason, reject.detail, id=record["id"])


def make_prompt(plan: "Plan", record: Record, asked: Asked, bars: int | None) -> Prompt:
    """Return the prompt that a record makes. Raises Reject."""
    if record["tok"] != plan.vocab.tok:
        raise Reject("tok", f"tok {record['tok']}; the model reads {plan.vocab.tok}")
    try:
        check_ids(record["ids"], len(plan.vocab.base))
    except MidigenError as error:
        raise Reject("record", str(error)) from error
    ids = record["ids"]
    starts = plan.bar_starts(ids)
    if bars is not None and bars < len(starts):
        ids, starts = ids[: starts[bars]], starts[:bars]
    ids, state = _valid(plan, ids)
    wanted = of_record(plan.vocab, record) | asked
    return Prompt(
        wanted,
        condition_ids(plan.vocab, wanted),
        state,
        tuple(ids),
        sum(start < len(ids) for start in starts),
        record,
    )


def _valid(plan: "Plan", ids: Sequence[int]) -> tuple[Sequence[int], Any]:
    """Return `ids` without an event that is cut off at their end, and the grammar's state there.

    Raises Reject for ids that do not decode without a repair.
    """
    grammar = plan.grammar
    if grammar is None:
        return ids, None
    state = grammar.start()
    end, end_state = 0, state
    for place, id in enumerate(ids):
        if not grammar.mask(state)[id]:
            token = plan.vocab.base.tokens[id]
            fact = f"{token} cannot stand at place {place}"
            raise Reject("grammar", f"{fact}; --no-grammar takes it all the same")
        state = grammar.step(state, id)
        if grammar.settled(state):
            end, end_state = place + 1, state
    return ids[:end], end_state


def fill_prompt(plan: "Plan", prompt: Prompt, task: Task) -> Prompt:
    """Return a prompt that is filled in, out of one that holds the whole piece. Raises Reject."""
    ids = prompt.ids
    bars = bars_of(plan, ids)
    if task.infill is None:
        state = _behind(plan, ())
        return replace(prompt, ids=(), bars=0, state=state, filling=lambda: Voices(bars))
    first, last = task.infill
    last = len(bars) if last is None else last
    if not first <= last <= len(bars):
        raise Reject("bars", f"it has {len(bars)} bars, --infill names {first}:{last}")
    starts = [*plan.bar_starts(ids), len(ids)]
    before, behind = ids[: starts[first - 1]], ids[starts[last] :]
    hole = partial(Hole, last - first + 1, behind)
    return replace(prompt, ids=before, bars=first - 1, state=_behind(plan, before), filling=hole)


def _behind(plan: "Plan", ids: Sequence[int]) -> Any:
    """Return the grammar's state behind base ids that it allows."""
    if plan.grammar is None:
        return None
    state = plan.grammar.start()
    for id in ids:
        state = plan.grammar.step(state, id)
    return state

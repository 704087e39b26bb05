"""Records out of a model: the whole of `toksample` behind its options."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from midigen import __version__
from midigen.asked import Asked, condition_ids
from midigen.context import carry
from midigen.controls import Controls
from midigen.devices import limit_threads
from midigen.draft import Draft
from midigen.errors import MidigenError, Reject, UsageError
from midigen.jsonl import RecordReader
from midigen.modelfolder import Loaded
from midigen.plan import ANYTHING, Limits, Plan
from midigen.prompts import GO_ON, Prompt, Task, check_task, read_prompts, unprompted
from midigen.record import VERSION, Record, counts, short_hash
from midigen.rejects import Rejects
from midigen.sampler import Settings, sample, stream
from midigen.tokenizers import tokenizer_of
from midigen.usual import drawn

PRECISIONS = ("auto", "fp32", "bf16", "int8")


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a model.

    count: samples a prompt. asked: conditions, as the model spells them. prompt_bars: how many bars
    of each prompt are used, None for all. only_new: leave the prompt out of the records. batch:
    samples that are written side by side, None for what suits the device. threads: of the CPU, None
    for what suits the model. meta: goes into each record's `meta`. task: what is done with prompts.
    controls: what notes may be. precision: of the weights. stream: give each new bar as soon as it
    is written. draw: of samples from nothing, tell the model instruments that usually go with what
    is asked (`midigen.usual`), unless controls say which programs may come.
    """

    seed: int
    count: int = 1
    asked: Asked = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    settings: Settings = field(default_factory=Settings)
    use_grammar: bool = True
    prompt_bars: int | None = None
    only_new: bool = False
    batch: int | None = None
    meta: Mapping[str, int] = field(default_factory=dict)
    task: Task = GO_ON
    controls: Controls = ANYTHING
    threads: int | None = None
    precision: str = "auto"
    stream: bool = False
    draw: bool = False


def for_sampling(model: Any, precision: str) -> Any:
    """Return a model as it is for sampling: laid out for it where its plugin does that.

    precision: of the weights; ``auto`` is fp32.
    Raises UsageError for what no precision is, MidigenError for one that the model cannot have.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"--precision {precision!r} is not {', '.join(PRECISIONS)}")
    make = getattr(model, "decoder", None)
    # Apple's GPUs do not compute all that a plugin may lay out.
    if precision == "auto" and next(model.parameters()).device.type == "mps":
        return model
    if make is not None:
        return make("fp32" if precision == "auto" else precision)
    if precision not in ("auto", "fp32"):
        raise MidigenError(f"this kind of model samples in fp32: no --precision {precision}")
    return model


class Samples:
    """The records that `loaded` makes for a request."""

    def __init__(self, loaded: Loaded, request: Request) -> None:
        self._loaded = loaded
        self._request = request
        self._model = for_sampling(loaded.model, request.precision)
        tokenizer = tokenizer_of(loaded.vocab.tok)
        if request.settings.guidance != 1 and loaded.vocab.bos is None:
            raise MidigenError("--guidance needs a model with BOS: something to read unasked")
        grammar = None
        if request.use_grammar:
            from midigen.constrain import Lifted

            grammar = Lifted(tokenizer.grammar(), loaded.vocab.expansions)
        self.plan = Plan(
            loaded.vocab,
            tokenizer,
            grammar,
            request.limits,
            loaded.window,
            request.seed,
            fills=request.task.fills,
            controls=request.controls,
        )
        if request.task.fills:
            check_task(self.plan, request.task)

    def from_nothing(self) -> Iterator[Record]:
        """Yield `count` records, or their bars."""
        return self._made([unprompted(self.plan, self._request.asked)], Rejects())

    def from_prompts(self, reader: RecordReader, rejects: Rejects) -> Iterator[Record]:
        """Yield `count` records a prompt, or their bars; one that cannot be used is a reject."""
        request = self._request
        if request.prompt_bars is not None and not self.plan.has_bars:
            raise MidigenError(f"{self.plan.vocab.tok} has no bars to count: no --prompt-bars")
        prompts = read_prompts(
            self.plan, reader, rejects, request.asked, request.prompt_bars, request.task
        )
        return self._made(prompts, rejects)

    def _made(self, prompts: Iterable[Prompt], rejects: Rejects) -> Iterator[Record]:
        return self._bars(prompts) if self._request.stream else self._records(prompts, rejects)

    def _bars(self, prompts: Iterable[Prompt]) -> Iterator[Record]:
        """Yield the new bars of samples, one after the other, a record each, as they are written.

        A record is a piece of its own: it says the tempo, signature and program in force. Raises
        MidigenError for a tokenizer without a token that begins a bar.
        """
        loaded, settings = self._loaded, self._request.settings
        if not self.plan.bar_ids:
            raise MidigenError(f"{loaded.vocab.tok} has no token that begins a bar: no --stream")
        self._prepare(1)
        for prompt in prompts:
            for index in range(self._request.count):
                draft = self._draft(prompt, index)
                spans = stream(self._model, loaded.window, draft, settings)
                for bar, (begin, end) in enumerate(spans, 1):
                    yield self._record(draft, self._excerpt(draft, begin, end), bar)

    def _draft(self, prompt: Prompt, index: int) -> Draft:
        request, vocab = self._request, self._loaded.vocab
        if request.draw and prompt.record is None and request.controls.programs is None:
            asked = drawn(vocab, prompt.asked, request.seed, index)
            prompt = replace(prompt, asked=asked, conditions=condition_ids(vocab, asked))
        return Draft(self.plan, prompt, index)

    def _excerpt(self, draft: Draft, begin: int, end: int) -> list[int]:
        """Return some of a draft's ids, whole bars, as a piece of their own."""
        own = draft.ids[begin:end]
        ids = carry(self.plan.vocab.base, draft.ids[:begin], own)
        return ids if self.plan.is_valid(ids) else own

    def _records(self, prompts: Iterable[Prompt], rejects: Rejects) -> Iterator[Record]:
        request, loaded = self._request, self._loaded
        self._prepare(self._batch)
        drafts = (
            self._draft(prompt, index) for prompt in prompts for index in range(request.count)
        )
        for draft in sample(self._model, loaded.window, drafts, request.settings, self._batch):
            try:
                yield self._record(draft)
            except Reject as reject:
                # A piece with new voices that its own tokenizer does not take.
                origin = draft.prompt.record or {}
                rejects.add(origin.get("src", ""), reject.reason, reject.detail)

    @property
    def _on_cpu(self) -> bool:
        return next(self._loaded.model.parameters()).device.type == "cpu"

    @property
    def _batch(self) -> int:
        return 1 if self._request.stream else self._request.batch or (8 if self._on_cpu else 64)

    def _prepare(self, rows: int) -> None:
        """Choose the threads for so many rows."""
        if self._request.threads is not None:
            import torch

            torch.set_num_threads(self._request.threads)
        elif self._on_cpu and not getattr(self._model, "is_compiled", False):
            limit_threads(self._loaded.model, rows)

    def _record(self, draft: Draft, ids: list[int] | None = None, bar: int = 0) -> Record:
        """Return a finished draft as a record; or `ids`, its bar number `bar`, from 1."""
        loaded, request, prompt = self._loaded, self._request, draft.prompt
        origin = prompt.record or {}
        parts = [loaded.weights_hash, prompt.piece, str(request.seed), str(draft.index)]
        parts += [repr(request.task)] if request.task.fills else []
        id = short_hash("\n".join(parts).encode())
        ids = self._written(draft) if ids is None else ids
        record: Record = {
            "v": VERSION,
            "id": id + prompt.part,
            "group": origin.get("group", id),
            "src": "toksample",
            "tok": loaded.vocab.tok,
            "ids": ids,
            "n": self._measured(ids, origin),
            "meta": self._meta(prompt),
        }
        if "part" in origin:
            record["part"] = origin["part"]
        place = {"bar": bar} if bar else {}
        return record | {"aug": {}, "gen": self._gen(draft, id) | place}

    def _written(self, draft: Draft) -> list[int]:
        """Return the base ids that the record holds."""
        if not self._request.only_new:
            return draft.ids if draft.filling is None else draft.filling.whole(draft)
        return self._excerpt(draft, draft.start, len(draft.ids))

    def _meta(self, prompt: Prompt) -> dict[str, Any]:
        """Return the conditions, and of the prompt's meta what decoding and the split need."""
        meta: dict[str, Any] = {
            name: values[0] if len(values) == 1 else values for name, values in prompt.asked.items()
        }
        meta |= self._request.meta
        origin = prompt.record["meta"] if prompt.record is not None else {}
        return meta | {key: origin[key] for key in ("program", "split") if key in origin}

    def _gen(self, draft: Draft, id: str) -> dict[str, Any]:
        """Return what made a draft. id: of its piece, the same for all parts."""
        import torch

        request, record = self._request, draft.prompt.record
        settings = asdict(request.settings) | request.limits.to_json()
        return {
            "model": str(self._loaded.path),
            "weights": self._loaded.weights_hash,
            "prompt": None if record is None else record["id"],
            "sample": id,
            "seed": request.seed,
            "index": draft.index,
            "asked": request.asked,
            "meta": dict(request.meta),
            "settings": settings
            | request.task.to_json()
            | request.controls.to_json()
            | {"grammar": request.use_grammar, "draw": request.draw},
            "run": {
                "number": request.count,
                "batch": self._batch,
                "threads": torch.get_num_threads(),
                "precision": request.precision,
                "device": str(next(self._loaded.model.parameters()).device),
                "prompt_bars": request.prompt_bars,
                "only_new": request.only_new,
            },
            "version": __version__,
        }

    def _measured(self, ids: list[int], origin: Mapping[str, Any]) -> dict[str, int | float]:
        """Return `n`: measured on the decoded score; `bars` are those written, also the silent.

        Of text: its bytes.
        """
        if self.plan.tokenizer.medium == "text":
            return {"bytes": len(self.plan.tokenizer.decode([ids]).value)}
        from midigen.measure import measure

        program = origin.get("meta", {}).get("program")
        programs = None if program is None else [program]
        score = self.plan.tokenizer.decode([ids], programs).value
        try:
            n = measure(score).n
        except Reject:
            n = counts(0, 0, 0.0, 0)
        bars = len(self.plan.bar_starts(ids))
        return n | {"bars": bars} if bars else n

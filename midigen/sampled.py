"""Records out of a model: the whole of `toksample` behind its options."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from midigen import __version__
from midigen.asked import Asked
from midigen.context import carry
from midigen.devices import limit_threads
from midigen.draft import Draft
from midigen.errors import MidigenError, Reject
from midigen.jsonl import RecordReader
from midigen.modelfolder import Loaded
from midigen.plan import Limits, Plan
from midigen.prompts import Prompt, read_prompts, unprompted
from midigen.record import VERSION, Record, counts, short_hash
from midigen.rejects import Rejects
from midigen.sampler import Settings, sample
from midigen.tokenizers import tokenizer_of


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a model.

    count: samples a prompt. asked: conditions, as the model spells them. prompt_bars: how many bars
    of each prompt are used, None for all. only_new: leave the prompt out of the records. batch:
    samples that are written side by side, None for what suits the device. meta: goes into each
    record's `meta`.
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


class Samples:
    """The records that `loaded` makes for a request."""

    def __init__(self, loaded: Loaded, request: Request) -> None:
        self._loaded = loaded
        self._request = request
        tokenizer = tokenizer_of(loaded.vocab.tok)
        if request.settings.guidance != 1 and loaded.vocab.bos is None:
            raise MidigenError("--guidance needs a model with BOS: something to read unasked")
        grammar = None
        if request.use_grammar:
            from midigen.constrain import Lifted

            grammar = Lifted(tokenizer.grammar(), loaded.vocab.expansions)
        self._plan = Plan(
            loaded.vocab, tokenizer, grammar, request.limits, loaded.window, request.seed
        )

    def from_nothing(self) -> Iterator[Record]:
        """Yield `count` records."""
        return self._records([unprompted(self._plan, self._request.asked)])

    def from_prompts(self, reader: RecordReader, rejects: Rejects) -> Iterator[Record]:
        """Yield `count` records a prompt; a prompt that cannot be used is a reject."""
        request = self._request
        if request.prompt_bars is not None and not self._plan.has_bars:
            raise MidigenError(f"{self._plan.vocab.tok} has no bars to count: no --prompt-bars")
        prompts = read_prompts(self._plan, reader, rejects, request.asked, request.prompt_bars)
        return self._records(prompts)

    def _records(self, prompts: Iterable[Prompt]) -> Iterator[Record]:
        request, loaded = self._request, self._loaded
        on_cpu = next(loaded.model.parameters()).device.type == "cpu"
        batch = request.batch or (8 if on_cpu else 64)
        if on_cpu:
            limit_threads(loaded.model, batch)
        drafts = (
            Draft(self._plan, prompt, index) for prompt in prompts for index in range(request.count)
        )
        for draft in sample(loaded.model, loaded.window, drafts, request.settings, batch):
            yield self._record(draft)

    def _record(self, draft: Draft) -> Record:
        """Return a finished draft as a record."""
        loaded, request, prompt = self._loaded, self._request, draft.prompt
        origin = prompt.record or {}
        parts = (loaded.weights_hash, prompt.piece, str(request.seed), str(draft.index))
        id = short_hash("\n".join(parts).encode())
        ids = self._written(draft)
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
        return record | {"aug": {}, "gen": self._gen(draft)}

    def _written(self, draft: Draft) -> list[int]:
        """Return the base ids that the record holds."""
        if not self._request.only_new:
            return draft.ids
        ids = carry(self._plan.vocab.base, draft.ids[: draft.start], draft.new)
        return ids if self._plan.is_valid(ids) else draft.new

    def _meta(self, prompt: Prompt) -> dict[str, Any]:
        """Return the conditions, and of the prompt's meta what decoding and the split need."""
        meta: dict[str, Any] = {
            name: values[0] if len(values) == 1 else values for name, values in prompt.asked.items()
        }
        meta |= self._request.meta
        origin = prompt.record["meta"] if prompt.record is not None else {}
        return meta | {key: origin[key] for key in ("program", "split") if key in origin}

    def _gen(self, draft: Draft) -> dict[str, Any]:
        request, record = self._request, draft.prompt.record
        settings = asdict(request.settings) | {
            name: value for name, value in asdict(request.limits).items() if value is not None
        }
        return {
            "model": str(self._loaded.path),
            "weights": self._loaded.weights_hash,
            "prompt": None if record is None else record["id"],
            "seed": request.seed,
            "index": draft.index,
            "settings": settings | {"grammar": request.use_grammar},
            "version": __version__,
        }

    def _measured(self, ids: list[int], origin: Mapping[str, Any]) -> dict[str, int | float]:
        """Return `n`: measured on the decoded score; `bars` are those written, also the silent.

        Of text: its bytes.
        """
        if self._plan.tokenizer.medium == "text":
            return {"bytes": len(self._plan.tokenizer.decode([ids]).value)}
        from midigen.measure import measure

        program = origin.get("meta", {}).get("program")
        programs = None if program is None else [program]
        score = self._plan.tokenizer.decode([ids], programs).value
        try:
            n = measure(score).n
        except Reject:
            n = counts(0, 0, 0.0, 0)
        bars = len(self._plan.bar_starts(ids))
        return n | {"bars": bars} if bars else n

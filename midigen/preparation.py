"""All that stands between a sealed store and the first training step."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from midigen import merges
from midigen.corpus import Corpus, divide, own_rule
from midigen.errors import MidigenError, UsageError
from midigen.heldout import HeldOut
from midigen.initial import Initial
from midigen.leakage import Leak, find_leaks, trained_before
from midigen.modelfolder import write_json
from midigen.modelvocab import FIELDS, ModelVocab
from midigen.prefixes import Prefixes, count_values
from midigen.protocols import Tokenizer
from midigen.registry import load as load_plugin
from midigen.schedule import PARTS, Schedule, default_decay, default_rate, most_steps
from midigen.settings import DEFAULT_PRESET, Settings
from midigen.spec import parse_params, parse_spec
from midigen.split import SplitRule
from midigen.store import Store
from midigen.stratify import stratified
from midigen.tokenizers import tokenizer_of
from midigen.usual import count_usual
from midigen.windows import Windows

if TYPE_CHECKING:
    from torch import nn

_SWITCHES = {"1": True, "true": True, "0": False, "false": False}


@dataclass(slots=True)
class Prepared:
    """A run that is ready to start: data, vocabulary and an untrained model on the CPU.

    seen: how many held-out pieces the model that the run goes on from may have been trained on.
    """

    settings: Settings
    corpus: Corpus
    vocab: ModelVocab
    windows: Windows
    prefixes: Prefixes
    plugin: str
    model_config: Any
    model: "nn.Module"
    schedule: Schedule
    leaks: list[Leak]
    seen: int

    @property
    def parameters(self) -> int:
        return sum(weight.numel() for weight in self.model.parameters())

    @property
    def steps_an_epoch(self) -> float:
        return self.windows.rows_an_epoch() / self.settings.rows

    @property
    def rises(self) -> bool:
        """Whether dropout rises while training: the model can have some, and brings none."""
        rate = getattr(self.model, "dropout", None)
        return rate == 0.0 and self.settings.dropout_rise > 0

    def held_out(self, name: str, limit: int | None = None) -> HeldOut:
        span = self.corpus.val if name == "val" else self.corpus.test
        near = frozenset(leak.row for leak in self.leaks)
        return HeldOut(span, self.corpus.store, self.prefixes, self.vocab, limit, near)


def prepare(
    store: Store, settings: Settings, folder: Path, initial: Initial | None = None
) -> Prepared:
    """Divide the store, learn merges, lay the vocabulary out, build the model.

    folder: where the vocabulary and merged pieces are written, or found from an earlier call.
    initial: the model that the run goes on from. Raises MidigenError where a run makes no sense.
    """
    tokenizer = tokenizer_of(store.tok)
    name, config = model_config(settings)
    base = divide(store, tokenizer, _rule(store, settings))
    vocab = _vocab(base, tokenizer, settings, folder, initial)
    corpus = base.merged(vocab, tokenizer, folder)
    prefixes = Prefixes(store, vocab)
    windows = Windows(
        corpus.train,
        prefixes,
        vocab,
        settings.window,
        settings.seed,
        unit=tokenizer.unit,
        dropout=settings.condition_dropout,
        field_dropout=dict(settings.field_dropout),
        stride=settings.stride,
        share=settings.epoch_share,
        infill=settings.infill_rate,
    )
    if corpus.train.tokens < settings.window:
        raise MidigenError(
            f"too little to train on: {corpus.train.tokens} tokens in {len(corpus.train)} pieces,"
            f" a window is {settings.window}; give more pieces or a shorter --window"
        )
    if settings.window_growth:
        # Whether conditions leave room in the shortest.
        windows.cut(PARTS[0])
    model = build_model(name, config, len(vocab), settings.seed)
    if initial is not None:
        initial.fill(model, vocab)
    size = sum(weight.numel() for weight in model.parameters())
    rule = settings.chosen().optimizer
    peak = settings.lr or default_rate(size, rule)
    distinct = corpus.distinct_tokens
    batch = settings.rows * settings.window
    if settings.weight_decay is None and rule == "muon":
        settings = replace(settings, weight_decay=default_decay(peak, batch, distinct))
    most = most_steps(settings.most_epochs, batch, distinct, corpus.train.tokens)
    schedule = _schedule(settings, peak, windows.rows_an_epoch() / settings.rows, most)
    leaks = find_leaks(base, tokenizer)
    seen = trained_before(base, initial.split if initial else None)
    return Prepared(
        settings, corpus, vocab, windows, prefixes, name, config, model, schedule, leaks, seen
    )


def _rule(store: Store, settings: Settings) -> SplitRule:
    """Return the rule that splits the store. Raises MidigenError for a field that nobody names."""
    rule = own_rule(store)
    return stratified(store, rule, settings.stratify) if settings.stratify else rule


def model_config(settings: Settings) -> tuple[str, Any]:
    """Return the plugin's name and its configuration: the preset, changed by the spec's parameters.

    Raises UsageError for a preset, a key, a value or a window that cannot be.
    """
    spec = parse_spec(settings.model)
    plugin = load_plugin("models", spec.name)
    presets: Mapping[str, Any] = getattr(plugin, "PRESETS", {})
    if presets and settings.preset not in presets:
        raise UsageError(f"--preset {settings.preset!r} is not one of {', '.join(presets)}")
    if not presets and settings.preset != DEFAULT_PRESET:
        raise UsageError(f"model {spec.name} has no presets: --preset {settings.preset}")
    config = presets[settings.preset] if presets else plugin.Config()
    kinds = {item.name: type(getattr(config, item.name)) for item in fields(plugin.Config)}
    changes = {}
    for key, text in parse_params(spec.arg).items():
        if key not in kinds:
            raise UsageError(f"model {spec.name} has no setting {key!r}; known: {', '.join(kinds)}")
        try:
            changes[key] = _SWITCHES[text] if kinds[key] is bool else kinds[key](text)
        except (ValueError, KeyError):
            raise UsageError(
                f"model {spec.name}: {key}={text} is not of type {kinds[key].__name__}"
            ) from None
    config = replace(config, **changes)
    longest = getattr(config, "longest", settings.window)
    if settings.window > longest:
        raise UsageError(
            f"model {spec.name} sees {longest} ids at most: --window {settings.window}"
        )
    return spec.name, config


def _vocab(
    corpus: Corpus,
    tokenizer: Tokenizer,
    settings: Settings,
    folder: Path,
    initial: Initial | None,
) -> ModelVocab:
    """Return the run's vocabulary: of an earlier call in `folder`, else made now and kept there."""
    path, find = folder / "vocab.json", merges.breaks_of(tokenizer)
    if path.is_file():
        return ModelVocab.from_json(json.loads(path.read_text(encoding="utf-8")), find)
    counts = count_values(
        corpus.store, corpus.train.row, settings.condition, settings.condition_least
    )
    for field in settings.condition:
        if field not in counts and field not in FIELDS:
            raise MidigenError(
                f"--condition {field}: no value of it is named by {settings.condition_least}"
                " training pieces"
            )
    if initial is not None and initial.vocab is not None:
        vocab = initial.vocab.extended(counts, infill=settings.infill_rate > 0)
    else:
        vocab = _new_vocab(corpus, tokenizer, settings, counts)
    vocab = vocab.with_usual(count_usual(corpus.store, corpus.train.row, vocab))
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, vocab.to_json())
    return vocab


def _new_vocab(
    corpus: Corpus,
    tokenizer: Tokenizer,
    settings: Settings,
    counts: Mapping[str, Mapping[str, int]],
) -> ModelVocab:
    learned: list[tuple[int, int]] = []
    if settings.bpe:
        if tokenizer.unit > 1:
            raise UsageError(
                f"--bpe does not go with {corpus.store.tok}: its events are of fixed size"
            )
        learned = merges.learn(corpus.sample(tokenizer), len(tokenizer.vocab), settings.bpe)
    return ModelVocab(
        tokenizer.vocab,
        corpus.store.tok,
        merges=learned,
        specials=settings.specials,
        conditions=counts,
        bar_starts=merges.breaks_of(tokenizer),
        definition=getattr(tokenizer, "definition", None),
        infill=settings.infill_rate > 0,
    )


def build_model(name: str, config: Any, vocab_size: int, seed: int) -> "nn.Module":
    """Return the model with weights that depend on the seed alone."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: nn.Module = load_plugin("models", name).build(config, vocab_size)
    return model


def _schedule(settings: Settings, peak: float, steps_an_epoch: float, most: int) -> Schedule:
    """Return the schedule; `most`: steps that a run of minutes may take."""
    steps, seconds = None, None
    if settings.unit == "minutes":
        seconds = settings.amount * 60
    else:
        each = steps_an_epoch if settings.unit == "epochs" else 1
        steps = max(1, round(settings.amount * each))
    return Schedule(
        peak,
        steps,
        seconds,
        settings.schedule,
        settings.warmup,
        settings.lr_min,
        settings.lr_factor,
        steps_an_epoch,
        settings.window_growth,
        most if seconds is not None else 0,
    )

"""The first thing to run when training "does not work": can the model learn one piece by heart?

Tokenizer, vocabulary, model, optimiser and the model's cache are those of every run. A model that
learns one piece and writes it again, id for id, is built and trained right.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from midigen import devices, merges
from midigen.errors import MidigenError
from midigen.jsonl import RecordReader
from midigen.modelvocab import ModelVocab
from midigen.optimizer import Optimizer, compute_dtype
from midigen.preparation import build_model, model_config
from midigen.protocols import Tokenizer
from midigen.record import Record, check_ids
from midigen.rejects import Rejects
from midigen.settings import Settings
from midigen.tokenizers import tokenizer_of
from midigen.windows import IGNORE, START, Batch

ENOUGH = 0.01
"""Nats a token at which a piece is known by heart."""
MOST_STEPS = 1500
_RATE = 1e-3
_WARM_STEPS = 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """steps, loss (nats a token): of training. same: base ids written before the first wrong one.

    length: base ids of the piece, or of as much of it as a window holds.
    """

    steps: int
    loss: float
    same: int
    length: int

    @property
    def passed(self) -> bool:
        return self.loss <= ENOUGH and self.same == self.length

    def sentence(self) -> str:
        verdict = "learned by heart" if self.passed else "NOT learned by heart"
        return (
            f"{verdict}: {self.loss:.4f} nats a token after {self.steps} steps;"
            f" greedily sampled, {self.same} of {self.length} tokens are the piece's"
        )


def check(asked: Mapping[str, Any], paths: Sequence[str], device: str, teller: Any) -> int:
    """Overfit the first record of a stream and say how it went; return the exit code.

    asked: the settings that were given, by name. teller: the command's `Run`.
    """
    settings = Settings(**asked)
    record = next(iter(RecordReader(paths, Rejects(strict=True))), None)
    if record is None:
        raise MidigenError(f"no record in {', '.join(paths)}")
    with teller.progress(total=MOST_STEPS, unit="step") as bar:

        def tell(step: int, loss: float) -> None:
            bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
            bar.update()

        outcome = overfit(record, settings, devices.pick(device), tell)
    teller.warn(outcome.sentence())
    sys.stdout.write(json.dumps({"event": "selftest", **asdict(outcome)}) + "\n")
    return 0 if outcome.passed else 1


def overfit(
    record: Record, settings: Settings, device: str, tell: Callable[[int, float], None]
) -> Outcome:
    """Train on the beginning of one record, at most a window, and sample it again.

    Conditions are left out. tell: called with (step, loss). Raises MidigenError for a record of
    fewer than two ids.
    """
    tokenizer = tokenizer_of(record["tok"])
    check_ids(record["ids"], len(tokenizer.vocab))
    ids = np.asarray(record["ids"], np.int64)
    vocab = _vocab(tokenizer, record["tok"], ids, settings)
    known = _beginning(tokenizer, ids, settings.window)
    name, config = model_config(settings)
    model = build_model(name, config, len(vocab), settings.seed)
    optimizer = Optimizer(model, device, compute_dtype(device, settings.dtype), settings)
    steps, loss = _learn(optimizer, _batch(vocab, known), settings.lr or _RATE, tell)
    found = _write(optimizer, vocab, int(vocab.encode(known)[0]), len(known))
    same = next((k for k, (a, b) in enumerate(zip(known, found, strict=False)) if a != b), None)
    return Outcome(steps, loss, min(len(known), len(found)) if same is None else same, len(known))


def _vocab(tokenizer: Tokenizer, tok: str, ids: np.ndarray, settings: Settings) -> ModelVocab:
    breaks = merges.breaks_of(tokenizer)
    learned: list[tuple[int, int]] = []
    if settings.bpe and tokenizer.unit == 1:
        learned = merges.learn([(ids, breaks(ids))], len(tokenizer.vocab), settings.bpe)
    return ModelVocab(
        tokenizer.vocab, tok, merges=learned, specials=settings.specials, bar_starts=breaks
    )


def _beginning(tokenizer: Tokenizer, ids: np.ndarray, window: int) -> np.ndarray:
    """Return the whole piece, or as many of its first events as fit in a window and are valid.

    Raises MidigenError where less than two ids are.
    """
    grammar, last = tokenizer.grammar(), 0
    state = grammar.start()
    # BOS takes a place.
    for place, id in enumerate(ids[: window - 1].tolist(), 1):
        if not grammar.mask(state)[id]:
            break
        state = grammar.step(state, id)
        if grammar.accepting(state):
            last = place
    if last < 2:
        raise MidigenError("the first record begins with too little that is valid to learn it")
    return ids[:last]


def _batch(vocab: ModelVocab, ids: np.ndarray) -> Batch:
    """Return one row: BOS, the piece, EOS, as far as the vocabulary has them."""
    inputs = vocab.encode(ids)
    if vocab.bos is not None:
        inputs = np.insert(inputs, 0, vocab.bos)
    if vocab.eos is not None:
        inputs = np.append(inputs, vocab.eos)
    row, targets = inputs[None, :-1], inputs[None, 1:]
    assert (targets != IGNORE).all()
    return Batch(row, targets.copy(), np.zeros_like(row), START, targets.size, False)


def _learn(
    optimizer: Optimizer, batch: Batch, rate: float, tell: Callable[[int, float], None]
) -> tuple[int, float]:
    loss = float("inf")
    for step in range(1, MOST_STEPS + 1):
        loss = float(optimizer.step(batch, rate * min(1.0, step / _WARM_STEPS))[0])
        tell(step, loss)
        if loss <= ENOUGH or loss != loss:
            return step, loss
    return MOST_STEPS, loss


def _write(optimizer: Optimizer, vocab: ModelVocab, first: int, count: int) -> list[int]:
    """Return at most `count` base ids that the model writes, always the likeliest next one.

    It begins with BOS; of a vocabulary without one with the model id `first`, which is given.
    """
    model: Any = optimizer.compute.eval()
    written = [first] if vocab.bos is None else []
    cache = model.new_cache(1, count + 2)
    last = first if vocab.bos is None else vocab.bos
    base = vocab.expand(written).tolist()
    with torch.inference_mode():
        while len(base) < count:
            logits = model.step(torch.tensor([[last]], device=optimizer.device), cache)
            last = int(logits[0, -1].argmax())
            if last == vocab.eos:
                break
            base += vocab.expansion(last)
    return base

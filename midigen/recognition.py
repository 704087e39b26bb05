"""Whether samples sound like what was asked for: a small classifier, trained on real pieces, says.

Softmax regression over `midigen.features`. It learns from the pieces that the model trained on, and
its own accuracy on held-out pieces says how far to believe it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from midigen.asked import Asked, known_values, usual_guidance
from midigen.conditions import condition_values
from midigen.errors import MidigenError
from midigen.features import features
from midigen.modelfolder import Loaded
from midigen.record import Record, is_original
from midigen.tokenizers import tokenizer_of

if TYPE_CHECKING:
    from midigen.cli._edge import Run

_DECAY = 3.0
_STEPS = 200
MOST = 400
"""Pieces of one value that are learned from: more change little."""


class Classifier:
    """Tells classes 0..K-1 apart by features (N, F); every class counts as much as any other."""

    def __init__(self, x: np.ndarray, y: np.ndarray, count: int) -> None:
        import torch

        self._mean, self._spread = x.mean(axis=0), x.std(axis=0) + 1e-3
        inputs = torch.from_numpy(self._scaled(x))
        targets = torch.from_numpy(y)
        sizes = np.bincount(y, minlength=count)
        weight = torch.from_numpy(len(y) / (count * np.maximum(sizes, 1.0)))
        self._weight = torch.zeros(x.shape[1], count, dtype=torch.float64, requires_grad=True)
        self._bias = torch.zeros(count, dtype=torch.float64, requires_grad=True)
        rule = torch.optim.LBFGS([self._weight, self._bias], max_iter=_STEPS)

        def loss() -> Any:
            rule.zero_grad()
            logits = inputs @ self._weight + self._bias
            found = torch.nn.functional.cross_entropy(logits, targets, weight)
            found = found + _DECAY * self._weight.square().sum() / len(y)
            found.backward()
            return found

        rule.step(loss)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return the likeliest class of each row of features (N, F)."""
        import torch

        with torch.no_grad():
            logits = torch.from_numpy(self._scaled(x)) @ self._weight + self._bias
        return logits.argmax(dim=1).numpy()

    def _scaled(self, x: np.ndarray) -> np.ndarray:
        scaled: np.ndarray = (x - self._mean) / self._spread
        return scaled


@dataclass(slots=True)
class Pieces:
    """Features of real pieces by the one value of a field that each has, train and held out.

    name: of the field.
    """

    name: str
    loaded: Loaded
    train: dict[str, list[np.ndarray]] = field(default_factory=dict)
    held: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        """Take a record up: an original with one value that the model knows."""
        vocab = self.loaded.vocab
        values = known_values(vocab, self.name, condition_values(record, self.name))
        if len(values) != 1 or not is_original(record):
            return
        split = self.loaded.split_rule.split(record)
        held = (self.train if split == "train" else self.held).setdefault(values[0], [])
        if len(held) < MOST:
            held.append(sound(record))

    def values(self) -> list[str]:
        """Return the values that can be told apart: five training pieces, one held out."""
        known = self.loaded.vocab.conditions.get(self.name, {})
        found = [v for v in known if len(self.train.get(v, ())) >= 5 and self.held.get(v)]
        if len(found) < 2:
            raise MidigenError(
                f"fewer than two values of {self.name} have five training pieces and a held-out"
                " one in the stream: nothing can be told apart"
            )
        return found


def sound(record: Record) -> np.ndarray:
    """Return the features of a record."""
    program = record["meta"].get("program")
    programs = None if program is None else [program]
    return features(tokenizer_of(record["tok"]).decode([record["ids"]], programs).value)


def recognise(
    pieces: Pieces,
    samples: Mapping[str, Mapping[str, Iterable[Record]]],
    unasked: Iterable[Record] = (),
) -> Iterator[dict[str, Any]]:
    """Yield a line a value: how often real pieces and samples of it are told to be of it.

    samples: {name: {value: records}}: one way of sampling, as ``guidance 2``, each. unasked:
    samples of which nothing was asked.
    """
    values = pieces.values()
    x = np.stack([f for value in values for f in pieces.train[value]])
    y = np.repeat(np.arange(len(values)), [len(pieces.train[value]) for value in values])
    classifier = Classifier(x, y, len(values))
    heard = [sound(record) for record in unasked]
    plain = classifier(np.stack(heard)) if heard else None
    for number, value in enumerate(values):
        line: dict[str, Any] = {
            "field": pieces.name,
            "value": value,
            "chance": round(1 / len(values), 4),
            "real": _share(classifier(np.stack(pieces.held[value])), number),
            "real_pieces": len(pieces.held[value]),
        }
        if plain is not None:
            line["unasked"] = _share(plain, number)
        for name, by_value in samples.items():
            told = classifier(np.stack([sound(record) for record in by_value[value]]))
            line[name] = _share(told, number)
            line[f"{name}_taken_for"] = dict(Counter(values[k] for k in told).most_common())
            line["samples"] = len(told)
        yield line


def _share(told: np.ndarray, number: int) -> float:
    return round(float((told == number).mean()), 4)


def usual_of(pieces: Pieces) -> dict[str, float]:
    """Return the guidance that toksample gives without being told one, of every value."""
    vocab = pieces.loaded.vocab
    return {value: usual_guidance(vocab, {pieces.name: [value]}) for value in pieces.values()}


def sample_each(
    pieces: Pieces, count: int, bars: int, guidance: Mapping[str, float], seed: int
) -> dict[str, list[Record]]:
    """Return `count` samples of each value, drawn as toksample draws with its guidance."""
    return {
        value: _sampled(pieces.loaded, {pieces.name: [value]}, count, bars, own, seed)
        for value, own in guidance.items()
    }


def _sampled(
    loaded: Loaded, asked: Asked, count: int, bars: int, guidance: float, seed: int
) -> list[Record]:
    from midigen.plan import Limits
    from midigen.sampled import Request, Samples
    from midigen.sampler import AS_TOKSAMPLE

    settings = replace(AS_TOKSAMPLE, guidance=guidance)
    request = Request(
        seed, count, asked=asked, limits=Limits(bars=bars), settings=settings, draw=bool(asked)
    )
    return list(Samples(loaded, request).from_nothing())


def tell_conditions(
    run: "Run",
    paths: list[str],
    loaded: Loaded,
    *,
    name: str,
    count: int,
    bars: int,
    seed: int,
    output: str,
    force: bool,
    rejects: str | None,
    strict: bool,
) -> None:
    """Read real pieces, sample, and write a line a value (``tokeval --conditions``).

    name: the field. count, bars: samples a value, and their length.
    """
    from midigen.jsonl import RecordReader, RecordWriter

    pieces = Pieces(name, loaded)
    with run.rejects(rejects, strict) as faulty, run.output(output, force=force) as out:
        for record in run.progress(RecordReader(paths, faulty)):
            pieces.add(record)
        usual = usual_of(pieces)
        guidances = (1.0, 2.0) if loaded.vocab.bos is not None else (1.0,)
        ways = {f"guidance_{own:.0f}": dict.fromkeys(usual, own) for own in guidances}
        # What is drawn above as toksample would draw it is not drawn twice.
        ways["usual"] = {value: own for value, own in usual.items() if own not in guidances}
        samples = {
            way: sample_each(pieces, count, bars, guidance, seed)
            for way, guidance in run.progress(ways.items(), unit="way")
        }
        samples["usual"] |= {
            value: samples[f"guidance_{own:.0f}"][value]
            for value, own in usual.items()
            if own in guidances
        }
        unasked = _sampled(loaded, {}, count * len(usual), bars, 1.0, seed)
        writer = RecordWriter(out, flush=True)
        for line in recognise(pieces, samples, unasked):
            own = line["usual_guidance"] = usual[line["value"]]
            writer.write(line)
            names = {way: f"with {way.replace('_', ' ')}" for way in ways}
            names["usual"] = f"as toksample draws them ({own:g})"
            shares = ", ".join(f"{line[way]:.0%} {name}" for way, name in names.items())
            run.message(
                f"{line['value']}: recognised {line['real']:.0%} of {line['real_pieces']} real"
                f" pieces; of {line['samples']} samples {shares}; of {len(unasked)} unasked"
                f" {line['unasked']:.0%}; by chance {line['chance']:.0%}"
            )
        run.finish(writer.count, f"{writer.count} values", faulty)

"""Tokens a second of training steps: the models here, and what was published, written plainly.

Every architecture takes whole steps, with loss, gradients, clipping and AdamW: as `toktrain` takes
them, and as an eager loop in fp32 takes them (tests/plain_models.py; for `llama` the model of
`transformers`, in fp32 and under bf16 autocast). Same shapes, batch and dropout. Each has a process
of its own, which rests while others work. Steps alternate, round after round, so that what else
runs on the machine hits all; between them the rate of matrix products is measured: of a square of
2,048, and of the shapes of that model's own layers, forward and backward. Prints one line of JSON
for each architecture; numbers are medians of the rounds.
"""

import argparse
import importlib.util
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from midigen.memory import settle
from midigen.optimizer import Optimizer, compute_dtype
from midigen.registry import load
from midigen.settings import Settings
from midigen.windows import START, Batch

sys.path.insert(0, str(Path(__file__).parents[1]))
from plain_models import PLAIN, hugging_face, train_step


class Case(NamedTuple):
    """A vocabulary, and a batch of `rows` windows."""

    vocab_size: int
    rows: int
    window: int
    config: Mapping[str, Any] = {}


CASES = {
    "lstm": Case(153, 32, 256),
    "musictransformer": Case(153, 8, 256),
    "musicgpt": Case(3406, 16, 512),
    "synphony": Case(3534, 4, 512),
    "llama": Case(1024, 8, 256, {"width": 512, "layers": 8, "head": 64, "hidden": 2048}),
}
RATE = 1e-4
SQUARE = 2048
WARM_UP = 3


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def ours(case: Case, config: Any, name: str, ids: np.ndarray) -> Callable[[], Any]:
    """Return toktrain's step."""
    torch.manual_seed(0)
    model = load("models", name).build(config, case.vocab_size)
    optimizer = Optimizer(model, "cpu", compute_dtype("cpu", "auto"), Settings(optimizer="adamw"))
    places = case.rows * case.window
    segments = np.zeros((case.rows, case.window), np.int64)
    batch = Batch(ids[:, :-1].copy(), ids[:, 1:].copy(), segments, START, places, False)
    return lambda: optimizer.step(batch, RATE)


def plain(model: nn.Module, ids: np.ndarray, *, autocast: bool = False) -> Callable[[], Any]:
    """Return the step of an eager loop in fp32, or under bf16 autocast."""
    rule = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.95), weight_decay=0.1)
    whole = torch.from_numpy(ids)
    inputs, targets = whole[:, :-1].contiguous(), whole[:, 1:].contiguous()
    model.train()

    def step() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            train_step(model, rule, inputs, targets)

    return step


class Logits(nn.Module):
    """The model of `transformers` with the same shape as ours, returning logits alone."""

    def __init__(self, config: Any, vocab_size: int, window: int) -> None:
        super().__init__()
        self.model = hugging_face(config, vocab_size, window, use_cache=False)

    def forward(self, ids: Tensor) -> Tensor:
        logits: Tensor = self.model(input_ids=ids).logits
        return logits


def products(model: nn.Module, places: int, dtype: torch.dtype) -> tuple[Callable[[], Any], int]:
    """Return the matrix products of a step with the model's own matrices, and their operations.

    Of each (N, K): forward, of the gradient of inputs, and of the gradient of weights.
    """
    generator = torch.Generator().manual_seed(0)
    shapes = [w.shape for w in model.parameters() if w.dim() == 2]
    sizes = {size for shape in shapes for size in shape}
    x = {n: torch.randn(places, n, generator=generator).to(dtype) for n in sizes}
    weights = {shape: torch.randn(shape, generator=generator).to(dtype) for shape in set(shapes)}

    def work() -> None:
        for N, K in shapes:
            weight = weights[torch.Size((N, K))]
            x[K] @ weight.t()
            x[N] @ weight
            x[N].t() @ x[K]

    return work, 6 * places * sum(shape.numel() for shape in shapes)


def contender(label: str, name: str) -> Callable[[], Any]:
    """Return the step of a contender."""
    case = CASES[name]
    config = load("models", name).Config(**case.config)
    ids = np.random.default_rng(0).integers(0, case.vocab_size, (case.rows, case.window + 1))
    if label == "midigen":
        settle()
        return ours(case, config, name, ids)
    if label == "plain_fp32":
        return plain(PLAIN[name](config, case.vocab_size), ids)
    model = Logits(config, case.vocab_size, case.window)
    return plain(model, ids, autocast=label == "transformers_autocast")


def serve(label: str, name: str, pipe: Connection) -> None:
    """Take a step whenever asked to; answer with its seconds."""
    step = contender(label, name)
    while pipe.recv():
        pipe.send(seconds(step))


class Process:
    """A contender in a process of its own."""

    def __init__(self, label: str, name: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=serve, args=(label, name, other), daemon=True)
        self._process.start()

    def step(self) -> float:
        """Return the seconds of a step."""
        self._pipe.send(True)
        return float(self._pipe.recv())

    def end(self) -> None:
        self._pipe.send(False)
        self._process.join()


def bench(name: str, rounds: int) -> dict[str, Any]:
    """Return tokens a second of each contender for one architecture, and what they compare to."""
    case = CASES[name]
    places = case.rows * case.window
    plugin = load("models", name)
    labels = ["midigen"]
    if name in PLAIN:
        labels += ["plain_fp32"]
    elif importlib.util.find_spec("transformers"):
        labels += ["transformers_fp32", "transformers_autocast"]
    else:
        print(f"{name}: transformers is not there, so nothing to compare with", file=sys.stderr)
    with torch.device("meta"):
        shape = plugin.build(plugin.Config(**case.config), case.vocab_size)
    count = sum(weight.numel() for weight in shape.parameters())
    dtype = compute_dtype("cpu", "auto")
    square = torch.randn(SQUARE, SQUARE, generator=torch.Generator().manual_seed(0)).to(dtype)
    own, operations = products(shape, places, dtype)
    rates: dict[str, tuple[Callable[[], Any], float]] = {
        "square_gflops": (lambda: square @ square, 2e-9 * SQUARE**3),
        "own_shapes_gflops": (own, 1e-9 * operations),
    }
    found: dict[str, list[float]] = {label: [] for label in (*labels, *rates)}
    processes = {label: Process(label, name) for label in labels}
    for label, process in processes.items():
        took = [process.step() for _ in range(WARM_UP)]
        print(f"{name}: {label} warms up in {sum(took):.1f} s", file=sys.stderr)
    for _ in range(rounds):
        for label, process in processes.items():
            # The first brings its memory and its threads back to the cores.
            found[label].append(places / min(process.step() for _ in range(2)))
            for kind, (work, amount) in rates.items():
                found[kind].append(amount / min(seconds(work) for _ in range(3)))
    for process in processes.values():
        process.end()
    middle = {label: statistics.median(values) for label, values in found.items()}
    reached = 6e-9 * count * middle["midigen"]
    return {
        "parameters": count,
        "batch": f"{case.rows}x{case.window}",
        "tokens_per_s": {label: round(middle[label]) for label in labels},
        "times_faster_than": {
            label: round(middle["midigen"] / middle[label], 2)
            for label in labels
            if label != "midigen"
        },
        "gflops_6pt": round(reached),
        **{kind: round(middle[kind]) for kind in rates},
        "share_of_square": round(reached / middle["square_gflops"], 3),
        "share_of_own_shapes": round(reached / middle["own_shapes_gflops"], 3),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=[], help=f"of {', '.join(CASES)}; else all")
    parser.add_argument("--rounds", type=int, default=5, help="their median counts (default: 5)")
    options = parser.parse_args()
    for name in options.models or CASES:
        print(json.dumps({"bench": f"training {name}", **bench(name, options.rounds)}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

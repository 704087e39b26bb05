"""Tokens a second of sampling: `toksample`'s loop, `transformers`, and reading all anew each time.

The 34-million-parameter `llama` (width 512, 8 layers, vocabulary 1,024, untrained), the same
weights on all sides, 512 new tokens: one sample at a time and 16 side by side, in fp32, bf16 and
int8; `transformers`' generate with its cache in fp32. How fast memory is read is measured in the
same run (the dot product of two halves of a gigabyte that was written before, by all cores). Then
1,024 tokens, against a forward pass in fp32 over all that is there for every token, by this model
and by `transformers`' (which computes the last logits only), timed at every 32nd length and added
up. Whole processes: 1,024 tokens of the starter model, and `import torch`;
and when the bars of `toksample --stream` are there, against when they would be played.
Sides take turns; numbers are medians of the rounds. Prints a line of JSON for each part.
"""

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from midigen.modelfolder import Loaded
from midigen.modelvocab import ModelVocab
from midigen.plan import Limits
from midigen.playing import length_s
from midigen.registry import load, tokenizer
from midigen.sampled import Request, Samples, for_sampling
from midigen.split import SplitRule
from midigen.tokenizers import tokenizer_of

sys.path.insert(0, str(Path(__file__).parents[1]))
from plain_models import hugging_face

BIN = Path(sys.executable).parent
SIZE, NEW, LONG, STEP, ROWS = 1024, 512, 1024, 32, 16
BYTES = {"fp32": 4, "bf16": 2, "int8": 1}
"""What a weight takes."""
GIGABYTE = 1 << 30


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def loaded_model() -> Loaded:
    """Return the model, as it is before training, with a vocabulary of 1,024 ids."""
    remi = tokenizer("remi")
    tok = f"{remi.spec}#{remi.vocab.fingerprint}"
    left = SIZE - len(ModelVocab(remi.vocab, tok))
    # Ids that are read and never written: each id that is written is one token.
    names = {"genre": {f"genre {i}": 1 for i in range(left)}}
    vocab = ModelVocab(remi.vocab, tok, conditions=names)
    assert len(vocab) == SIZE
    plugin = load("models", "llama")
    torch.manual_seed(0)
    model = plugin.build(plugin.Config(width=512, layers=8, head=64, hidden=2048), len(vocab))
    return Loaded(model.eval(), {}, vocab, SplitRule(), LONG, Path("untrained"), "0" * 16)


def writing(loaded: Loaded, precision: str, rows: int, tokens: int) -> Callable[[], None]:
    """Return what writes `rows` samples side by side, of exactly so many tokens, by any ids."""
    limits = Limits(tokens=tokens)
    request = Request(
        0, rows, limits=limits, use_grammar=False, batch=rows, precision=precision, threads=THREADS
    )
    samples = Samples(loaded, request)

    def work() -> None:
        for record in samples.from_nothing():
            assert len(record["ids"]) == tokens

    return work


HAS_TRANSFORMERS = importlib.util.find_spec("transformers") is not None


def their_model(loaded: Loaded) -> Any:
    """Return the model of `transformers` with the same weights."""
    ends = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": 0}
    model = hugging_face(loaded.model.config, len(loaded.vocab), LONG, **ends).eval()
    missing = model.load_state_dict(loaded.model.state_dict(), strict=False)
    assert not missing.unexpected_keys
    return model


def generating(loaded: Loaded, tokens: int) -> Callable[[], Any]:
    """Return `transformers`' generate."""
    from transformers import GenerationConfig

    model = their_model(loaded)
    asked = GenerationConfig(
        max_new_tokens=tokens, min_new_tokens=tokens, do_sample=True, top_k=0, use_cache=True
    )
    ids = torch.ones(1, 1, dtype=torch.int64)

    def work() -> None:
        with torch.inference_mode():
            assert model.generate(ids, asked).shape == (1, tokens + 1)

    return work


def taking_turns(works: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each, after one turn that does not count."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, work in works.items():
            took = seconds(work)
            if turn:
                found[name].append(took)
            print(f"{name}: {took:.2f} s", file=sys.stderr)
    return {name: statistics.median(values) for name, values in found.items()}


def bench_batch(loaded: Loaded, rounds: int) -> dict[str, Any]:
    one, other = torch.ones(2, GIGABYTE // 8)
    works = {
        f"{kind} x {rows}": writing(loaded, kind, rows, NEW) for kind in BYTES for rows in (1, ROWS)
    }
    # Of what torch has, what reads fastest: a sum takes a quarter longer.
    works["memory"] = lambda: one.dot(other)
    if HAS_TRANSFORMERS:
        works["transformers"] = generating(loaded, NEW)
    took = taking_turns(works, rounds)
    count = sum(weight.numel() for weight in loaded.model.parameters())
    bandwidth = GIGABYTE / took["memory"]
    alone = {kind: NEW / took[f"{kind} x 1"] for kind in BYTES}
    beside = {kind: ROWS * NEW / took[f"{kind} x {ROWS}"] for kind in BYTES}
    result: dict[str, Any] = {
        "parameters": count,
        "tokens_per_s": rounded(alone, 0),
        f"tokens_per_s_of_{ROWS}": rounded(beside, 0),
        f"{ROWS}_over_one": rounded({kind: beside[kind] / alone[kind] for kind in BYTES}, 2),
        "memory_gb_per_s": round(bandwidth * 1e-9, 1),
        "share_of_memory": rounded(
            {kind: alone[kind] * count * BYTES[kind] / bandwidth for kind in BYTES}, 3
        ),
    }
    if "transformers" in took:
        theirs = NEW / took["transformers"]
        result["tokens_per_s_of_transformers"] = round(theirs)
        result["times_transformers"] = rounded({kind: alone[kind] / theirs for kind in BYTES}, 2)
    return result


def rounded(values: dict[str, float], digits: int) -> dict[str, float]:
    return {name: round(value, digits) for name, value in values.items()}


def bench_anew(loaded: Loaded, rounds: int) -> dict[str, Any]:
    """Return how sampling compares with reading all again for every token, and how logits do."""
    ids = torch.randint(4, SIZE, (1, LONG), generator=torch.Generator().manual_seed(0))
    model = loaded.model
    step = for_sampling(model, "fp32")

    def again(forward: Callable[[torch.Tensor], Any]) -> float:
        total = 0.0
        with torch.inference_mode():
            for length in range(STEP, LONG + 1, STEP):
                total += STEP * seconds(lambda n=length: forward(ids[:, :n]))
        return total

    with torch.inference_mode():
        whole, cache = model(ids), step.new_cache(1, LONG)
        one = torch.cat([step.step(ids[:, i : i + 1], cache) for i in range(LONG)], dim=1)
    anew = {"midigen": lambda: again(model)}
    if HAS_TRANSFORMERS:
        theirs = their_model(loaded)
        anew["transformers"] = lambda: again(
            lambda x: theirs(x, use_cache=False, logits_to_keep=1).logits
        )
    write = {kind: writing(loaded, kind, 1, LONG) for kind in BYTES}
    rows = []
    for turn in range(rounds + 1):
        row = [*(work() for work in anew.values()), *map(seconds, write.values())]
        rows += [row] if turn else []
    took = [statistics.median(column) for column in zip(*rows, strict=True)]
    anew_s = dict(zip(anew, took, strict=False))
    write_s = dict(zip(write, took[len(anew) :], strict=True))
    return {
        "tokens": LONG,
        "anew_s": rounded(anew_s, 1),
        "midigen_s": rounded(write_s, 2),
        "times": {
            who: rounded({kind: whole_s / s for kind, s in write_s.items()}, 1)
            for who, whole_s in anew_s.items()
        },
        "largest_difference_of_logits": float(f"{(whole - one).abs().max():.1e}"),
    }


def bench_start(rounds: int) -> dict[str, Any]:
    def run(*command: str) -> Callable[[], Any]:
        return lambda: subprocess.run(command, check=True, capture_output=True)

    took = taking_turns(
        {
            "import_torch": run(sys.executable, "-c", "import torch"),
            "starter": run(str(BIN / "toksample"), "--tokens", "1024", "--seed", "1"),
        },
        rounds,
    )
    return {
        "seconds": {name: round(s, 2) for name, s in took.items()},
        "times_import": round(took["starter"] / took["import_torch"], 2),
    }


def bench_stream(rounds: int) -> dict[str, Any]:
    """Return how far ahead of playback the bars of `toksample --stream` are, process start and all.

    Playback begins when the first bar is there; a bar is in time if it is there before all bars
    before it have been played.
    """
    firsts, leads, bars = [], [], 0
    for seed in range(rounds):
        line = ["--stream", "--bars", "32", "--seed", str(seed), "--genre", GENRES[seed % 5]]
        start = time.perf_counter()
        with subprocess.Popen([str(BIN / "toksample"), *line], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            arrived = [(time.perf_counter() - start, json.loads(row)) for row in process.stdout]
        played = arrived[0][0]
        firsts.append(played)
        for at, record in arrived:
            leads.append(played - at)
            score = tokenizer_of(record["tok"]).decode([record["ids"]]).value
            played += length_s(score, record["n"]["bars"])
            bars += 1
    return {
        "samples": rounds,
        "bars": bars,
        "first_bar_s": {
            "median": round(statistics.median(firsts), 2),
            "most": round(max(firsts), 2),
        },
        "seconds_ahead": {
            "least": round(min(leads), 3),
            "median": round(statistics.median(leads), 1),
        },
        "bars_late": sum(lead < 0 for lead in leads),
    }


GENRES = ("pop", "classical", "folk", "jazz", "drums")
THREADS = torch.get_num_threads()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "parts", nargs="*", default=[], help="of start, stream, batch, anew; or all"
    )
    parser.add_argument("--rounds", type=int, default=5, help="their median counts (default: 5)")
    options = parser.parse_args()
    parts = options.parts or ["start", "stream", "batch", "anew"]
    if "start" in parts:
        result = bench_start(options.rounds)
        print(json.dumps({"bench": "starter, 1,024 tokens, process and all", **result}), flush=True)
    if "stream" in parts:
        result = bench_stream(5 * options.rounds)
        print(json.dumps({"bench": "toksample --stream, 32 bars a sample", **result}), flush=True)
    loaded = loaded_model()
    if "batch" in parts:
        result = bench_batch(loaded, options.rounds)
        print(json.dumps({"bench": "sampling 512 tokens, llama", **result}), flush=True)
    if "anew" in parts:
        result = bench_anew(loaded, options.rounds)
        print(json.dumps({"bench": "sampling against reading all anew", **result}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

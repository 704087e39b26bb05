"""Check that samples keep to what was asked, whatever the settings: `make check-oracle`.

10,000 samples in all, over every tokenizer, with merges and without, at extreme temperatures,
top-k, top-p, min-p and penalties, of so many bars, tokens or seconds, by an untrained model. None
may need a repair, be without a note (of text: without a byte), or run past its length, and bars
asked are bars got. Prints a line a tokenizer; exits with 1 where one does not hold.
"""

import argparse
import sys
import time
from collections import Counter
from itertools import cycle
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from tokenizer_laws import SPECS, merged_vocab, size, tokenizer

WINDOW, BATCH = 96, 32
SETTINGS: tuple[dict[str, float], ...] = (
    {"temperature": 1.0},
    {"temperature": 0.0},
    {"temperature": 0.1},
    {"temperature": 2.0},
    {"temperature": 2.0, "top_k": 500},
    {"temperature": 1.0, "top_k": 1},
    {"temperature": 1.0, "top_p": 0.01},
    {"temperature": 2.0, "min_p": 1.0},
    {"temperature": 0.7, "repetition": 5.0},
    {"temperature": 0.1, "repetition": 0.5, "top_p": 0.3},
)
LIMITS: tuple[dict[str, float], ...] = (
    {"tokens": 40},
    {"bars": 1},
    {"tokens": 333},
    {"bars": 5},
    {"seconds": 6.0},
    {"bars": 2},
    {},
)
BYTES = ({"tokens": 40}, {"tokens": 333}, {})


class Job(NamedTuple):
    spec: str
    merges: bool
    count: int


def loaded_of(job: Job) -> Any:
    """Return a llama as it is before training, as if it had been loaded from a folder."""
    import torch

    from midigen.modelfolder import Loaded
    from midigen.modelvocab import ModelVocab
    from midigen.registry import load
    from midigen.split import SplitRule

    torch.set_num_threads(1)
    vocab = merged_vocab(job.spec)
    if not job.merges:
        vocab = ModelVocab(vocab.base, vocab.tok, bar_starts=vocab.bar_starts)
    llama = load("models", "llama")
    torch.manual_seed(0)
    model = llama.build(llama.Config(width=32, layers=1, head=16), len(vocab)).eval()
    return Loaded(model, {}, vocab, SplitRule(), WINDOW, Path("untrained"), "0" * 16)


def check(job: Job) -> tuple[Job, Counter[str], float]:
    """Return what was wrong, by kind, and `samples`: how many were made."""
    from midigen.errors import MidigenError
    from midigen.plan import Limits
    from midigen.sampled import Request, Samples
    from midigen.sampler import Settings

    start, found = time.monotonic(), Counter[str]()
    loaded, made = loaded_of(job), tokenizer(job.spec)
    is_text = made.medium == "text"
    ways = [(s, li) for li in (BYTES if is_text else LIMITS) for s in SETTINGS]
    for number, (settings, limits) in enumerate(cycle(ways)):
        left = job.count - found["samples"]
        if left <= 0 or number == 4 * len(ways):
            break
        count = min(left, -(-job.count // len(ways)))
        request = Request(
            number, count, limits=Limits(**limits), settings=Settings(**settings), batch=BATCH
        )
        try:
            samples = Samples(loaded, request)
        except MidigenError:
            found["without bars"] += 1
            continue
        for record in samples.from_nothing():
            found["samples"] += 1
            decoded = made.decode([record["ids"]])
            found["repaired"] += bool(decoded.repairs)
            found["empty"] += not size(decoded.value)
            found["too long"] += len(record["ids"]) > limits.get("tokens", sys.maxsize)
            if "bars" in limits:
                bars = len(made.bar_starts(np.array(record["ids"])))
                found["other bars"] += bars != limits["bars"]
    return job, found, time.monotonic() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("specs", nargs="*", default=list(SPECS), help="tokenizers; none: all")
    parser.add_argument("-j", "--jobs", type=int, default=1, help="processes")
    parser.add_argument("--samples", type=int, default=10_000, metavar="N", help="in all")
    options = parser.parse_args()
    each = -(-options.samples // (2 * len(options.specs)))
    jobs = [Job(spec, merges, each) for spec in options.specs for merges in (False, True)]
    total, wrong = 0, 0
    with get_context("spawn").Pool(options.jobs) as pool:
        for job, found, seconds in pool.imap(check, jobs):
            bad = {k: n for k, n in found.items() if n and k not in ("samples", "without bars")}
            total += found["samples"]
            wrong += sum(bad.values())
            name = f"{job.spec}{', merged' * job.merges}"
            print(f"{name}: {found['samples']} samples, {bad or 'all right'}, {seconds:.0f} s")
            sys.stdout.flush()
    print(f"{total} samples, {wrong} faults")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())

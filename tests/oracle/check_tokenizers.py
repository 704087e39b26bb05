"""Check that what is sampled under the grammars needs no repair: `make check-oracle`.

For every tokenizer, sequences of 200 to 2,000 base ids that an untrained model writes under its
grammar, without merges and with merges learned from the tunes, must decode without a repair, and
have more than 20 notes on average. Prints a line each; exits with 1 where one does not hold.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from tokenizer_laws import SPECS, grammar, is_music, merged_vocab, refusal, size, tokenizer

SHORTEST, LONGEST = 200, 2000
FEWEST_NOTES = 20
WINDOW, BATCH = 64, 128


class Job(NamedTuple):
    spec: str
    merges: bool
    count: int
    seed: int


class Found(NamedTuple):
    """What became of a job: lengths and notes (of text: bytes) of the sequences, repairs."""

    job: Job
    merges: int
    lengths: list[int]
    notes: list[int]
    repaired: int
    refused: int
    repairs: Counter[str]
    seconds: float

    @property
    def is_right(self) -> bool:
        enough = np.mean(self.notes) > FEWEST_NOTES
        return bool(enough) and not self.repaired and not self.refused

    def __str__(self) -> str:
        what = "notes" if is_music(self.job.spec) else "bytes"
        text = (
            f"{self.job.spec}, {self.merges} merges: {len(self.lengths)} of {min(self.lengths)} to"
            f" {max(self.lengths)} ids, {np.mean(self.notes):.1f} {what} on average,"
            f" {self.repaired} repaired, {self.refused} refused, {self.seconds:.0f} s"
        )
        return text + (f" {dict(self.repairs)}" if self.repairs else "")


def samples(job: Job) -> Iterator[list[int]]:
    """Yield base ids, written by a llama as it is before training: `toksample`'s own way."""
    import torch

    from midigen.constrain import Lifted
    from midigen.draft import Draft
    from midigen.modelvocab import ModelVocab
    from midigen.plan import Limits, Plan
    from midigen.prompts import unprompted
    from midigen.registry import load
    from midigen.sampler import Settings, sample

    torch.set_num_threads(1)
    vocab = merged_vocab(job.spec)
    if not job.merges:
        vocab = ModelVocab(vocab.base, vocab.tok, bar_starts=vocab.bar_starts)
    lifted = Lifted(grammar(job.spec), vocab.expansions)
    llama = load("models", "llama")
    torch.manual_seed(job.seed)
    model = llama.build(llama.Config(width=32, layers=1, head=16), len(vocab)).eval()
    rng = np.random.default_rng(job.seed)
    lengths = rng.integers(SHORTEST, LONGEST + 1, job.count).tolist()

    def drafts() -> Iterator[Draft]:
        for index, length in enumerate(sorted(lengths)):
            plan = Plan(vocab, tokenizer(job.spec), lifted, Limits(tokens=length), WINDOW, job.seed)
            yield Draft(plan, unprompted(plan, {}), index)

    for draft in sample(model, WINDOW, drafts(), Settings(), batch=BATCH):
        yield draft.ids


def check(job: Job) -> Found:
    start = time.monotonic()
    lengths, notes, repairs = [], [], Counter[str]()
    repaired = refused = 0
    for ids in samples(job):
        decoded = tokenizer(job.spec).decode([ids])
        lengths.append(len(ids))
        notes.append(size(decoded.value))
        repairs.update(decoded.repairs)
        repaired += bool(decoded.repairs)
        refused += refusal(job.spec, ids) != ""
    seconds = time.monotonic() - start
    merges = len(merged_vocab(job.spec).merges) if job.merges else 0
    return Found(job, merges, lengths, notes, repaired, refused, repairs, seconds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("specs", nargs="*", default=list(SPECS), help="tokenizers; none: all")
    parser.add_argument("-j", "--jobs", type=int, default=1, help="processes")
    parser.add_argument("--samples", type=int, default=1000, metavar="N", help="sequences of each")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    start, wrong = time.monotonic(), 0
    jobs = [
        Job(spec, merges, options.samples, options.seed)
        for spec in options.specs
        for merges in (False, True)
    ]
    with get_context("spawn").Pool(options.jobs) as pool:
        results: Any = pool.imap(check, jobs)
        for found in results:
            wrong += not found.is_right
            print(found, flush=True)
    print(f"{len(jobs)} kinds of samples, {wrong} wrong, {time.monotonic() - start:.0f} s")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())

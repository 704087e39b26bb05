"""Check that samples do not depend on how many are written side by side: `make check-oracle`.

    check_batches.py [-m MODEL] [--samples N] [--tokens N]

The same samples in fp32, one at a time, 8 and 16 side by side: at least 99 % must be the same ids.
And the logits of the same rows, alone and side by side, each beginning a place behind the one
before it, which must be within 1e-4. Prints both for each size; exits with 1 where one does not
hold.
"""

import argparse
import sys
from collections.abc import Iterator

import torch

from midigen.checkpoints import find
from midigen.modelfolder import Loaded, load
from midigen.plan import Limits
from midigen.sampled import Request, Samples, for_sampling

SIZES = (1, 8, 16)


def written(loaded: Loaded, count: int, tokens: int, batch: int) -> list[list[int]]:
    request = Request(0, count, limits=Limits(tokens=tokens), batch=batch, precision="fp32")
    return [record["ids"] for record in Samples(loaded, request).from_nothing()]


def logits(loaded: Loaded, ids: torch.Tensor, batch: int) -> Iterator[torch.Tensor]:
    """Yield the logits (B, T, V) of ids (N, T), read one place at a time, B rows side by side.

    Row r begins at place r.
    """
    decoder, length = for_sampling(loaded.model, "fp32"), ids.shape[1]
    for rows in ids.split(batch):
        places = length + len(rows) - 1
        cache = decoder.new_cache(len(rows), places)
        cache.starts[:] = torch.arange(len(rows))
        padded = torch.zeros(len(rows), places, dtype=torch.int64)
        for r, row in enumerate(rows):
            padded[r, r : r + length] = row
        with torch.inference_mode():
            steps = [decoder.step(padded[:, i : i + 1], cache) for i in range(places)]
        found = torch.cat(steps, dim=1)
        yield torch.stack([found[r, r : r + length] for r in range(len(rows))])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-m", "--model", default="starter")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--tokens", type=int, default=64)
    options = parser.parse_args()
    loaded = load(find(options.model))
    some = torch.randint(0, len(loaded.vocab.base), (32, options.tokens))
    alone = torch.cat(list(logits(loaded, some, 1)))
    first, fails = written(loaded, options.samples, options.tokens, 1), 0
    for size in SIZES[1:]:
        found = written(loaded, options.samples, options.tokens, size)
        same = sum(a == b for a, b in zip(first, found, strict=True)) / len(first)
        apart = float((torch.cat(list(logits(loaded, some, size))) - alone).abs().max())
        print(
            f"{size} side by side: {same:.2%} of {len(first)} samples are those of one at a time;"
        )
        print(f"    logits differ by {apart:.1e} at most")
        fails += same < 0.99 or apart > 1e-4
    return int(fails > 0)


if __name__ == "__main__":
    sys.exit(main())

"""What narrow weights cost: the loss of pieces as sampling computes it, by --precision.

    check_precision.py -m MODEL [--pieces N] RECORDS

The first N test pieces of a stream, cut to the model's window, go through the steps that sampling
takes (with keys and values kept as narrow as they are there). Prints nats a token, and how much
more they are than in fp32, with its interval of 95 % (bootstrap over pieces). Fails where a
precision costs more than a thousandth.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

from midigen.context import context
from midigen.contrast import interval
from midigen.jsonl import RecordReader
from midigen.modelfolder import load
from midigen.prompts import make_prompt
from midigen.record import is_original
from midigen.rejects import Rejects
from midigen.sampled import PRECISIONS, Request, Samples, for_sampling
from midigen.sampler import CHUNK

MOST = 0.001


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-m", "--model", type=Path, required=True)
    parser.add_argument("--pieces", type=int, default=40)
    parser.add_argument("records", nargs="*", default=["-"])
    options = parser.parse_args()
    loaded = load(options.model)
    plan = Samples(loaded, Request(0)).plan
    kinds = [kind for kind in PRECISIONS if kind != "auto"]
    models, rows = [for_sampling(loaded.model, kind) for kind in kinds], []
    for record in RecordReader(options.records, Rejects()):
        if loaded.split_rule.split(record) != "test" or not is_original(record):
            continue
        prompt = make_prompt(plan, record, {}, None)
        read = context(plan, prompt.conditions, prompt.ids)
        if len(read) < 2:
            continue
        nats = []
        for model in models:
            cache = model.new_cache(1, loaded.window)
            with torch.inference_mode():
                parts = torch.tensor([read]).split(CHUNK, dim=1)
                logits = torch.cat([model.step(part, cache) for part in parts], 1)[0, :-1].float()
                wanted = torch.tensor(read[1:])
                loss = torch.nn.functional.cross_entropy(logits, wanted, reduction="sum")
            nats.append(float(loss))
        rows.append([len(read) - 1, *nats])
        if len(rows) == options.pieces:
            break
    if not rows:
        sys.exit("no test piece in the stream")
    table = np.array(rows)
    tokens, plain = table[:, 0], table[:, 1]
    worst = 0.0
    print(f"{len(table)} pieces, {int(tokens.sum())} tokens")
    for kind, nats in zip(kinds, table.T[1:], strict=True):
        more = nats.sum() / plain.sum() - 1
        worst = max(worst, more)
        found = interval(nats - plain, tokens)
        print(f"{kind}: {nats.sum() / tokens.sum():.5f} nats a token, {more:+.4%}; more: {found}")
    return int(worst > MOST)


if __name__ == "__main__":
    sys.exit(main())

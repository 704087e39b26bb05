"""What filling in is worth: the loss of bars with what is behind them known, and without.

    check_infill.py -m MODEL [--bars N] [--by FIELD] [--split NAME] RECORDS

Of every test piece of a stream (or of another split) N bars in its middle are scored as the model
would write them: under --infill, and as a continuation of what is before them. Prints nats a note
of both for each value of a field of the records and for all pieces, and what filling in gains, with
its interval of 95 % (bootstrap over groups, where there are ten).

Give it the records that the model was trained from: in another stream of the same files, without
their groups and conditions, pieces count as held out of which the model knows versions.
"""

import argparse
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

from midigen.conditions import condition_values
from midigen.context import context
from midigen.contrast import interval
from midigen.draft import Draft
from midigen.jsonl import RecordReader
from midigen.modelfolder import Loaded, load
from midigen.prompts import Task, fill_prompt, make_prompt
from midigen.record import is_original
from midigen.rejects import Rejects
from midigen.sampled import Request, Samples
from midigen.tokenizers import tokenizer_of


def nats(loaded: Loaded, before: list[int], ids: list[int]) -> float:
    """Return the nats of model ids behind what is read before them."""
    read = torch.tensor([[*before, *ids[:-1]]])
    with torch.inference_mode():
        logits = loaded.model(read)[0, len(before) - 1 :].float()
        wanted = torch.tensor(ids)
        return float(torch.nn.functional.cross_entropy(logits, wanted, reduction="sum"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-m", "--model", type=Path, required=True)
    parser.add_argument("--bars", type=int, default=2)
    parser.add_argument("--by", default="genre")
    parser.add_argument("--split", default="test")
    parser.add_argument("records", nargs="*", default=["-"])
    options = parser.parse_args()
    loaded, rejects = load(options.model), Rejects()
    tokenizer, rows = tokenizer_of(loaded.vocab.tok), defaultdict(dict)
    for record in RecordReader(options.records, rejects):
        if loaded.split_rule.split(record) != options.split or not is_original(record):
            continue
        starts = tokenizer.bar_starts(np.array(record["ids"])).tolist()
        first = len(starts) // 2
        if len(starts) < 2 * options.bars + 2:
            continue
        task = Task((first + 1, first + options.bars))
        plan = Samples(loaded, Request(0, task=task)).plan
        prompt = fill_prompt(plan, make_prompt(plan, record, {}, None), task)
        true = record["ids"][starts[first] : starts[first + options.bars]]
        ids = loaded.vocab.encode(true).tolist()
        filled = Draft(plan, prompt, 0).context
        plain = context(plan, prompt.conditions, prompt.ids)
        if max(len(filled), len(plain)) + len(ids) > loaded.window or not plain:
            continue
        notes = tokenizer.decode([true]).value.note_num()
        if notes:
            found = np.array([notes, nats(loaded, filled, ids), nats(loaded, plain, ids), 1.0])
            for value in ["all", *condition_values(record, options.by)]:
                groups = rows[value]
                groups[record["group"]] = groups.get(record["group"], 0) + found
    if not rows:
        sys.exit("no piece is long enough, and short enough for the window")
    print(f"| {options.by} | pieces | notes | filling in | going on | gain |")
    print("|---|--:|--:|--:|--:|--:|")
    for value in sorted(rows, key=lambda value: (value == "all", value)):
        table = np.stack(list(rows[value].values()))
        notes, infill, onward, pieces = table.sum(axis=0)
        gain = interval(table[:, 2] - table[:, 1], table[:, 0])
        words = "" if gain is None else "{:.2f} ({:.2f} to {:.2f})".format(*gain)
        print(
            f"| {value} | {int(pieces)} | {int(notes):,} | {infill / notes:.3f} |"
            f" {onward / notes:.3f} | {words} |"
        )
    return 0 if gain is not None and gain[1] > 0 else 1


if __name__ == "__main__":
    sys.exit(main())

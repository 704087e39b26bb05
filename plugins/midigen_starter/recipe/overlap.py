"""How much of samples stands in the training data: ``overlap.py MODEL SAMPLES REAL...``.

Of every 32 successive notes (drums left out) of the samples: the share whose 31 intervals also
stand in a training piece; for comparison, the share of the test pieces' that do. Notes are taken
as the tokenizer writes them, durations and times are not looked at, so that less is counted as
new than an ear would. Prints a table by genre, in Markdown.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np

from midigen.jsonl import RecordReader
from midigen.leakage import Passages
from midigen.modelfolder import load
from midigen.record import is_original, meta_values
from midigen.rejects import Rejects
from midigen.tokenizers import tokenizer_of

NOTES = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("samples", help="records that the model wrote")
    parser.add_argument("real", nargs="+", help="records of all its pieces")
    options = parser.parse_args()
    loaded = load(options.model, "cpu")
    reader = Passages(tokenizer_of(loaded.vocab.tok), NOTES - 1)
    train: list[np.ndarray] = []
    found: dict[str, dict[str, list[np.ndarray]]] = {
        kind: defaultdict(list) for kind in ("samples", "test")
    }
    for record in RecordReader(options.real, Rejects(strict=True)):
        if not is_original(record):
            continue
        passages, split = reader.all(np.array(record["ids"])), loaded.split_rule.split(record)
        if split == "train":
            train.append(np.unique(passages))
        elif split == "test":
            for genre in meta_values(record, "genre"):
                found["test"][genre].append(passages)
    for record in RecordReader([options.samples], Rejects(strict=True)):
        for genre in meta_values(record, "genre") or ["any"]:
            found["samples"][genre].append(reader.all(np.array(record["ids"])))
    known = np.unique(np.concatenate(train))

    def cells(parts: list[np.ndarray]) -> str:
        windows = np.concatenate(parts) if parts else np.empty(0, np.uint64)
        share = np.isin(windows, known).mean() if len(windows) else float("nan")
        return f"{len(parts)} | {len(windows):,} | {share:.2%}"

    print("| genre | samples | windows | in training | test pieces | windows | in training |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for genre in sorted(found["samples"]):
        print(f"| {genre} | {cells(found['samples'][genre])} | {cells(found['test'][genre])} |")
    total = [[p for parts in kind.values() for p in parts] for kind in found.values()]
    print(f"| all | {cells(total[0])} | {cells(total[1])} |")


if __name__ == "__main__":
    main()

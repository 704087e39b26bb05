"""Several processes train as one does: gloo on the CPU, as torchrun starts them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Runner
from hand_records import lines_of, piece

from midigen.ranks import Ranks
from midigen.windows import IGNORE, START, Batch

MODEL = ("--model", "llama:width=32,layers=2,head=16", "--window", "64", "--batch", "320")
RUN = (
    *MODEL,
    "--dtype",
    "fp32",
    "--optimizer",
    "adamw",
    "--steps",
    "6",
    "--evals",
    "2",
    "--patience",
    "0",
)


def lines(data: bytes, event: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in data.splitlines() if line.startswith(b"{")]
    return [line for line in found if line["event"] == event]


def losses(data: bytes) -> list[float]:
    found = [line["train_loss"] for line in lines(data, "eval")]
    found += [line["val"]["loss"] for line in lines(data, "eval")]
    return [*found, lines(data, "final")[0]["test"]["loss"]]


def together(run: Runner, *args: str) -> bytes:
    command = f"{run.bin_dir}/torchrun --standalone --nproc-per-node 2 -m midigen.cli.toktrain"
    env = {"OMP_NUM_THREADS": "1"}
    done = run.shell(f"{command} {' '.join(args)} < in.jsonl", env=env, timeout=180)
    return done.out


@pytest.mark.parametrize("kind", ["data", "shard"])
def test_two_processes_give_the_losses_of_one(run: Runner, kind: str) -> None:
    (run.folder / "in.jsonl").write_bytes(lines_of([piece(k) for k in range(30)]))
    alone = run("toktrain", "in.jsonl", "-o", "one", *RUN, env={"OMP_NUM_THREADS": "1"})
    more = ("--shard",) if kind == "shard" else ("--bpe", "20")
    if kind == "data":
        alone = run("toktrain", "in.jsonl", "-o", "bpe", *RUN, *more, env={"OMP_NUM_THREADS": "1"})
    found = together(run, "-o", "two", *RUN, *more)
    assert losses(found) == pytest.approx(losses(alone.out), abs=2e-4)
    # The last step goes on from the state of both, in one process.
    name = "one" if kind == "shard" else "bpe"
    for model in (name, "two"):
        run("toktrain", "--resume", "-o", model, "--steps", "8", env={"OMP_NUM_THREADS": "1"})
    ends = [(run.folder / model / "metrics.jsonl").read_bytes() for model in (name, "two")]
    assert lines(ends[1], "final")[0]["test"]["loss"] == pytest.approx(
        lines(ends[0], "final")[0]["test"]["loss"], abs=1e-3
    )


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_rows_are_shared_out_and_none_is_lost(size: int) -> None:
    ids = np.arange(4 * 3).reshape(4, 3)
    batch = Batch(ids, ids + 100, ids * 0, START, 12, False)
    parts = [Ranks(rank, size).rows(batch) for rank in range(size)]
    assert len({part.ids.shape for part in parts}) == 1
    found = np.concatenate([part.targets[(part.targets != IGNORE)] for part in parts])
    assert sorted(found.tolist()) == sorted(batch.targets.ravel().tolist())
    assert {part.scored for part in parts} == {12}


def test_shard_needs_several_processes(run: Runner, tmp_path: Path) -> None:
    (run.folder / "in.jsonl").write_bytes(lines_of([piece(k) for k in range(30)]))
    assert "torchrun" in run("toktrain", "in.jsonl", "--shard", *RUN, code=2).err

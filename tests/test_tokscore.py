"""`tokscore` and `tokfilter --best`: losses in records, and the best of many."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Runner
from test_tokeval import lines, piece
from tiny_model import save_tiny, some_merges, tiny_vocab

from midigen.best import Best, best
from midigen.errors import UsageError

ENV = {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    vocab = tiny_vocab(merges=some_merges("remi"))
    return save_tiny(tmp_path_factory.mktemp("tiny") / "m", vocab, window=64)


def records_of(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.splitlines()]


def test_every_record_passes_with_the_losses_that_tokeval_gives(run: Runner, model: Path) -> None:
    bars = {"train": (3, 40), "val": (5,), "test": (7, 2)}
    given = [piece(n, split, own=n) for split, counts in bars.items() for n in counts]
    given[1]["aug"] = {"shift": 2}
    given[2]["score"] = {"loss": 0.0}
    done = run("tokscore", "-m", model, stdin=lines(*given), env=ENV)
    found = records_of(done.out)
    evaluated = records_of(run("tokeval", "-m", model, stdin=lines(*given), env=ENV).out)
    for before, after, other in zip(given, found, evaluated, strict=False):
        score = after.pop("score")
        assert {key: after[key] for key in ("id", "ids", "own")} == {
            key: before[key] for key in ("id", "ids", "own")
        }
        assert score == {key: other[key] for key in score}
        assert score.keys() == {"loss", "ppl", "loss_note", "loss_bar", "bits_second"}
    assert len(found) == len(given)
    assert "5 records scored" in done.err


def test_other_vocabularies_and_broken_ids_are_told(run: Runner, model: Path) -> None:
    broken = piece(3, "train", ids=[1, 99_999])
    done = run(
        "tokscore", "-m", model, "--rejects", "r.jsonl",
        stdin=lines(broken, piece(2, "train")), env=ENV,
    )  # fmt: skip
    assert len(done.lines) == 1
    assert json.loads((run.folder / "r.jsonl").read_text())["id"] == broken["id"]
    other = run("tokscore", "-m", model, stdin=lines(piece(2, "x", tok="remi#00000000")), code=1)
    assert "the model reads remi" in other.err


def test_the_best_of_many_samples(run: Runner, model: Path) -> None:
    run.shell(
        f"toksample -q -m {model} -n 12 --tokens 60 --seed 3"
        f" | tokscore -m {model} -o scored.jsonl", env=ENV,
    )  # fmt: skip
    scored = sorted(
        records_of((run.folder / "scored.jsonl").read_bytes()), key=lambda r: r["score"]["loss"]
    )
    done = run("tokfilter", "--best", "4", "scored.jsonl")
    assert records_of(done.out) == scored[:4]
    assert "4 of 12 records passed" in done.err
    worst = run(
        "tokfilter", "--best", "2", "--by=-score.loss", "--max-tokens", "60", "scored.jsonl"
    )
    assert records_of(worst.out) == scored[:-3:-1]


def test_records_without_a_number_are_never_the_best(run: Runner) -> None:
    done = run("tokfilter", "--best", "1", stdin=lines(piece(2, "train")), code=1)
    assert done.out == b"" and "1 without score.loss" in done.err
    assert "keys with dots" in run("tokfilter", "--best", "1", "--by", "a..b", code=2).err


def test_only_the_best_are_held_and_the_first_of_equals_stays() -> None:
    kept = Best(3, "n.notes")
    values = [5, 1, 4, 1, 9, 0, 1, None, True, "2", 1]
    offered = [json.dumps({"n": {"notes": v}, "k": k}).encode() for k, v in enumerate(values)]
    for line in offered:
        kept.offer(line)
        assert len(kept.lines()) <= 3
    assert [json.loads(line)["k"] for line in kept.lines()] == [5, 1, 3]
    assert (kept.seen, kept.without) == (8, 3)
    assert best(offered, Best(2, "-n.notes")) == [offered[4], offered[0]]
    with pytest.raises(UsageError):
        Best(1, "")

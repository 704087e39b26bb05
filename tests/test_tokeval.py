"""`tokeval`: losses against those of a plain forward pass, splits apart, and what is refused."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Runner
from tiny_model import save_tiny, some_merges, tiny_vocab, tok_of

from midigen.evaluate import Evaluation
from midigen.jsonl import RecordReader
from midigen.modelfolder import Loaded, load
from midigen.rejects import Rejects
from midigen.split import SplitRule
from midigen.tokenizers import tokenizer_of


def piece(bars: int, split: str, **more: Any) -> dict[str, Any]:
    """Return a piece of so many bars with one note each, whose corpus names its split."""
    index = tokenizer_of(tok_of("remi")).vocab.index
    ids = []
    for bar in range(bars):
        names = ["Bar_None", "TimeSig_4/4", "Position_0", "Program_0", f"Pitch_{60 + bar % 30}"]
        ids += [index[name] for name in [*names, "Velocity_63", "Duration_1.0.8"]]
    record = {"id": f"{split}{bars}", "src": f"{bars}.mid", "tok": tok_of("remi"), "ids": ids}
    record |= {"n": {"notes": bars, "bars": bars}, "meta": {"split": split, "genre": "pop"}}
    return record | more


def lines(*records: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    vocab = tiny_vocab(merges=some_merges("remi"))
    return save_tiny(tmp_path_factory.mktemp("tiny") / "m", vocab, window=64)


def evaluate(
    loaded: Loaded, folder: Path, *records: dict[str, Any], **options: Any
) -> tuple[list[dict[str, Any]], Evaluation]:
    (folder / "in.jsonl").write_bytes(lines(*records))
    evaluation = Evaluation(loaded, "cpu", **options)
    reader = RecordReader([str(folder / "in.jsonl")], Rejects(strict=True))
    found = list(evaluation.lines(reader, Rejects(strict=True)))
    return found + list(evaluation.total_lines()), evaluation


def nats(loaded: Loaded, record: dict[str, Any]) -> tuple[float, int]:
    """Return the nats of a piece that fits the window, and its model ids, by one forward pass."""
    vocab = loaded.vocab
    start = [vocab.conditions["genre"]["pop"], vocab.bos]
    ids = [*vocab.encode(record["ids"]).tolist(), vocab.eos]
    assert len(start) + len(ids) - 1 <= loaded.window
    chances = loaded.model(torch.tensor([start + ids[:-1]])).log_softmax(-1)[0, 1:]
    return -sum(float(chances[place, id]) for place, id in enumerate(ids)), len(ids)


def test_losses_are_those_of_a_forward_pass(model: Path, tmp_path: Path) -> None:
    loaded, record = load(model), piece(6, "test")
    (line, total), _ = evaluate(loaded, tmp_path, record)
    wanted, tokens = nats(loaded, record)
    assert line == {
        "id": "test6", "src": "6.mid", "split": "test", "tokens": tokens, "notes": 6, "bars": 6,
        "seconds": None, "bits_second": None,
        "loss": pytest.approx(wanted / tokens, abs=1e-4),
        "ppl": pytest.approx(math.exp(wanted / tokens), rel=1e-3),
        "loss_note": pytest.approx(wanted / 6, abs=1e-3),
        "loss_bar": pytest.approx(wanted / 6, abs=1e-3),
    }  # fmt: skip
    assert total == {"total": "test", "pieces": 1} | {
        key: value for key, value in line.items() if key not in ("id", "src", "split")
    }


def test_types_of_tokens_add_up_to_the_whole(model: Path, tmp_path: Path) -> None:
    found, _ = evaluate(load(model), tmp_path, piece(6, "test"), piece(3, "test"), by_type=True)
    *lines, total = found
    assert all("types" not in line for line in lines)
    types = total["types"]
    assert set(types) == {"merged", "end"}
    assert sum(part["tokens"] for part in types.values()) == total["tokens"]
    assert sum(part["loss_note"] for part in types.values()) == pytest.approx(
        total["loss_note"], abs=1e-3
    )


def test_splits_have_totals_of_their_own(model: Path, tmp_path: Path) -> None:
    records = [piece(bars, split) for bars, split in ((3, "train"), (5, "test"), (4, "test"))]
    found, _ = evaluate(load(model), tmp_path, *records)
    assert [line.get("id") for line in found] == ["train3", "test5", "test4", None, None]
    test, train = found[3:]
    assert (test["total"], test["pieces"], test["notes"]) == ("test", 2, 9)
    assert (train["total"], train["pieces"], train["notes"]) == ("train", 1, 3)
    whole = sum(line["loss"] * line["tokens"] for line in found[1:3])
    assert test["loss"] == pytest.approx(whole / test["tokens"], abs=1e-4)


def test_every_id_of_a_piece_longer_than_the_window_is_scored(model: Path, tmp_path: Path) -> None:
    loaded, record = load(model), piece(60, "val")
    (line, _), _ = evaluate(loaded, tmp_path, record)
    assert line["tokens"] == len(loaded.vocab.encode(record["ids"])) + 1 > 2 * loaded.window
    assert line["loss"] < 2 * np.log(len(loaded.vocab))


def test_copies_of_held_out_pieces_are_not_scored_unless_asked(model: Path, tmp_path: Path) -> None:
    copies = [piece(2, split, aug={"shift": 1}) for split in ("train", "val", "test")]
    found, evaluation = evaluate(load(model), tmp_path, *copies)
    assert [line["split"] for line in found[:-1]] == ["train"]
    assert evaluation.skipped == {"augmented": 2}
    found, _ = evaluate(load(model), tmp_path, *copies, augmented=True)
    assert [line["split"] for line in found[:3]] == ["train", "val", "test"]


def test_one_split_alone(model: Path, tmp_path: Path) -> None:
    records = [piece(2, split) for split in ("train", "val", "test")]
    found, evaluation = evaluate(load(model), tmp_path, *records, only="val")
    assert [line.get("id", line.get("total")) for line in found] == ["val2", "val"]
    assert evaluation.skipped == {"of another split": 2}


def test_the_rule_in_the_folder_decides_where_the_corpus_does_not(tmp_path: Path) -> None:
    rule = SplitRule("held", val=frozenset("v"), test=frozenset("t"))
    loaded = load(save_tiny(tmp_path / "m", rule=rule))
    records = [piece(2, "train", group=group, meta={}) for group in "vtx"]
    found, _ = evaluate(loaded, tmp_path, *records)
    assert [line["split"] for line in found[:3]] == ["val", "test", "train"]


def test_of_a_model_of_one_piece_the_last_tenth_is_scored(tmp_path: Path) -> None:
    rule = SplitRule("tail", val=frozenset("g"), test=frozenset("g"))
    loaded = load(save_tiny(tmp_path / "m", rule=rule))
    (line, _), _ = evaluate(loaded, tmp_path, piece(20, "", group="g", meta={}))
    # Two bars of seven ids and the end; nothing stands before the first of them.
    assert (line["split"], line["tokens"]) == ("test", 14)
    assert line["loss_note"] is None and line["loss"] > 0


def test_counts_that_nobody_made_are_null(model: Path, tmp_path: Path) -> None:
    found, _ = evaluate(load(model), tmp_path, piece(2, "test"), piece(3, "test", n={"bars": 3}))
    assert found[0]["loss_note"] > 0 and found[1]["loss_note"] is None
    assert found[2]["notes"] is None and found[2]["bars"] == 5


def test_the_command_writes_lines_and_says_the_totals(run: Runner, model: Path) -> None:
    bad = piece(1, "test") | {"ids": [565]}
    odd = piece(1, "nonsense")
    stream = lines(piece(2, "test"), bad, odd, piece(3, "train"), piece(4, "val"))
    result = run("tokeval", "-m", model, "--rejects", "no.jsonl", stdin=stream)
    found = [json.loads(line) for line in result.lines]
    names = [line.get("id") or line["total"] for line in found]
    assert names == ["test2", "train3", "val4", "test", "val", "train"]
    assert "tokeval: test: 1 pieces; nats: " in result.err
    assert "3 records scored; 2 rejected (2 record)" in result.err
    rejects = [json.loads(line) for line in (run.folder / "no.jsonl").read_bytes().splitlines()]
    assert "565 not in 0..564" in rejects[0]["detail"]
    assert "'nonsense' is not one of" in rejects[1]["detail"]


def test_another_vocabulary_is_refused(run: Runner, model: Path) -> None:
    other = piece(1, "test") | {"tok": tok_of("remi:tempos=0")}
    result = run("tokeval", "-m", model, stdin=lines(piece(1, "test"), other), code=1)
    assert result.err.startswith(f"tokeval: <stdin>:2: tok {other['tok']}; the model reads remi#")
    assert result.err.count("\n") == 1


def test_nothing_to_score_is_exit_code_1(run: Runner, model: Path) -> None:
    stream = lines(piece(1, "train"))
    result = run("tokeval", "-m", model, "--split", "test", stdin=stream, code=1)
    assert result.out == b"" and "0 records scored, 1 of another split skipped" in result.err


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["--split", "dev"], 2, "'dev' is not one of train, val, test"),
        (["--device", "gpu"], 2, "'gpu' is not one of auto, cpu"),
        (["-m", "nowhere"], 1, "nowhere does not exist"),
    ],
)
def test_what_cannot_be_is_one_line_and_an_exit_code(
    run: Runner, argv: list[str], code: int, words: str
) -> None:
    result = run("tokeval", *argv, stdin=lines(piece(1, "test")), code=code)
    assert words in result.err and result.err.count("\n") == 1 and result.out == b""

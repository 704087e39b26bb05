"""--init-from: a run goes on from a model's weights; ids keep their places, new ones follow."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Runner
from hand_records import lines_of, piece, tok_of

from midigen import modelfolder
from midigen.errors import MidigenError
from midigen.initial import read_initial
from midigen.record import Record

MODEL = ("--model", "llama:width=32,layers=2,head=16", "--window", "64", "--batch", "256")
FEW = ("--evals", "1", "--patience", "0", "--condition-least", "1")
ENV = {"OMP_NUM_THREADS": "1"}


def genre(record: Record, name: str) -> Record:
    return record | {"meta": {"genre": name}}


@pytest.fixture
def first(run: Runner) -> Path:
    """A model that knows pop and jazz, with merges."""
    records = [genre(piece(k), "pop" if k % 2 else "jazz") for k in range(30)]
    (run.folder / "a.jsonl").write_bytes(lines_of(records))
    run("toktrain", "a.jsonl", "-o", "a", *MODEL, *FEW, "--bpe", "20", "--steps", "4", env=ENV)
    return run.folder / "a"


def other(run: Runner) -> None:
    records = [genre(piece(k), "pop" if k % 2 else "folk") for k in range(30, 60)]
    (run.folder / "b.jsonl").write_bytes(lines_of(records))


def test_weights_go_on_and_new_conditions_come_behind(run: Runner, first: Path) -> None:
    other(run)
    more = ("--init-from", "a", "--steps", "1", "--lr", "1e-9", *FEW)
    run("toktrain", "b.jsonl", "-o", "b", *more, env=ENV)
    old, new = (modelfolder.load(run.folder / name) for name in "ab")
    assert new.vocab.merges == old.vocab.merges
    assert new.vocab.conditions["genre"].items() > old.vocab.conditions["genre"].items()
    assert new.vocab.conditions["genre"]["folk"] == len(old.vocab) == len(new.vocab) - 1
    before, after = (
        loaded.model.state_dict()["model.embed_tokens.weight"] for loaded in (old, new)
    )
    assert after[: len(before)].allclose(before, atol=1e-6)
    assert after[-1].allclose(before.mean(dim=0), atol=1e-6)
    run("toksample", "-m", "b", "--genre", "folk", "--bars", "2", env=ENV)


def test_held_out_pieces_that_the_first_run_trained_on_are_counted(
    run: Runner, first: Path
) -> None:
    """Of eight pieces the smallest hashes are held out; of thirty, the buckets say which."""
    more = ("--init-from", "a", "--steps", "1", *FEW)
    found = run("toktrain", "a.jsonl", "-o", "b", *more, env=ENV)
    assert "goes on from" not in found.err
    lines = (run.folder / "a.jsonl").read_bytes().splitlines(keepends=True)
    (run.folder / "few.jsonl").write_bytes(b"".join(lines[:8]))
    found = run("toktrain", "few.jsonl", "-o", "c", *more, env=ENV)
    rule, before = (modelfolder.read_split(run.folder / name) for name in "ca")
    records = [json.loads(line) for line in lines[:8]]
    held = [record for record in records if rule.split(record) != "train"]
    count = sum(before.split(record) == "train" for record in held)
    assert count > 0 and f"{count} of the held-out pieces are training pieces" in found.err


def test_of_a_single_piece_all_but_its_end_was_trained_on(run: Runner) -> None:
    records = [genre(piece(k), "pop") for k in range(8)]
    (run.folder / "one.jsonl").write_bytes(lines_of(records[:1]))
    (run.folder / "all.jsonl").write_bytes(lines_of(records))
    short = (*MODEL, "--window", "16", *FEW, "--steps", "1")
    run("toktrain", "one.jsonl", "-o", "a", *short, env=ENV)
    more = ("--init-from", "a", "--steps", "1", *FEW)
    assert "goes on from" not in run("toktrain", "one.jsonl", "-o", "b", *more, env=ENV).err
    found = run("toktrain", "all.jsonl", "-o", "c", *more, env=ENV)
    rule = modelfolder.read_split(run.folder / "c")
    count = sum(rule.split(record) != "train" for record in records)
    assert f"{count} of the held-out pieces are training pieces" in found.err


def test_a_run_from_other_weights_is_resumed_without_them(run: Runner, first: Path) -> None:
    other(run)
    run("toktrain", "b.jsonl", "-o", "b", "--init-from", "a", "--steps", "3", *FEW, env=ENV)
    for path in sorted(first.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    run("toktrain", "--resume", "-o", "b", "--steps", "5", env=ENV)
    assert "folk" in modelfolder.load(run.folder / "b").vocab.conditions["genre"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--preset", "tiny"), "no --preset"),
        (("--model", "llama"), "no --model"),
        (("--bpe", "7"), "merges, not 7"),
        (("--resume",), "no --init-from"),
    ],
)
def test_what_contradicts_the_weights_is_refused(
    run: Runner, first: Path, options: tuple[str, ...], words: str
) -> None:
    files = () if "--resume" in options else ("a.jsonl",)
    found = run("toktrain", *files, "-o", "c", "--init-from", "a", *options, code=2, env=ENV)
    assert words in found.err
    assert not (run.folder / "c.training").exists()


def test_another_vocabulary_is_refused(run: Runner, first: Path) -> None:
    records = [piece(k) | {"tok": tok_of("remi:temporange=50-200")} for k in range(30)]
    (run.folder / "c.jsonl").write_bytes(lines_of(records))
    found = run("toktrain", "c.jsonl", "-o", "c", "--init-from", "a", *FEW, code=1, env=ENV)
    assert "the stream has remi:temporange=50-200" in found.err


def foreign(folder: Path, first: Path, **changes: Any) -> Path:
    """Return the model as another program would have saved it."""
    folder.mkdir()
    config = json.loads((first / "config.json").read_text())
    del config["midigen"]
    (folder / "config.json").write_text(json.dumps(config | changes))
    (folder / "model.safetensors").write_bytes((first / "model.safetensors").read_bytes())
    return folder


def test_a_llama_folder_of_another_program_goes_on(run: Runner) -> None:
    records = [piece(k) for k in range(30)]
    (run.folder / "a.jsonl").write_bytes(lines_of(records))
    plain = ("--condition", "none", "--specials", "none")
    run("toktrain", "a.jsonl", "-o", "a", *MODEL, *FEW, *plain, "--steps", "4", env=ENV)
    foreign(run.folder / "f", run.folder / "a")
    more = ("--init-from", "f", "--steps", "1", "--lr", "1e-9", *FEW, *plain)
    run("toktrain", "a.jsonl", "-o", "b", *more, env=ENV)
    old, new = (modelfolder.load(run.folder / name).model.state_dict() for name in "ab")
    assert all(new[name].allclose(old[name], atol=1e-6) for name in old)
    foreign(run.folder / "g", run.folder / "a", vocab_size=7)
    found = run("toktrain", "a.jsonl", "-o", "c", "--init-from", "g", *FEW, code=1, env=ENV)
    assert "has 7 ids" in found.err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "gpt2"}, "'gpt2'"),
        ({"hidden_act": "gelu"}, "hidden_act='gelu'"),
        ({"rope_scaling": {"rope_type": "yarn"}}, "rope_scaling"),
    ],
)
def test_folders_that_cannot_go_on_say_why(
    first: Path, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(MidigenError, match=words):
        read_initial(foreign(tmp_path / "f", first, **changes))


def test_lora_tunes_a_model_and_gives_an_ordinary_one(run: Runner, first: Path) -> None:
    other(run)
    more = ("--init-from", "a", "--lora", "2", *FEW)
    run("toktrain", "b.jsonl", "-o", "b", *more, "--steps", "3", env=ENV)
    run("toktrain", "--resume", "-o", "b", "--steps", "5", env=ENV)
    old, new = (modelfolder.load(run.folder / name) for name in "ab")
    assert set(new.model.state_dict()) == set(old.model.state_dict())
    refused = run("toktrain", "b.jsonl", "-o", "c", "--lora", "2", code=2, env=ENV)
    assert "--init-from" in refused.err

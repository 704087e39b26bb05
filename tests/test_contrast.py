"""Contrast: the right condition against none and against wrong ones, over a piece's first bars."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Runner
from hand_records import lines_of
from test_recognition import song, songs
from tiny_model import save_tiny, tiny_vocab

from midigen.contrast import Contrast, interval
from midigen.errors import MidigenError
from midigen.jsonl import RecordReader
from midigen.modelfolder import Loaded, load
from midigen.modelvocab import ModelVocab
from midigen.record import Record
from midigen.rejects import Rejects
from midigen.split import SplitRule
from midigen.tokenizers import tokenizer_of

GENRES = {"genre": {"pop": 8, "jazz": 8, "folk": 8}}


class Listener(torch.nn.Module):
    """Told pop it expects Pitch_72 a little more, told jazz a little less, told folk much less."""

    def __init__(self, vocab: ModelVocab) -> None:
        super().__init__()
        self.vocab = vocab
        self.high = vocab.base.index["Pitch_72"]

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(*ids.shape, len(self.vocab))
        for genre, bonus in (("pop", 1.0), ("jazz", -1.0), ("folk", -3.0)):
            told = ids[:, 0] == self.vocab.conditions["genre"][genre]
            logits[told, :, self.high] = bonus
        return logits


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    vocab = tiny_vocab(conditions=GENRES)
    found = load(save_tiny(tmp_path_factory.mktemp("tiny") / "m", vocab))
    return replace(found, model=Listener(vocab))


def high_songs(count: int) -> list[Record]:
    """Return test pieces of pop with a Pitch_72 each."""
    pieces = [song(k, "pop", "test") for k in range(3 * count)]
    high = tokenizer_of(pieces[0]["tok"]).vocab.index["Pitch_72"]
    return [piece for piece in pieces if high in piece["ids"]][:count]


def contrasted(loaded: Loaded, folder: Path, records: list[Record], bars: int = 16) -> Contrast:
    path = folder / "in.jsonl"
    path.write_bytes(lines_of(records))
    contrast, rejects = Contrast(loaded, "cpu", "genre", bars), Rejects()
    contrast.read(RecordReader([str(path)], rejects), rejects)
    return contrast


def test_losses_of_the_three_ways_are_those_of_the_formula(loaded: Loaded, tmp_path: Path) -> None:
    records = high_songs(12)
    (line,) = contrasted(loaded, tmp_path, records).lines()
    size, high = len(loaded.vocab), loaded.vocab.base.index["Pitch_72"]
    notes = sum(record["n"]["notes"] for record in records)
    count = sum(len(record["ids"]) + 1 for record in records)
    hits = sum(record["ids"].count(high) for record in records)

    def loss(bonus: float) -> float:
        return float(count * np.log(size - 1 + np.exp(bonus)) - bonus * hits) / notes

    assert line["value"] == "pop" and line["groups"] == line["pieces"] == 12
    assert line["notes"] == notes
    assert line["loss_note_right"] == pytest.approx(loss(1.0), abs=1e-4)
    assert line["loss_note_dropped"] == pytest.approx(loss(0.0), abs=1e-4)
    assert line["loss_note_wrong"] == pytest.approx((loss(-1.0) + loss(-3.0)) / 2, abs=1e-4)
    middle, low, high_bound = line["dropped_minus_right"]
    assert middle == pytest.approx(loss(0.0) - loss(1.0), abs=1e-4)
    assert low < middle < high_bound


def test_only_the_first_bars_count(loaded: Loaded, tmp_path: Path) -> None:
    records = high_songs(2)
    (whole,) = contrasted(loaded, tmp_path, records).lines()
    (part,) = contrasted(loaded, tmp_path, records, bars=1).lines()
    assert part["notes"] == whole["notes"] / 4
    assert part["dropped_minus_right"] is None


def test_what_trains_and_what_is_unknown_is_passed_over(loaded: Loaded, tmp_path: Path) -> None:
    known = song(1, "pop", "test")
    others = [
        song(2, "pop", "train"),
        song(3, "pop", "test") | {"aug": {"shift": 2}},
        known | {"id": "b" * 16, "meta": {"genre": "polka", "split": "test"}},
    ]
    (line,) = contrasted(loaded, tmp_path, [known, *others]).lines()
    assert line["pieces"] == 1


def test_one_bad_split_is_one_reject(loaded: Loaded, tmp_path: Path) -> None:
    good = song(1, "pop", "test")
    bad = good | {"meta": {"genre": "pop", "split": "third"}}
    path = tmp_path / "in.jsonl"
    path.write_bytes(lines_of([bad, good]))
    contrast, rejects = Contrast(loaded, "cpu", "genre", 16), Rejects()
    contrast.read(RecordReader([str(path)], rejects), rejects)
    assert rejects.total == 1
    assert [line["pieces"] for line in contrast.lines()] == [1]


def test_model_of_a_single_piece_has_none_held_out(loaded: Loaded) -> None:
    alone = replace(loaded, split_rule=SplitRule("tail", frozenset("a"), frozenset("a")))
    with pytest.raises(MidigenError, match="none is held out"):
        Contrast(alone, "cpu", "genre", 16)


def test_interval_is_that_of_the_resampled_ratio() -> None:
    rng = np.random.default_rng(1)
    notes = rng.integers(50, 200, 400).astype(float)
    nats = notes * rng.normal(0.3, 0.5, 400)
    found = interval(nats, notes)
    assert found is not None
    middle, low, high = found
    assert middle == pytest.approx(nats.sum() / notes.sum(), abs=1e-5)
    residuals = nats - middle * notes
    error = residuals.std() * 20 / notes.sum()  # of a ratio, by linearization
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.1)
    assert interval(nats[:9], notes[:9]) is None


def test_model_without_values_cannot_be_asked(loaded: Loaded) -> None:
    with pytest.raises(MidigenError, match="fewer than two values of mood"):
        Contrast(loaded, "cpu", "mood", 16)


def test_command(run: Runner) -> None:
    save_tiny(run.folder / "m", tiny_vocab(conditions=GENRES))
    (run.folder / "in.jsonl").write_bytes(lines_of(songs()))
    done = run("tokeval", "-m", "m", "--contrast", "in.jsonl", env={"OMP_NUM_THREADS": "1"})
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [line["value"] for line in lines] == ["pop", "jazz"]
    assert all(line["groups"] == 4 for line in lines)
    assert "too few groups" in done.err
    refused = run("tokeval", "-m", "m", "--contrast", "--conditions", "in.jsonl", code=2)
    assert "exclude each other" in refused.err

"""Recognition: a classifier of real pieces says whether samples are what was asked for."""

import inspect
import json
from collections.abc import Iterator
from random import Random

import numpy as np
import pytest
from conftest import Runner
from hand_records import bar_words, lines_of, record_of
from tiny_model import save_tiny, tiny_vocab

from midigen.cli.toksample import toksample
from midigen.errors import MidigenError
from midigen.features import COUNT, features
from midigen.modelfolder import Loaded, load
from midigen.recognition import Pieces, recognise, sound
from midigen.record import Record
from midigen.sampler import AS_TOKSAMPLE
from midigen.tokenizers import tokenizer_of


def song(k: int, genre: str, split: str) -> Record:
    """Pop here is high and leaps, jazz is low, steps, and has drums."""
    random = Random(f"{genre}{k}")
    bars = []
    for _ in range(4):
        pitch = 72 if genre == "pop" else 40
        notes = []
        for _ in range(7):
            pitch += random.choice((-7, 7, 5, -5) if genre == "pop" else (-1, 1, 2, -2))
            notes.append((0, min(max(pitch, 30), 90)))
        bars.append(notes if genre == "pop" else [*notes[:4], (-1, 38), *notes[4:6]])
    words = [word for bar in bars for word in bar_words(bar)]
    return record_of(words, name=f"{genre}{k}", meta={"genre": genre, "split": split})


def songs() -> Iterator[Record]:
    for genre in ("pop", "jazz"):
        for k in range(12):
            yield song(k, genre, "train" if k < 8 else "test")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    vocab = tiny_vocab(conditions={"genre": {"pop": 8, "jazz": 8, "folk": 8}})
    return load(save_tiny(tmp_path_factory.mktemp("tiny") / "m", vocab))


def pieces_of(tiny: Loaded) -> Pieces:
    pieces = Pieces("genre", tiny)
    for record in songs():
        pieces.add(record)
        pieces.add(record | {"aug": {"shift": 1}})
    return pieces


def test_pieces_and_samples_are_told_apart(tiny: Loaded) -> None:
    pieces = pieces_of(tiny)
    assert pieces.values() == ["pop", "jazz"]
    assert {value: len(found) for value, found in pieces.train.items()} == {"pop": 8, "jazz": 8}
    right = {value: [song(k, value, "test") for k in range(50, 60)] for value in ("pop", "jazz")}
    wrong = {"pop": right["jazz"], "jazz": right["pop"]}
    for line in recognise(pieces, {"right": right, "wrong": wrong}):
        assert line["chance"] == 0.5 and line["samples"] == 10
        assert line["real"] > 0.9 and line["right"] > 0.9 and line["wrong"] < 0.1
        assert "unasked" not in line
    unasked = [*right["pop"][:6], *right["jazz"][:2]]
    pop, jazz = recognise(pieces, {"right": right}, unasked)
    assert (pop["unasked"], jazz["unasked"]) == (0.75, 0.25)


def test_features_do_not_change_with_transposition_of_what_is_high(tiny: Loaded) -> None:
    record = song(1, "pop", "test")
    score = tokenizer_of(record["tok"]).decode([record["ids"]]).value
    found = features(score)
    assert found.shape == (COUNT,) and np.isfinite(found).all()
    moved = features(score.shift_pitch(2))
    changed = np.flatnonzero(~np.isclose(found, moved))
    assert changed.tolist() == [COUNT - 7]  # the mean pitch
    empty = tokenizer_of(record["tok"]).decode([[]]).value
    assert np.isfinite(features(empty)).all()
    assert np.array_equal(sound(record), found)


def test_one_value_alone_cannot_be_told_apart(tiny: Loaded) -> None:
    pieces = Pieces("genre", tiny)
    for k in range(12):
        pieces.add(song(k, "pop", "train" if k < 8 else "test"))
    with pytest.raises(MidigenError, match="fewer than two values of genre"):
        pieces.values()


def test_the_command_writes_a_line_a_value(run: Runner) -> None:
    vocab = tiny_vocab(conditions={"genre": {"pop": 200, "jazz": 18}})
    save_tiny(run.folder / "m", vocab)
    (run.folder / "in.jsonl").write_bytes(lines_of(songs()))
    options = ("--conditions", "-n", "2", "--bars", "1")
    done = run("tokeval", "-m", "m", *options, "in.jsonl", env={"OMP_NUM_THREADS": "1"})
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [line["value"] for line in lines] == ["pop", "jazz"]
    assert all(0 <= line[f"guidance_{k}"] <= 1 for line in lines for k in (1, 2))
    # Enough pieces of one and few of the other: drawn as one of the two.
    assert [(line["usual_guidance"], line["usual"]) for line in lines] == [
        (1, lines[0]["guidance_1"]),
        (2, lines[1]["guidance_2"]),
    ]
    for line in lines:
        taken = line["guidance_2_taken_for"]
        assert sum(taken.values()) == line["samples"]
        assert taken.get(line["value"], 0) / line["samples"] == pytest.approx(line["guidance_2"])
    assert sum(line["unasked"] for line in lines) == pytest.approx(1)
    assert "by chance 50%" in done.err and "of 4 unasked" in done.err
    assert "as toksample draws them (2)" in done.err
    refused = run("tokeval", "-m", "m", *options, "--field", "era", "in.jsonl", code=1)
    assert "fewer than two values of era" in refused.err


def test_samples_are_drawn_as_toksample_draws_without_options() -> None:
    options = inspect.signature(toksample).parameters
    # How rare what is asked is decides the guidance; that is told as a way of its own.
    assert options["guidance"].default is None and AS_TOKSAMPLE.guidance == 1
    for name in AS_TOKSAMPLE.__dataclass_fields__.keys() - {"guidance"}:
        assert options[name].default == getattr(AS_TOKSAMPLE, name), name


def test_a_way_between_is_drawn_of_its_own(run: Runner) -> None:
    vocab = tiny_vocab(conditions={"genre": {"pop": 200, "jazz": 50}})
    save_tiny(run.folder / "m", vocab)
    (run.folder / "in.jsonl").write_bytes(lines_of(songs()))
    options = ("--conditions", "-n", "3", "--bars", "1", "in.jsonl")
    done = run("tokeval", "-m", "m", *options, env={"OMP_NUM_THREADS": "1"})
    pop, jazz = map(json.loads, done.out.splitlines())
    assert (pop["usual_guidance"], jazz["usual_guidance"]) == (1, 1.5)
    assert pop["usual_taken_for"] == pop["guidance_1_taken_for"]
    assert sum(jazz["usual_taken_for"].values()) == 3

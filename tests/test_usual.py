"""Instruments that usually go with what is asked: counted in training, drawn in sampling."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conftest import Runner
from hand_records import lines_of
from tiny_model import save_tiny, tiny_vocab
from training_data import corpus_of, pieces

from midigen.asked import condition_ids, of_record
from midigen.conditions import condition_values
from midigen.modelfolder import load
from midigen.modelvocab import ModelVocab, Usual
from midigen.prefixes import count_values
from midigen.prompts import unprompted
from midigen.sampled import Request, Samples
from midigen.usual import count_usual, drawn

ENV = {"OMP_NUM_THREADS": "1"}
CONDITIONS = {
    "genre": {"pop": 40, "jazz": 9},
    "era": {"1980s": 4},
    "instruments": {"piano": 30, "bass": 20, "drums": 9},
}
USUAL: Usual = {
    "": {"": [(40, ["piano"]), (9, ["drums"])]},
    "genre": {"pop": [(30, ["piano"]), (10, ["bass", "drums"])], "jazz": [(9, ["bass"])]},
    "era": {"1980s": [(3, ["drums"]), (1, [])]},
}


def vocab_with() -> ModelVocab:
    return tiny_vocab(conditions=CONDITIONS).with_usual(USUAL)


def test_training_counts_the_instruments_of_its_original_pieces(tmp_path: Path) -> None:
    records = pieces(60)
    copies = [r | {"id": f"{r['id']}+1", "aug": {"shift": 1}} for r in records]
    corpus = corpus_of(tmp_path, records + copies)
    store, rows = corpus.store, corpus.train.row
    fields = ("genre", "instruments")
    vocab = tiny_vocab(conditions=count_values(store, rows, fields, 1))
    wanted: dict[str, Counter[tuple[str, ...]]] = {"": Counter()}
    count = 0
    for row in rows:
        if store.rows["copy"][row]:
            continue
        count += 1
        own = tuple(store.label_sets("instruments").of(row))
        for genre in ("", *store.label_sets("genre").of(row)):
            wanted.setdefault(genre, Counter())[own] += 1
    assert count > 20
    found = count_usual(store, rows, vocab)
    by_genre = found["genre"] | found[""]
    assert {g: {tuple(names): n for n, names in sets} for g, sets in by_genre.items()} == wanted
    assert found["genre"].keys() == {"pop", "Hip-Hop", "jazz", "folk"}
    (tmp_path / "turned").mkdir()
    turned = corpus_of(tmp_path / "turned", (records + copies)[::-1])
    assert count_usual(turned.store, turned.train.row, vocab) == found
    assert count_usual(store, rows, tiny_vocab()) == {}
    known = tiny_vocab(conditions={"instruments": {"piano": 9}})
    assert {tuple(names) for _, names in count_usual(store, rows, known)[""][""]} == {
        ("piano",),
        (),
    }


def test_what_is_drawn_is_as_common_as_it_was() -> None:
    vocab = vocab_with()
    found = Counter(
        tuple(drawn(vocab, {"genre": ["pop"]}, 3, i)["instruments"]) for i in range(4000)
    )
    assert found.keys() == {("piano",), ("bass", "drums")}
    assert 0.73 < found["piano",] / 4000 < 0.77
    free = Counter(tuple(drawn(vocab, {}, 3, i)["instruments"]) for i in range(4000))
    assert 0.79 < free["piano",] / 4000 < 0.84
    assert drawn(vocab, {}, 3, 5) == drawn(vocab, {}, 3, 5)


def test_the_rarest_of_what_is_asked_decides() -> None:
    vocab = vocab_with()
    both = [drawn(vocab, {"genre": ["pop"], "era": ["1980s"]}, 1, i) for i in range(60)]
    assert {tuple(told.get("instruments", ())) for told in both} == {("drums",), ()}
    assert all(told["genre"] == ["pop"] and told["era"] == ["1980s"] for told in both)
    assert drawn(vocab, {"genre": ["pop", "jazz"]}, 1, 0)["instruments"] == ["bass"]


@pytest.mark.parametrize(
    "asked", [{"instruments": ["drums"]}, {"genre": ["pop"], "instruments": []}]
)
def test_what_is_asked_stays(asked: dict[str, list[str]]) -> None:
    assert drawn(vocab_with(), asked, 1, 0) == asked
    assert drawn(tiny_vocab(), {"genre": ["pop"]}, 1, 0) == {"genre": ["pop"]}


def test_a_vocabulary_keeps_them() -> None:
    vocab = vocab_with()
    again = ModelVocab.from_json(json.loads(json.dumps(vocab.to_json())))
    assert again.usual == USUAL == again.extended({"genre": {"folk": 5}}).usual
    assert "usual" not in tiny_vocab().to_json()
    tuned = again.with_usual({"": {"": [(5, ["bass"])]}, "genre": {"pop": [(5, ["drums"])]}})
    assert tuned.usual[""] == {"": [(5, ["bass"])]} and tuned.usual["era"] == USUAL["era"]
    assert tuned.usual["genre"] == USUAL["genre"] | {"pop": [(5, ["drums"])]}


def test_toksample_draws_for_each_sample_and_says_so(run: Runner) -> None:
    save_tiny(run.folder / "m", vocab_with())
    sample = ["toksample", "-m", "m", "--genre", "pop", "--tokens", "30", "-n", "12", "--seed", "2"]

    def instruments(*options: str) -> set[Any]:
        made = [json.loads(line) for line in run(*sample, *options, env=ENV).lines]
        assert len(made) == 12 and all(r["meta"]["genre"] == "pop" for r in made)
        assert all(r["gen"]["asked"].keys() <= {"genre", "instruments"} for r in made)
        return {str(r["meta"].get("instruments")) for r in made}

    assert instruments() == {"piano", "['bass', 'drums']"}
    assert instruments("--only-asked") == {"None"} == instruments("--program", "piano")
    assert instruments("--condition", "instruments=Drums") == {"drums"}
    streamed = run(*sample, "--bars", "1", "--stream", env=ENV)
    assert len({str(json.loads(line)["meta"]["instruments"]) for line in streamed.lines}) == 2


@pytest.mark.parametrize("draw", [False, True])
def test_what_is_drawn_is_told_to_the_model(tmp_path: Path, draw: bool) -> None:
    loaded = load(save_tiny(tmp_path / "m", vocab_with()))
    asked = {"genre": ["jazz"]}
    samples = Samples(loaded, Request(2, asked=asked, draw=draw))
    draft = samples._draft(unprompted(samples.plan, asked), 0)
    told = asked | ({"instruments": ["bass"]} if draw else {})
    ids = condition_ids(loaded.vocab, told)
    assert draft.prompt.conditions == ids and len(ids) == 1 + draw
    assert [id for id in draft.context if id in ids] == ids


def test_again_draws_the_same(run: Runner) -> None:
    save_tiny(run.folder / "m", vocab_with())
    options = ("--genre", "pop", "-n", "6", "--batch", "4", "--tokens", "40", "--seed", "5")
    for more in ((), ("--only-asked",)):
        made = run("toksample", "-m", "m", *options, *more, env=ENV).out.splitlines(keepends=True)
        for line in made[::2]:
            (run.folder / "one.jsonl").write_bytes(line)
            assert run("toksample", "--again", "one.jsonl", env=ENV).out == line


def test_a_trained_model_draws_from_its_training_pieces(run: Runner) -> None:
    (run.folder / "in.jsonl").write_bytes(lines_of(pieces(60)))
    options = ["--condition", "genre,instruments", "--condition-least", "1", "--steps", "2"]
    run("toktrain", *options, "--preset", "tiny", "--batch", "512", "in.jsonl", "-o", "m", env=ENV)
    vocab = ModelVocab.from_json(json.loads((run.folder / "m" / "vocab.json").read_text()))
    told = {
        tuple(of_record(vocab, record)["instruments"])
        for record in pieces(60)
        if "pop" in condition_values(record, "genre")
    }
    drawn_sets = {tuple(names) for sets in (vocab.usual["genre"]["pop"],) for _, names in sets}
    assert drawn_sets and drawn_sets <= told

"""Conditions: any key of meta, what can be counted, and numbers by ranges."""

import json
from pathlib import Path
from random import Random

import numpy as np
import pytest
from conftest import Runner
from hand_records import bar_words, lines_of, piece, record_of
from hypothesis import given
from hypothesis import strategies as st
from training_data import corpus_of

from midigen.asked import known, read_conditions, resolve
from midigen.conditions import condition_values, described
from midigen.errors import MidigenError, UsageError
from midigen.modelvocab import ModelVocab
from midigen.prefixes import Prefixes, count_values, parse_fields
from midigen.ranges import COUNT, range_of, ranges_of
from midigen.recipes import make_recipe
from midigen.record import Record
from midigen.settings import Settings, parse_dropout
from midigen.tokenizers import tokenizer_of

ENV = {"OMP_NUM_THREADS": "1"}


def with_meta(k: int, **meta: object) -> Record:
    return piece(k) | {"meta": meta}


def test_what_can_be_counted_is_worked_out() -> None:
    words = bar_words([(0, 60), (25, 50), (-1, 38)])
    record = record_of(words, meta={"year": 1984})
    assert described(record) == {
        "year": ["1984"],
        "era": ["1980s"],
        "density": ["1.20"],
        "length": ["1"],
        "instruments": ["piano", "guitar", "drums"],
    }
    assert condition_values(record | {"meta": {"era": "swing"}}, "era") == ["swing"]
    assert condition_values(record | {"n": {}}, "density") == []


def test_numbers_are_cut_into_ranges_of_about_as_many_each() -> None:
    random = Random(1)
    counts: dict[str, int] = {}
    for _ in range(4000):
        counts[value] = counts.get(value := f"{random.gauss(120, 20):.1f}", 0) + 1
    ranges = ranges_of(counts)
    assert len(ranges) == COUNT
    held = dict.fromkeys(ranges, 0)
    for value, count in counts.items():
        held[range_of(ranges, value) or ""] += count
    assert min(held.values()) > 4000 / COUNT * 0.9
    assert range_of(ranges, "-5") == ranges[0] and range_of(ranges, "1e9") == ranges[-1]


@given(st.dictionaries(st.floats(-1e6, 1e6), st.integers(1, 50), min_size=17, max_size=80))
def test_every_number_has_one_range(found: dict[float, int]) -> None:
    counts = {repr(value): count for value, count in found.items()}
    ranges = ranges_of(counts)
    for value in counts:
        inside = [name for name in ranges if range_of([name], value)]
        assert inside == [range_of(ranges, value)]


def test_names_and_few_numbers_stay_what_they_are() -> None:
    assert ranges_of({"pop": 4, "120": 7}) == []
    assert ranges_of({str(year): 3 for year in range(1960, 1970)}) == []
    assert range_of(["pop", "jazz"], "12") is None and range_of([], "12") is None


def test_prefixes_hold_the_ranges_of_numbers_and_all_of_several_values(tmp_path: Path) -> None:
    records = [
        with_meta(k, tempo=60 + 3 * k, mood=["calm", "dark"][: 1 + k % 2]) for k in range(40)
    ]
    corpus = corpus_of(tmp_path, records)
    store = corpus.store
    fields = ("mood", "tempo", "instruments")
    vocab = ModelVocab(
        tokenizer_of(store.tok).vocab,
        store.tok,
        conditions=count_values(store, corpus.train.row, fields, 1),
    )
    assert list(vocab.conditions) == list(fields)
    prefixes = Prefixes(store, vocab)
    for row in range(len(store)):
        names = [vocab.token(id) for id in prefixes.whole(row)]
        tempo = store.values(row, "tempo")[0]
        wanted = [f"mood={value}" for value in store.values(row, "mood")]
        wanted.append(f"tempo={known(vocab, 'tempo', tempo)}")
        wanted += [f"instruments={value}" for value in store.values(row, "instruments")]
        assert names == wanted


def test_each_of_many_fields_is_dropped_by_itself(tmp_path: Path) -> None:
    names = [f"f{k}" for k in range(7)]
    corpus = corpus_of(tmp_path, [with_meta(k, **dict.fromkeys(names, "x")) for k in range(20)])
    counts = count_values(corpus.store, corpus.train.row, names, 1)
    vocab = ModelVocab(tokenizer_of(corpus.store.tok).vocab, corpus.store.tok, conditions=counts)
    prefixes = Prefixes(corpus.store, vocab)
    random = np.random.default_rng(5)
    draws = [prefixes.draw(0, int(n), 0.5) for n in random.integers(0, 1 << 64, 2000, np.uint64)]
    for field in names:
        (id,) = vocab.conditions[field].values()
        assert 0.45 < np.mean([id in draw for draw in draws]) < 0.55
    assert len({tuple(draw) for draw in draws}) > 100
    own = {"f2": 0.9, "f5": 0.0}
    draws = [
        prefixes.draw(0, int(n), 0.3, own) for n in random.integers(0, 1 << 64, 2000, np.uint64)
    ]
    for field in names:
        (id,) = vocab.conditions[field].values()
        missing = np.mean([id not in draw for draw in draws])
        assert abs(missing - own.get(field, 0.3)) < 0.05


def test_how_often_conditions_are_dropped_is_asked_for_by_field(tmp_path: Path) -> None:
    assert parse_dropout("0.2") == {"condition_dropout": 0.2, "field_dropout": ()}
    assert parse_dropout("genre=1") == {"field_dropout": (("genre", 1.0),)}
    found = parse_dropout("0.1,genre=0,era=0.5")
    assert found == {"condition_dropout": 0.1, "field_dropout": (("genre", 0.0), ("era", 0.5))}
    settings = Settings(**found)
    recipe = make_recipe("x", {"tokenizer": "remi", "train": {"condition_dropout": "0.1,era=0.5"}})
    assert recipe.settings == {"condition_dropout": 0.1, "field_dropout": (("era", 0.5),)}
    settings.save(tmp_path / "run.json")
    assert Settings.read(tmp_path / "run.json") == settings
    for text in ("", "x", "genre=", "0.1,0.2", "genre=0.1,genre=0.2"):
        with pytest.raises(UsageError, match="condition-dropout"):
            parse_dropout(text)
    for single in ((("tempo", 0.5),), (("genre", 1.5),)):
        with pytest.raises(UsageError, match="condition-dropout"):
            Settings(field_dropout=single)


def test_fields_and_values_that_cannot_be_are_refused() -> None:
    assert parse_fields("genre,my_key") == ("genre", "my_key") and parse_fields("none") == ()
    for text in ("genre,", "a b", "genre,genre"):
        with pytest.raises(UsageError):
            parse_fields(text)
    assert read_conditions(["tempo=90", "genre=a=b"], {"genre": ["pop"]}) == {
        "genre": ["pop", "a=b"],
        "tempo": ["90"],
    }
    with pytest.raises(UsageError, match="KEY=VALUE"):
        read_conditions(["tempo"], {})


def test_a_model_is_asked_by_any_key(run: Runner) -> None:
    records = [with_meta(k, tempo=60 + 3 * k, mood=["calm", "dark"][k % 2]) for k in range(40)]
    (run.folder / "in.jsonl").write_bytes(lines_of(records))
    model = "--model llama:width=32,layers=1,head=16 --window 64 --batch 256 --steps 2 --evals 1"
    run.shell(
        f"toktrain in.jsonl -o m {model} --condition mood,tempo,density --condition-least 1",
        env=ENV,
    )
    done = run(
        *("toksample", "-m", "m", "--bars", "1", "--condition", "tempo=100"),
        *("--condition", "mood=CALM"),
        env=ENV,
    )
    record = json.loads(done.out)
    assert record["meta"]["mood"] == "calm"
    low, _, high = record["meta"]["tempo"].partition("..")
    assert float(low or 0) <= 100 < float(high or 1e9)
    refused = run("toksample", "-m", "m", "--condition", "key=C", code=1, env=ENV)
    assert "the model knows no key" in refused.err and "mood, tempo" in refused.err


def test_an_unknown_field_is_refused_with_those_that_there_are() -> None:
    base = tokenizer_of(piece(0)["tok"]).vocab
    vocab = ModelVocab(base, piece(0)["tok"], conditions={"mood": {"calm": 3}})
    assert resolve(vocab, {"mood": ["Calm"]}) == {"mood": ["calm"]}
    with pytest.raises(MidigenError, match="knows no tempo"):
        resolve(vocab, {"tempo": ["100"]})


def test_names_are_matched_without_case_accents_and_spaces() -> None:
    base = tokenizer_of(piece(0)["tok"]).vocab
    names = {f"Artist Númber {k}": 5 for k in range(40)}
    vocab = ModelVocab(base, piece(0)["tok"], conditions={"artist": names})
    for k in range(80):
        found = known(vocab, "artist", f"artist number_{k}")
        assert found == (f"Artist Númber {k}" if k < 40 else None)

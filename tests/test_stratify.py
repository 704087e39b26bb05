"""`--stratify`: every value of a field gets test pieces, whatever the hashes say."""

import math
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hand_records import bar_words, record_of
from training_data import store_of

from midigen.corpus import divide, own_rule
from midigen.errors import MidigenError
from midigen.record import Record
from midigen.split import SplitRule
from midigen.stratify import stratified
from midigen.tokenizers import tokenizer_of

SIZES = {"folk": 300, "jazz": 40, "march": 7, "hymn": 2, "rag": 1}


def corpus() -> list[Record]:
    """Return pieces of genres of very different sizes, some of two genres, each with a copy."""
    found = []
    for genre, size in SIZES.items():
        for k in range(size):
            words = bar_words([(0, 40 + k % 30), (0, 45 + k % 17)])
            both = [genre, "folk"] if genre == "jazz" and k % 4 == 0 else genre
            record = record_of(words, name=f"{genre}{k}", meta={"genre": both})
            found += [record, record | {"aug": {"shift": 1}}]
    return found


def sides(records: list[Record], rule: SplitRule) -> dict[str, Counter[str]]:
    """Return {genre: {split: groups}}."""
    groups: dict[str, dict[str, str]] = defaultdict(dict)
    for record in records:
        genres = record["meta"].get("genre", [])
        for genre in [genres] if isinstance(genres, str) else genres:
            groups[genre][record["group"]] = rule.split(record)
    return {genre: Counter(found.values()) for genre, found in groups.items()}


def test_every_value_has_test_groups_and_one_that_trains(tmp_path: Path) -> None:
    records = corpus()
    store = store_of(tmp_path, records)
    rule = stratified(store, own_rule(store), "genre")
    found, before = sides(records, rule), sides(records, SplitRule())
    assert any(
        before[genre]["test"] < min(10, math.ceil(0.15 * size)) for genre, size in SIZES.items()
    )
    for genre, counts in found.items():
        size = counts.total()
        assert counts["test"] >= min(10, math.ceil(0.15 * size), size - 1), genre
        assert counts["test"] <= max(before[genre]["test"] + 10, 10)
        assert size < 3 or counts["train"]
        assert counts["val"] == before[genre]["val"]


def test_trainer_and_later_readers_of_the_rule_split_alike(tmp_path: Path) -> None:
    records = corpus()
    store = store_of(tmp_path, records)
    rule = SplitRule.from_json(stratified(store, own_rule(store), "genre").to_json())
    tested = divide(store, tokenizer_of(store.tok), rule).test.row
    own = {str(store.rows["group"][row]) for row in tested}
    assert len(own) == len({r["group"] for r in records if rule.split(r) == "test"})


def test_order_of_the_stream_does_not_matter(tmp_path: Path) -> None:
    records = corpus()
    rules = []
    for name, stream in (("a", records), ("b", records[::-1])):
        store = store_of(tmp_path, stream, name)
        rules.append(stratified(store, own_rule(store), "genre"))
    assert rules[0] == rules[1]


def test_split_of_the_corpus_stays(tmp_path: Path) -> None:
    records = [r | {"meta": r["meta"] | {"split": "train"}} for r in corpus()]
    store = store_of(tmp_path, records)
    assert stratified(store, own_rule(store), "genre") == own_rule(store)


def test_field_that_no_piece_has_is_an_error(tmp_path: Path) -> None:
    store = store_of(tmp_path, corpus())
    with pytest.raises(MidigenError, match="--stratify mood: no piece names"):
        stratified(store, own_rule(store), "mood")

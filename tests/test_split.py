"""The split is a function of the group: no twin, copy or part on another side, ever."""

import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midigen.errors import MidigenError
from midigen.split import SplitRule, bucket, choose_rule, hash_split, named_split

many = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=400)


def groups(count: int) -> list[str]:
    return [f"{n:016x}" for n in range(count)]


def test_bucket_is_the_documented_hash() -> None:
    for group in ("0", "71bb092824048158", "ü"):
        digest = hashlib.sha256(b"split:" + group.encode()).hexdigest()
        assert bucket(group) == int(digest, 16) % 100


def test_buckets_0_to_9_test_and_10_to_19_validate() -> None:
    for group in groups(500):
        place = bucket(group)
        expected = "test" if place < 10 else "val" if place < 20 else "train"
        assert hash_split(group) == expected


def test_a_tenth_each_is_held_out_of_a_large_corpus() -> None:
    sides = [hash_split(group) for group in groups(5000)]
    assert 0.08 < sides.count("test") / 5000 < 0.12
    assert 0.08 < sides.count("val") / 5000 < 0.12


@given(many, st.randoms(use_true_random=False))
def test_rule_does_not_hang_on_order_or_copies(names: list[str], rng: random.Random) -> None:
    shuffled = names * 2
    rng.shuffle(shuffled)
    assert choose_rule(shuffled) == choose_rule(names)


@given(many)
def test_something_is_left_to_train_and_something_to_check(names: list[str]) -> None:
    rule = choose_rule(names)
    sides = [rule.split({"group": name}) for name in set(names)]
    if rule.kind == "tail":
        assert len(set(names)) == 1 and rule.test == rule.val == set(names)
    else:
        assert "train" in sides and "test" in sides
        if len(sides) > 2:
            assert "val" in sides


@given(many)
def test_rule_survives_its_file(names: list[str]) -> None:
    rule = choose_rule(names)
    assert SplitRule.from_json(rule.to_json()) == rule


def test_small_folder_holds_out_the_smallest_hashes() -> None:
    for count in (3, 5, 12, 25):
        names = groups(count)
        rule = choose_rule(names)
        if rule.kind == "hash":
            continue
        held = sorted(names, key=lambda g: hashlib.sha256(f"split:{g}".encode()).digest())
        size = max(1, count // 10)
        assert rule.test == set(held[:size]) and rule.val == set(held[size : 2 * size])
    assert choose_rule(groups(3)).kind == choose_rule(groups(12)).kind == "held"


def test_large_corpus_goes_by_hash_alone() -> None:
    rule = choose_rule(groups(1000))
    assert rule == SplitRule("hash")
    assert rule.split({"group": "never seen"}) == hash_split("never seen")


def test_two_pieces_leave_one_to_train() -> None:
    rule = choose_rule(["a", "b"])
    assert sorted(rule.split({"group": g}) for g in "ab") == ["test", "train"]
    assert rule.val == rule.test


def test_no_pieces_is_an_error() -> None:
    with pytest.raises(MidigenError, match="no pieces"):
        choose_rule([])


def test_split_that_the_corpus_names_comes_first() -> None:
    for word, side in (("train", "train"), ("validation", "val"), ("TEST", "test"), ("dev", "val")):
        record = {"group": "a", "meta": {"split": word}}
        assert named_split(record) == side
        assert SplitRule().split(record) == side
    assert named_split({"group": "a", "meta": {}}) is None
    with pytest.raises(MidigenError, match="'half' is not one of"):
        named_split({"group": "a", "meta": {"split": "half"}})


@pytest.mark.parametrize("data", [{}, {"version": 2, "kind": "hash"}, {"version": 1, "kind": "x"}])
def test_rule_of_another_version_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(MidigenError, match="no rule that this midigen knows"):
        SplitRule.from_json(data)

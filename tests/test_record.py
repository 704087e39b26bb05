"""Record v1: what is one, what is missing, what is refused."""

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midigen.errors import MidigenError
from midigen.record import (
    OneTok,
    check,
    complete,
    counts,
    is_original,
    is_unknown,
    meta_values,
    put_meta,
    short_hash,
)

TOK = "remi#0123abcd"


def record(**keys: Any) -> dict[str, Any]:
    return {"id": "a", "tok": TOK, "ids": [1, 2]} | keys


def test_three_keys_make_a_record_and_the_rest_is_filled() -> None:
    assert complete(check(record())) == {
        "v": 1, "id": "a", "group": "a", "src": "", "tok": TOK, "ids": [1, 2], "n": {},
        "meta": {}, "aug": {},
    }  # fmt: skip


def test_known_keys_come_first_and_unknown_ones_stay() -> None:
    given = record(mine={"x": [1]}, md5="m", gen={"seed": 1}, part=[0, 2], aug={"shift": 3})
    done = complete(check(given))
    assert list(done) == [
        "v", "id", "group", "src", "md5", "tok", "ids", "n", "meta", "part", "aug", "mine", "gen",
    ]  # fmt: skip
    assert given.items() <= done.items()


def test_completing_twice_changes_nothing() -> None:
    once = complete(check(record(zeta=1, part=[1, 2])))
    twice = complete(check(once))
    assert list(twice.items()) == list(once.items())


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        ({"v": 2}, "record version 2"),
        ({"v": True}, "'v' must be a whole number"),
        ({"id": 7}, "'id' must be a string, not 7"),
        ({"tok": "remi"}, "does not end in #fingerprint"),
        ({"tok": "remi#XYZ"}, "does not end in #fingerprint"),
        ({"tok": "os.path:join#0123abcd"}, "names a Python object"),
        ({"ids": "12"}, "'ids' must be a list"),
        ({"ids": [1, 2.0]}, "id 2.0 is not a whole number"),
        ({"ids": [True]}, "id True is not a whole number"),
        ({"ids": ["1"]}, "id '1' is not a whole number"),
        ({"ids": [[1]]}, "is not a whole number"),
        ({"ids": [None]}, "id None is not a whole number"),
        ({"ids": [3, -1]}, "id -1 not in 0.."),
        ({"ids": [2**32]}, "id 4294967296 not in 0..4294967295"),
        ({"part": [2, 2]}, "'part' must be"),
        ({"part": [0]}, "'part' must be"),
        ({"part": [0, 1.0]}, "'part' must be"),
        ({"n": {"notes": "3"}}, "n.notes must be a number"),
        ({"n": {"notes": True}}, "n.notes must be a number"),
        ({"n": []}, "'n' must be an object"),
        ({"aug": {"shift": None}}, "aug.shift must be a number"),
        ({"meta": {"genre": [1]}}, "meta.genre must be"),
        ({"meta": {"genre": {"a": 1}}}, "meta.genre must be"),
        ({"gen": "me"}, "'gen' must be an object"),
    ],
)
def test_what_breaks_the_rules_is_refused_by_name(bad: dict[str, Any], complaint: str) -> None:
    with pytest.raises(MidigenError) as error:
        check(record() | bad)
    assert complaint in str(error.value)


@pytest.mark.parametrize("missing", ["id", "tok", "ids"])
def test_missing_key_is_named(missing: str) -> None:
    with pytest.raises(MidigenError, match=f"a record needs '{missing}'"):
        check({key: value for key, value in record().items() if key != missing})


@pytest.mark.parametrize("value", [None, 3, "text", [record()]])
def test_other_json_values_are_no_record(value: Any) -> None:
    with pytest.raises(MidigenError, match="a record is a JSON object"):
        check(value)


def test_ids_must_be_in_the_vocabulary_where_it_is_known() -> None:
    assert check(record(ids=[0, 9]), vocab_size=10)
    assert check(record(ids=[]), vocab_size=10)
    with pytest.raises(MidigenError, match=r"id 10 not in 0\.\.9"):
        check(record(ids=[0, 10]), vocab_size=10)


@given(st.lists(st.integers(-(2**40), 2**40) | st.floats() | st.booleans() | st.text(max_size=2)))
def test_ids_pass_exactly_if_all_are_words(ids: list[Any]) -> None:
    fit = all(type(id) is int and 0 <= id < 2**32 for id in ids)
    try:
        check(record(ids=ids))
    except MidigenError:
        assert not fit
    else:
        assert fit


def test_meta_takes_plain_values() -> None:
    meta = {"a": "x", "b": 1, "c": 1.5, "d": None, "e": ["x", "y"], "f": []}
    assert check(record(meta=meta))["meta"] == meta


def test_unknown_values_are_absent() -> None:
    meta = {"genre": "pop", "year": 1990}
    for key, value in (("genre", ""), ("year", 0), ("artist", None), ("key", float("nan"))):
        put_meta(meta, key, value)
    assert meta == {}
    put_meta(meta, "tempo", 0)
    assert meta == {"tempo": 0}
    assert is_unknown([]) and not is_unknown(0) and not is_unknown(["x"])


def test_meta_values_are_always_a_list() -> None:
    described = record(meta={"genre": ["pop", "rock"], "artist": "x", "year": 0, "title": ""})
    assert meta_values(described, "genre") == ["pop", "rock"]
    assert meta_values(described, "artist") == ["x"]
    assert meta_values(described, "title") == meta_values(described, "gone") == []


def test_only_records_without_aug_are_original() -> None:
    assert is_original(record()) and is_original(record(aug={}))
    assert not is_original(record(aug={"shift": 1}))


def test_hash_and_counts_are_as_documented() -> None:
    assert short_hash(b"x") == hashlib.sha256(b"x").hexdigest()[:16]
    assert counts(3, 2, 1.23456, 1) == {"notes": 3, "bars": 2, "seconds": 1.235, "tracks": 1}


def test_mixed_vocabularies_are_refused_naming_both_and_the_line() -> None:
    one = OneTok()
    one.check(record(), "a:1")
    assert one.check(record(), "a:2").fingerprint == "0123abcd"
    with pytest.raises(MidigenError) as error:
        one.check(record(tok="remi#ffffffff"), "a:3")
    for word in ("a:3", "remi#ffffffff", TOK, "a:1"):
        assert word in str(error.value)

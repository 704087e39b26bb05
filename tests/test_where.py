import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midigen.errors import UsageError
from midigen.where import Where
from midigen.where_values import COMPARE, FUNCTIONS

STEADY = settings(deadline=None, derandomize=True)

RECORD: dict[str, Any] = {
    "id": "00ff",
    "src": "songs/pop/x.mid",
    "ids": [1, 2, 3],
    "n": {"notes": 120, "bars": 16, "seconds": 30.5},
    "meta": {"genre": ["pop", "rock"], "artist": "Björk", "live": True, "my key": 7, "in": "x"},
    "aug": {"shift": -3},
    "part": [0, 2],
}


def holds(text: str) -> bool:
    return Where(text).test(RECORD)


@pytest.mark.parametrize(
    "text",
    [
        'n.notes > 100 and meta.genre == "pop" and not meta.year',
        "n.notes / n.bars == 7.5",
        "n.notes - 100 - 10 == 10",
        "2 + 3 * 4 == 14 and (2 + 3) * 4 == 20",
        "-n.bars < -15 and - -1 == 1",
        "aug.shift == -3",
        "not aug.velocity",
        "1 == 2 or 1 == 1 and 2 == 2",
        "not 1 == 2",
        "not (1 == 1 and 1 == 2)",
        "meta.genre == 'rock'",
        'meta.genre in ["jazz", "rock"]',
        'meta.genre not in ["jazz"]',
        'meta.genre != "jazz"',
        '"pop" in meta.genre and "oc" not in meta.genre',
        '"/pop/" in src and starts(src, "songs") and ends(src, ".mid")',
        '"genre" in meta',
        'meta["my key"] == 7 and meta.in == "x"',
        "meta.year == null and meta.genre != null and null == meta.year",
        "meta.live and meta.live == true and meta.live != false",
        "len(ids) == 3 and len(meta.genre) == 2 and len(id) == 4",
        'lower("ABC") == "abc" and fold(meta.artist) == "bjork"',
        'number("12.5") == 12.5 and number(7) == 7',
        "abs(aug.shift) == 3 and min(3, 1, 2) == 1 and max(n.notes, 500) == 500",
        "max([1, 9, 4]) == 9",
        r'"a\"b" == "a\"b"',
        "id > 'aaa' or id < 'aaa'",
        ".5 == 0.5 and 1e2 == 100 and 5. == 5",
        "true",
        "  n.notes\n>\t100 ",
    ],
)
def test_conditions_that_hold(text: str) -> None:
    assert holds(text)


@pytest.mark.parametrize(
    "text",
    [
        "meta.year == 1980",
        "meta.year != 1980",
        "meta.year < 1980 or meta.year >= 1980",
        "meta.year not in [1980]",
        "meta.year + 1 == 1",
        "not meta.genre",
        'meta.genre != "pop"',
        '120 == "120" or n.notes == "120"',
        "meta.live == 1",
        'n.notes < "a" or n.notes >= "a"',
        "1 / 0 == 1 or 1 / 0 != 1",
        '"a" + "b" == "ab"',
        "n.notes.more == 120 or id.x == 1",
        "1e308 * 10 > 0",
        "null or false or 0 or '' or []",
        "len(n.notes) == 1 or len(meta.year) == 0",
        'number("x") == 0 or number("nan") != 0 or number("inf") > 0',
        'lower(5) == "5"',
        "max([]) == 0 or min(meta.artist) == 0",
    ],
)
def test_conditions_that_do_not_hold(text: str) -> None:
    assert not holds(text)


@pytest.mark.parametrize(
    "text, column, fact",
    [
        ("", 1, "expected a value, found the end"),
        ("n.notes >", 10, "expected a value"),
        ("n.notes > and", 11, "found 'and'"),
        ("meta.genre = 'pop'", 12, "use =="),
        ("a && b", 3, "use and"),
        ("a || b", 3, "use and, or"),
        ("! a", 1, "use and, or, not"),
        ("a == 'pop", 6, "no end"),
        ('"', 1, "no end"),
        ("(a", 3, "expected ')'"),
        ("a)", 2, "expected an operator or the end"),
        ("a b", 3, "expected an operator or the end"),
        ("a.", 3, "expected a key"),
        ("a[0]", 3, "in quotes"),
        ("a['x'", 6, "expected ']'"),
        ("[1, 2", 6, "expected ','"),
        ("len(a b)", 7, "expected ','"),
        ("1 < 2 < 3", 7, "do not chain"),
        ("a not b", 7, "expected 'in'"),
        ("eval(a)", 1, "no function 'eval'; there are: len, lower"),
        ("len()", 1, "takes 1 values, not 0"),
        ("len(a, b)", 1, "takes 1 values, not 2"),
        ("min()", 1, "takes 1 or more values, not 0"),
        ("a @ b", 3, "'@' means nothing here"),
        ("9" * 400, 1, "too large"),
        ("x > 1e999", 5, "too large"),
        ("a" + " == " * 2 + "b", 7, "expected a value"),
        ("__import__('os')", 1, "no function"),
    ],
)
def test_a_fault_is_told_with_its_column(text: str, column: int, fact: str) -> None:
    with pytest.raises(UsageError) as caught:
        Where(text)
    assert f"--where: column {column}: " in str(caught.value)
    assert fact in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["(" * 3000, "not " * 3000 + "a", "-" * 3000 + "1", "[" * 3000])
def test_endless_nesting_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="nested deeper"):
        Where(text)


def test_long_flat_conditions_are_fine() -> None:
    assert holds(" and ".join(["n.notes > 1"] * 5000))
    assert holds("1" + " + 1" * 5000 + " == 5001")


def test_keys_that_no_record_has_are_remembered() -> None:
    where = Where("meta.gnre == 'pop' or n.notes > 1 or meta.year > 3")
    assert where.unseen() == ["meta.gnre", "meta.year", "n.notes"]
    where.test(RECORD)
    where.test(RECORD | {"meta": {"year": 1980}})
    assert where.unseen() == ["meta.gnre"]


SIGNS = [*COMPARE, "+", "-", "*", "/", "and", "or", "not", ".", ",", "(", ")", "[", "]"]
WORDS = ["n.notes", "meta", "meta.genre", "aug.shift", "ids", "x", "null", "true", "'pop'", '"a"']
CALLS = [f"{name}(" for name in FUNCTIONS]
PIECES = st.sampled_from([*SIGNS, *WORDS, *CALLS, "0", "1", "2.5", "1e300"])


@STEADY
@given(st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=14).map(" ".join)))
def test_any_text_is_a_condition_or_a_told_fault(text: str) -> None:
    try:
        where = Where(text)
    except UsageError as error:
        assert str(error).startswith("--where: column ")
    else:
        assert where.test(RECORD) in (True, False)


NUMBERS = st.one_of(st.integers(-1000, 1000), st.floats(-1e6, 1e6, allow_nan=False)).map(abs)


def sums(depth: int) -> st.SearchStrategy[str]:
    leaf = NUMBERS.map(repr)
    if depth == 0:
        return leaf
    inner = sums(depth - 1)
    pair = st.tuples(inner, st.sampled_from("+-*/"), inner).map(" ".join)
    return st.one_of(leaf, pair, inner.map("({})".format), inner.map("- {}".format))


@STEADY
@given(sums(3))
def test_arithmetic_is_that_of_python(text: str) -> None:
    try:
        expected = eval(text)
    except ZeroDivisionError:
        expected = None
    if expected is None or not math.isfinite(expected):
        assert not Where(f"{text} == {text}").test({})
    else:
        assert Where(f"abs(({text}) - x) <= 0").test({"x": expected})


@STEADY
@given(st.text(max_size=20))
def test_any_text_can_be_compared_with(text: str) -> None:
    quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    assert Where(f"x == {quoted}").test({"x": text})
    assert Where(f"x in [{quoted}, 'other']").test({"x": text})
    assert not Where(f"x != {quoted}").test({"x": text})

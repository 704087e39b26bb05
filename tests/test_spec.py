"""Specs: one syntax everywhere, nothing that needs quoting, nothing that imports on its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midigen.errors import MidigenError
from midigen.spec import Spec, format_spec, parse_params, parse_spec, parse_tok

names = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,6}", fullmatch=True)
values = st.from_regex(r"[A-Za-z0-9._+/x-]{1,8}", fullmatch=True)


@given(names, st.dictionaries(names, values, max_size=4))
def test_what_is_written_is_read_back(name: str, params: dict[str, str]) -> None:
    spec = parse_spec(format_spec(name, params))
    assert spec.name == name
    assert parse_params(spec.arg) == params
    assert parse_tok(f"{format_spec(name, params)}#0123abcd").spec == format_spec(name, params)


def test_keys_are_sorted_and_an_empty_list_leaves_the_name() -> None:
    assert format_spec("remi", {"b": "2", "a": "1"}) == "remi:a=1,b=2"
    assert format_spec("remi", {}) == "remi"


def test_argument_is_all_behind_the_first_colon() -> None:
    assert parse_spec("path:{genre}/a:b=c") == Spec("path", "{genre}/a:b=c")
    assert parse_spec("remi") == Spec("remi", "")


def test_name_with_a_dot_is_an_object() -> None:
    assert parse_spec("my.module:Thing").is_object
    assert not parse_spec("remi:res=4.5").is_object


@pytest.mark.parametrize(
    "text", ["", ":a=1", "1remi", "re mi", "a..b", ".a", "a.", "a#b", "remi\n"]
)
def test_text_that_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(MidigenError, match="is not a plugin spec"):
        parse_spec(text)


@pytest.mark.parametrize("arg", ["a", "=1", "a=", "a=b c", "a=$x", "a=1;b=2", "1a=2", "a=1=2"])
def test_parameter_that_would_need_quoting_is_refused(arg: str) -> None:
    with pytest.raises(MidigenError, match="is not key=value"):
        parse_params(arg)


def test_parameter_given_twice_is_refused() -> None:
    with pytest.raises(MidigenError, match="'a' is given twice"):
        parse_params("a=1,b=2,a=1")


def test_tok_of_a_learned_vocabulary_is_known() -> None:
    assert parse_tok("miditok:@#0123abcd").is_learned
    assert not parse_tok("miditok:a=1#0123abcd").is_learned


@pytest.mark.parametrize("text", ["remi", "remi#", "remi#0123abc", "remi#0123ABCD", "#0123abcd"])
def test_tok_without_spec_or_fingerprint_is_refused(text: str) -> None:
    with pytest.raises(MidigenError):
        parse_tok(text)


def test_tok_never_names_an_object() -> None:
    with pytest.raises(MidigenError, match="which a record may not"):
        parse_tok("os.path:join#0123abcd")

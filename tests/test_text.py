"""`text`, the tokenizer: bytes there and back, UTF-8 as a grammar, words that merges stay in."""

from itertools import pairwise, product

import numpy as np
import pytest
from book import write_book
from hypothesis import given, settings
from hypothesis import strategies as st
from remi_walks import accepts, sampled
from tiny_model import tiny_vocab

from midigen.constrain import Lifted
from midigen.errors import MidigenError, Reject
from midigen.merges import breaks_of, learn
from midigen.modelvocab import ModelVocab
from midigen.protocols import Tokenizer, WordTokenizer
from midigen.registry import tokenizer

TEXT = tokenizer("text")
GRAMMAR = TEXT.grammar()
STEADY = settings(deadline=None, derandomize=True)
SOUP = st.lists(st.sampled_from([*b"a9' \n\r.,", *b"\xe2\x80\x99\x94\x81", *b"\xc3\xa9"]))
"""Letters, gaps, apostrophes and parts of characters, in any order."""


def is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def words(text: str) -> list[str]:
    """Return the words of a text."""
    data = text.encode()
    starts = TEXT.word_starts(np.frombuffer(data, np.uint8)).tolist()
    return [data[a:b].decode() for a, b in pairwise([*starts, len(data)])]


def merged(count: int) -> ModelVocab:
    """Return a vocabulary with merges learned from a book."""
    ids = np.frombuffer(write_book(40_000), np.uint8)
    return tiny_vocab("text", merges=learn([(ids, TEXT.word_starts(ids))], 256, count))


def test_every_byte_is_an_id() -> None:
    assert isinstance(TEXT, Tokenizer) and isinstance(TEXT, WordTokenizer)
    assert (TEXT.spec, TEXT.medium, TEXT.unit, len(TEXT.vocab)) == ("text", "text", 1, 256)
    assert TEXT.vocab.fingerprint == "f5293296"
    (ids,) = TEXT.encode(bytes(range(256))).parts
    assert ids.tolist() == list(range(256))
    assert [TEXT.vocab.tokens[id] for id in (0, 65, 255)] == ["Byte_0", "Byte_65", "Byte_255"]


def test_nothing_is_a_reject_and_parameters_are_an_error() -> None:
    with pytest.raises(Reject, match="empty"):
        TEXT.encode(b"")
    with pytest.raises(MidigenError, match="text has no parameters, so not size either"):
        tokenizer("text:size=3")


@STEADY
@given(st.binary(min_size=1))
def test_any_bytes_come_back_and_places_that_are_not_utf8_are_counted(data: bytes) -> None:
    decoded = TEXT.decode(TEXT.encode(data).parts)
    assert decoded.value == data
    assert bool(decoded.repairs) == (not is_utf8(data))
    shown = data.replace(b"\xef\xbf\xbd", b"?").decode(errors="replace").count("\ufffd")
    assert decoded.repairs.get("not UTF-8", 0) == shown


@STEADY
@given(st.lists(st.lists(st.integers(0, 255))))
def test_random_ids_of_several_parts_decode(parts: list[list[int]]) -> None:
    assert TEXT.decode(parts).value == b"".join(map(bytes, parts))
    assert TEXT.decode([np.array(part, np.int64) for part in parts]).value == b"".join(
        map(bytes, parts)
    )


def test_the_grammar_is_pythons_utf8_for_all_short_sequences() -> None:
    edges = [0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1]
    edges += [0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF]
    for length, choice in ((1, range(256)), (2, range(256)), (3, edges)):
        for data in product(choice, repeat=length):
            assert accepts(GRAMMAR, data) == is_utf8(bytes(data)), bytes(data)
    for tail in product(edges, repeat=3):
        for lead in (0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5):
            assert accepts(GRAMMAR, (lead, *tail)) == is_utf8(bytes((lead, *tail)))


@STEADY
@given(st.binary(max_size=12))
def test_the_grammar_takes_what_decodes_without_a_repair(data: bytes) -> None:
    assert accepts(GRAMMAR, data) == (not TEXT.decode([list(data)]).repairs)


@STEADY
@given(st.text())
def test_what_closes_a_character_is_as_short_as_can_be(text: str) -> None:
    state = GRAMMAR.start()
    for place, id in enumerate(data := text.encode()):
        state = GRAMMAR.step(state, id)
        closing = GRAMMAR.closing(state)
        open_bytes = next((k for k in range(4) if is_utf8(data[: place + 1 + k])), None)
        assert len(closing) == open_bytes
        assert is_utf8(data[: place + 1] + bytes(closing))


def test_bytes_of_one_class_are_alike() -> None:
    states = range(8)
    for c in range(GRAMMAR.classes.max() + 1):
        members = np.flatnonzero(GRAMMAR.classes == c)
        for state in states:
            assert len(set(GRAMMAR.mask(state)[members])) == 1
            if GRAMMAR.mask(state)[members[0]]:
                assert len({GRAMMAR.step(state, int(id)) for id in members}) == 1
    assert GRAMMAR.classes.max() + 1 == 12
    assert not GRAMMAR.mask(0).flags.writeable


@pytest.mark.parametrize("count", [0, 200])
def test_walks_under_the_grammar_decode_without_a_repair(count: int) -> None:
    vocab = merged(count) if count else tiny_vocab("text")
    grammar = Lifted(GRAMMAR, vocab.expansions)
    draw = np.random.default_rng(count)
    for _ in range(120):
        length = int(draw.integers(200, 2000))
        ids = sampled(grammar, draw, length, expand=vocab.expansion)
        assert len(ids) >= length and TEXT.decode([ids]).repairs == {}


def test_words_are_as_the_page_says() -> None:
    assert words("“Don't go,” said O’Neil—  it's 'ours'\n\n  now; 1234 cafés.\r\n") == [
        *("“", "Don't", " go", ",”", " said", " O’Neil", "—", " ", " it's", " '", "ours", "'"),
        *("\n\n ", " now", ";", " 1234", " cafés", ".", "\r\n"),
    ]
    assert words("'a'b' '") == ["'", "a'b", "'", " '"]
    assert words("word") == ["word"] and words(" ") == [" "] and words("") == []


@STEADY
@given(SOUP)
def test_a_text_that_is_cut_at_a_word_has_the_same_words(data: list[int]) -> None:
    ids = np.array(data, np.int64)
    starts = TEXT.word_starts(ids)
    assert starts.tolist() == sorted(set(starts.tolist()))
    assert starts[:1].tolist() == [0] * bool(data)
    for start in starts.tolist():
        rest = TEXT.word_starts(ids[start:]) + start
        assert rest.tolist() == starts[starts >= start].tolist()


def test_merges_stay_within_words_and_shorten_a_book() -> None:
    vocab = merged(150)
    assert breaks_of(TEXT) == TEXT.word_starts
    assert len(vocab.expansions) == 150
    assert any(bytes(expansion) == b" fiddler" for expansion in vocab.expansions)
    ids = np.frombuffer(write_book(20_000, seed=9), np.uint8)
    short = vocab.encode(ids)
    assert vocab.expand(short).tolist() == ids.tolist()
    assert len(short) < 0.3 * len(ids)
    starts = TEXT.word_starts(ids)
    edges = np.cumsum([0, *(len(vocab.expansion(int(id))) for id in short)])
    assert set(starts.tolist()) <= set(edges.tolist())
    cut = int(starts[len(starts) // 2])
    halves = vocab.encode_many([ids[:cut], ids[cut:]])
    assert np.concatenate(halves).tolist() == short.tolist()


def test_text_has_no_bars() -> None:
    assert TEXT.bar_starts(np.arange(50)).tolist() == []

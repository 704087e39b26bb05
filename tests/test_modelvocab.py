"""A model's vocabulary: where its ids lie, merges and their expansion, to JSON and back."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_model import CONDITIONS, some_merges, tiny_vocab

from midigen.errors import MidigenError
from midigen.modelvocab import ModelVocab
from midigen.vocab import Vocab

BARE = Vocab([f"Note_{i}" for i in range(6)])
TOK = f"remi#{BARE.fingerprint}"


def test_base_ids_keep_their_numbers_and_the_rest_follows() -> None:
    vocab = ModelVocab(BARE, TOK, merges=[(0, 1), (6, 2)], conditions={"genre": {"pop": 9}})
    assert vocab.expansions == ((0, 1), (0, 1, 2))
    assert (vocab.bos, vocab.eos, vocab.pad) == (8, 9, 10)
    assert vocab.conditions == {"genre": {"pop": 11}} and vocab.counts == {"genre": {"pop": 9}}
    assert len(vocab) == 12


def test_specials_of_the_base_are_used() -> None:
    vocab = tiny_vocab()
    index = vocab.base.index
    assert vocab.pad == index["PAD_None"] and vocab.bos == index["BOS_None"]
    assert len(vocab) == len(vocab.base) + sum(len(values) for values in CONDITIONS.values())


def test_without_specials_the_base_is_all() -> None:
    vocab = ModelVocab(BARE, TOK, specials=False)
    assert len(vocab) == 6 and vocab.bos is vocab.eos is vocab.pad is None


def test_two_merges_of_the_same_ids_are_one() -> None:
    vocab = ModelVocab(BARE, TOK, merges=[(0, 1), (1, 2), (6, 2), (0, 7)])
    assert vocab.expansions == ((0, 1), (1, 2), (0, 1, 2))
    assert vocab.merged_ids == (6, 7, 8, 8)


@pytest.mark.parametrize("merges", [[(0, 6)], [(0, 1), (7, 1)], [(-1, 0)]])
def test_a_merge_of_what_is_not_there_is_refused(merges: list[tuple[int, int]]) -> None:
    with pytest.raises(MidigenError, match="does not exist"):
        ModelVocab(BARE, TOK, merges=merges)


def test_another_fingerprint_is_refused() -> None:
    with pytest.raises(MidigenError, match=BARE.fingerprint):
        ModelVocab(BARE, "remi#00000000")


def test_comes_back_from_json() -> None:
    vocab = tiny_vocab(merges=some_merges("remi"))
    again = ModelVocab.from_json(json.loads(json.dumps(vocab.to_json())))
    assert again.to_json() == vocab.to_json() and len(again) == len(vocab)
    assert again.conditions == vocab.conditions and again.expansions == vocab.expansions
    with pytest.raises(MidigenError, match="version 9"):
        ModelVocab.from_json(vocab.to_json() | {"version": 9})


def test_specials_and_conditions_expand_to_nothing() -> None:
    vocab = ModelVocab(BARE, TOK, merges=[(3, 4)], conditions={"era": {"1980s": 2}})
    assert vocab.expand([10, 7, 0, 6, 5, 8, 9]).tolist() == [0, 3, 4, 5]
    assert vocab.expand([]).tolist() == []
    assert vocab.expansion(6) == (3, 4) and vocab.expansion(10) == ()


def test_ids_have_names() -> None:
    vocab = ModelVocab(BARE, TOK, merges=[(3, 4)], conditions={"era": {"1980s": 2}})
    assert [vocab.token(i) for i in (5, 6, 7, 10)] == [
        *("Note_5", "Note_3 Note_4", "BOS_None", "era=1980s")
    ]


@given(st.lists(st.integers(0, 564), max_size=300))
@settings(max_examples=50)
def test_merging_is_undone_by_expanding(ids: list[int]) -> None:
    vocab = tiny_vocab(merges=some_merges("remi"))
    specials = {vocab.pad, vocab.bos, vocab.eos}
    kept = [i for i in ids if i not in specials]
    merged = vocab.encode(kept)
    assert len(merged) <= len(kept)
    assert vocab.expand(merged).tolist() == kept


def test_merges_apply_in_the_order_they_were_learned() -> None:
    vocab = ModelVocab(
        BARE, TOK, merges=[(1, 2), (0, 1), (7, 2)], bar_starts=lambda ids: np.zeros(0, np.int64)
    )
    assert vocab.encode([0, 1, 2]).tolist() == [0, 6]
    assert vocab.encode([0, 1, 1, 2]).tolist() == [7, 6]

"""Vocabularies: distinct Type_value tokens, an id each, a fingerprint for all."""

import hashlib

import pytest

from midigen.errors import MidigenError
from midigen.vocab import Vocab, fingerprint

TOKENS = ("PAD_None", "Pitch_60", "Duration_1.0.8", "Chord_C:maj_7")


def test_id_is_the_place_in_the_list() -> None:
    vocab = Vocab(TOKENS)
    assert len(vocab) == 4
    assert [vocab.index[token] for token in TOKENS] == [0, 1, 2, 3]


def test_type_ends_at_the_first_underscore() -> None:
    vocab = Vocab(TOKENS)
    assert vocab.types == ("PAD", "Pitch", "Duration", "Chord")
    assert vocab.values == ("None", "60", "1.0.8", "C:maj_7")


def test_ids_of_types_ascend() -> None:
    vocab = Vocab(TOKENS)
    assert vocab.ids_of("Duration", "PAD").tolist() == [0, 2]
    assert vocab.ids_of("Rest").tolist() == []


def test_fingerprint_is_that_of_the_tokens_joined_by_newlines() -> None:
    digest = hashlib.sha256(b"PAD_None\nPitch_60\nDuration_1.0.8\nChord_C:maj_7").hexdigest()
    assert Vocab(TOKENS).fingerprint == fingerprint(TOKENS) == digest[:8]
    assert Vocab(reversed(TOKENS)).fingerprint != digest[:8]


def test_same_tokens_are_the_same_vocabulary() -> None:
    assert Vocab(TOKENS) == Vocab(list(TOKENS)) != Vocab(TOKENS[:3])
    assert len({Vocab(TOKENS), Vocab(list(TOKENS))}) == 1


@pytest.mark.parametrize(
    ("tokens", "complaint"),
    [(["A_1", "A_1"], "twice"), (["A"], "not of the form"), (["A_1\nB_2"], "not of the form")],
)
def test_tokens_that_would_be_ambiguous_are_refused(tokens: list[str], complaint: str) -> None:
    with pytest.raises(MidigenError, match=complaint):
        Vocab(tokens)

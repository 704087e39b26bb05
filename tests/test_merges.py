"""Learning and applying merges."""

import numpy as np
from hand_records import piece
from tiny_model import tok_of

from midigen.merges import Merger, learn
from midigen.modelvocab import ModelVocab
from midigen.registry import tokenizer

REMI = tokenizer("remi")
PIECES = [np.array(piece(k)["ids"]) for k in range(30)]
STARTED = [(ids, REMI.bar_starts(ids)) for ids in PIECES]


def learned(count: int) -> ModelVocab:
    merges = learn(STARTED, len(REMI.vocab), count)
    return ModelVocab(REMI.vocab, tok_of("remi"), merges=merges, bar_starts=REMI.bar_starts)


def test_pieces_get_shorter_and_come_back() -> None:
    vocab = learned(100)
    assert 0 < len(vocab.expansions) <= 100
    merged = vocab.encode_many(PIECES)
    assert sum(map(len, merged)) < 0.6 * sum(map(len, PIECES))
    for ids, short in zip(PIECES, merged, strict=True):
        assert vocab.expand(short).tolist() == ids.tolist()
        assert vocab.encode(ids).tolist() == short.tolist()


def test_no_merge_crosses_a_bar_line() -> None:
    bar = REMI.vocab.index["Bar_None"]
    for expansion in learned(300).expansions:
        assert bar not in expansion[1:]


def test_a_bar_is_merged_the_same_whatever_stands_around_it() -> None:
    vocab = learned(200)
    for ids, starts in STARTED:
        bars = np.split(ids, starts[1:])
        parts = [vocab.encode(bar) for bar in bars]
        assert np.concatenate(parts).tolist() == vocab.encode(ids).tolist()


def test_no_more_merges_than_pairs_that_occur_twice() -> None:
    once = [(np.array([10, 11, 12, 13]), np.array([0]))]
    assert learn(once, 20, 50) == []
    twice = once * 2
    assert len(learn(twice, 20, 50)) == 3


def test_ids_beyond_the_surrogates_are_characters_too() -> None:
    size = 60_000
    ids = np.array([0, 35_000, 59_999, 35_327, 35_328, 59_998])
    merger = Merger(size, [(35_327, 35_328)], [size])
    (merged,) = merger.apply([ids], [np.array([0])])
    assert merged.tolist() == [0, 35_000, 59_999, size, 59_998]

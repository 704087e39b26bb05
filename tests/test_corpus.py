"""Dividing a store: nothing leaks, nothing depends on the order of the stream."""

from pathlib import Path

import numpy as np
import pytest
from hand_records import piece, record_of
from training_data import corpus_of, pieces

from midigen.corpus import Corpus, Span, tail_start
from midigen.errors import MidigenError
from midigen.split import choose_rule


def groups(corpus: Corpus, span: Span) -> set[int]:
    return set(corpus.store.rows["group"][span.row].tolist())


@pytest.mark.parametrize("count", [2, 3, 8, 60])
def test_splits_as_the_rule_says(tmp_path: Path, count: int) -> None:
    records = pieces(count)
    corpus = corpus_of(tmp_path, records)
    assert corpus.rule == choose_rule(record["group"] for record in records)
    wanted = [corpus.rule.split(record) for record in records]
    found = [len(corpus.train), len(corpus.val), len(corpus.test)]
    if "val" in wanted:
        assert found == [wanted.count(name) for name in ("train", "val", "test")]
    else:
        assert found == [1, 1, 1] and count == 2


def test_copies_train_beside_their_piece_and_are_never_held_out(tmp_path: Path) -> None:
    records = pieces(60)
    copies = [record | {"aug": {"shift": 2}} for record in records]
    plain, both = corpus_of(tmp_path, records, "a"), corpus_of(tmp_path, records + copies, "b")
    assert len(both.train) == 2 * len(plain.train)
    assert len(both.val) == len(plain.val) and len(both.test) == len(plain.test)
    held = groups(both, both.val) | groups(both, both.test)
    assert not held & groups(both, both.train)


def test_order_of_the_stream_changes_nothing(tmp_path: Path) -> None:
    records = pieces(40)
    a, b = corpus_of(tmp_path, records, "a"), corpus_of(tmp_path, records[::-1], "b")
    for one, other in ((a.train, b.train), (a.val, b.val), (a.test, b.test)):
        assert [one.piece(i).tolist() for i in range(len(one))] == [
            other.piece(i).tolist() for i in range(len(other))
        ]


def test_the_same_record_twice_counts_once(tmp_path: Path) -> None:
    records = pieces(20)
    corpus = corpus_of(tmp_path, records + records[:7])
    assert corpus.duplicates == 7
    assert len(corpus.train) + len(corpus.val) + len(corpus.test) == 20


def test_a_twin_of_a_piece_held_out_by_its_corpus_does_not_train(tmp_path: Path) -> None:
    records = pieces(40)
    train = next(
        r for r in records if choose_rule([r["group"] for r in records]).split(r) == "train"
    )
    twin = train | {"id": "0123456789abcdef", "meta": {"split": "test"}}
    corpus = corpus_of(tmp_path, [*records, twin])
    assert corpus.twins == 1
    assert not groups(corpus, corpus.test) & groups(corpus, corpus.train)


def test_splits_of_the_corpus_come_first(tmp_path: Path) -> None:
    names = ["train", "dev", "test", "train"]
    records = [piece(k) | {"meta": {"split": name}} for k, name in enumerate(names)]
    corpus = corpus_of(tmp_path, records)
    assert [len(corpus.train), len(corpus.val), len(corpus.test)] == [2, 1, 1]
    assert corpus.val.piece(0).tolist() == records[1]["ids"]


def test_nothing_to_validate_on_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MidigenError, match="no pieces for validation"):
        corpus_of(tmp_path, [piece(k) | {"meta": {"split": "train"}} for k in range(5)])


def test_a_single_piece_is_cut_at_a_bar_and_so_are_its_copies(tmp_path: Path) -> None:
    words = ["Bar_None", "Position_0", "Pitch_60", "Velocity_63", "Duration_0.4.8"] * 20
    record = record_of(words)
    corpus = corpus_of(tmp_path, [record, record | {"aug": {"shift": 0.5}}])
    assert corpus.rule.kind == "tail"
    assert [len(corpus.train), len(corpus.val), len(corpus.test)] == [2, 1, 1]
    assert corpus.train.length.tolist() == [90, 90] and corpus.val.length.tolist() == [10]
    assert not corpus.train.ends and corpus.train.begins
    assert corpus.val.ends and not corpus.val.begins


def test_last_tenth_is_by_bars_where_there_are_ten() -> None:
    assert tail_start(100, np.arange(0, 100, 5)) == 90
    assert tail_start(100, np.array([0, 50])) == 90
    assert tail_start(5, np.array([0])) == 4


def test_of_copies_of_a_piece_one_counts_where_the_piece_is_missing(tmp_path: Path) -> None:
    records = pieces(40)
    copies = [record | {"aug": {"shift": k}} for record in records for k in (1, 2)]
    plain = corpus_of(tmp_path, records, "a")
    assert plain.distinct_tokens == plain.train.tokens
    half = [record for k, record in enumerate(records) if k % 2]
    for name, stream in (("b", records + copies), ("c", half + copies)):
        assert corpus_of(tmp_path, stream, name).distinct_tokens == plain.distinct_tokens

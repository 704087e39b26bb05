"""Training windows: every id once an epoch, behind its conditions, in rows that resume exactly."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from training_data import corpus_of, pieces, prefixes_of, vocab_of

from midigen.corpus import Corpus
from midigen.errors import MidigenError
from midigen.permutation import Permutation
from midigen.prefetch import Prefetch
from midigen.windows import IGNORE, Batch, Windows


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return corpus_of(tmp_path_factory.mktemp("corpus"), pieces(40))


def windows_of(corpus: Corpus, window: int = 48, **more: object) -> Windows:
    vocab = vocab_of(corpus, specials=bool(more.pop("specials", True)))
    prefixes = prefixes_of(corpus, vocab)
    return Windows(corpus.train, prefixes, vocab, window, 3, **more)  # type: ignore[arg-type]


def epoch_of(windows: Windows, number: int) -> list[Batch]:
    """Return the rows of one epoch, one a batch."""
    rows: list[Batch] = []
    for batch in windows.batches(1):
        if batch.after.epoch > number:
            return rows
        if batch.after.epoch == number:
            rows.append(batch)
    raise AssertionError("batches do not end")


@pytest.mark.parametrize("window", [32, 48, 200, 1000])
@pytest.mark.parametrize("epoch", [0, 1])
def test_every_id_is_predicted_once_an_epoch(corpus: Corpus, window: int, epoch: int) -> None:
    windows = windows_of(corpus, window)
    found = np.concatenate([batch.targets.ravel() for batch in epoch_of(windows, epoch)])
    eos = vocab_of(corpus).eos
    wanted = [id for i in range(len(corpus.train)) for id in [*corpus.train.piece(i).tolist(), eos]]
    assert sorted(found[found != IGNORE].tolist()) == sorted(wanted)


@pytest.mark.parametrize("stride", [8, 20, 48])
def test_windows_with_a_stride_start_so_many_ids_apart(corpus: Corpus, stride: int) -> None:
    windows = windows_of(corpus, specials=False, dropout=1.0, stride=stride)
    found = sorted(
        tuple(id for id in inputs if id)  # 0 pads
        for batch in epoch_of(windows, 0)
        for inputs, _ in chunks_of(batch)
        if any(inputs)
    )
    step, wanted = min(stride, windows.body), []
    for i in range(len(corpus.train)):
        ids = corpus.train.piece(i).tolist()
        starts = [0, *range(step, len(ids) - windows.body + step, step)]
        wanted += [tuple(ids[max(0, s - 1) : min(len(ids), s + windows.body) - 1]) for s in starts]
    assert found == sorted(wanted)


def test_an_epoch_may_be_a_share_of_the_windows(corpus: Corpus) -> None:
    rows = [len(epoch_of(windows_of(corpus, share=share), 0)) for share in (1.0, 0.25)]
    assert rows[1] == pytest.approx(rows[0] / 4, abs=1.5)


def test_without_specials_only_first_ids_without_conditions_go_unpredicted(corpus: Corpus) -> None:
    windows = windows_of(corpus, specials=False, dropout=1.0)
    found = np.concatenate([batch.targets.ravel() for batch in epoch_of(windows, 0)])
    assert (found != IGNORE).sum() == corpus.train.tokens - len(corpus.train)
    kept = windows_of(corpus, specials=False, dropout=0.0)
    found = np.concatenate([batch.targets.ravel() for batch in epoch_of(kept, 0)])
    assert (found != IGNORE).sum() == corpus.train.tokens


def chunks_of(batch: Batch) -> list[tuple[list[int], list[int]]]:
    """Return (inputs, targets) of every chunk of a batch of one row."""
    ids, targets, segments = batch.ids[0], batch.targets[0], batch.segments[0]
    return [
        (ids[segments == k].tolist(), targets[segments == k].tolist())
        for k in range(segments.max() + 1)
        if (targets[segments == k] != IGNORE).any()
    ]


def test_chunks_start_with_all_conditions_of_their_piece_then_bos(corpus: Corpus) -> None:
    vocab = vocab_of(corpus)
    prefixes = prefixes_of(corpus, vocab)
    starts = {
        (*prefixes.whole(int(row)), vocab.bos, *corpus.train.piece(i)[:8].tolist())
        for i, row in enumerate(corpus.train.row)
    }
    seen = set()
    for batch in epoch_of(windows_of(corpus, dropout=0.0), 0):
        for inputs, targets in chunks_of(batch):
            if vocab.bos in inputs:
                place = inputs.index(vocab.bos)
                seen.add(tuple(inputs[: place + 9]))
                assert set(targets[:place]) <= {IGNORE}
    assert seen == starts


def test_targets_are_the_ids_behind(corpus: Corpus) -> None:
    vocab = vocab_of(corpus)
    music = set(range(len(vocab.base))) - {vocab.pad}
    for batch in islice(windows_of(corpus).batches(1), 200):
        for inputs, targets in chunks_of(batch):
            for place in range(len(inputs) - 1):
                if targets[place] != IGNORE and inputs[place + 1] in music:
                    assert targets[place] == inputs[place + 1]


def test_shorter_windows_read_the_same_pieces_and_go_on_from_their_places(corpus: Corpus) -> None:
    whole = windows_of(corpus, 96)
    short = whole.cut(2)
    assert whole.cut(1) is whole and short.window == 48
    batches = list(islice(short.batches(6), 4))
    assert batches[0].ids.shape == (6, 48) and batches[0].after.parts == 2
    assert (batches[0].ids != next(windows_of(corpus, 48).batches(6)).ids).any()
    again = next(short.batches(6, batches[2].after))
    assert (again.ids == batches[3].ids).all() and again.after == batches[3].after
    counts = [sum(batch.scored for batch in epoch_of(w, 0)) for w in (whole, short)]
    assert abs(counts[0] - counts[1]) <= 48
    with pytest.raises(MidigenError, match="a window of 6 leaves"):
        whole.cut(16)


def test_conditions_are_dropped_field_by_field(corpus: Corpus) -> None:
    vocab = vocab_of(corpus)
    genres = set(vocab.conditions["genre"].values())
    artists = set(vocab.conditions["artist"].values())
    counts = {True: 0, False: 0}
    mixed = 0
    for epoch in range(6):
        for batch in epoch_of(windows_of(corpus, dropout=0.5), epoch):
            for inputs, _ in chunks_of(batch):
                counts[bool(genres & set(inputs))] += 1
                mixed += bool(genres & set(inputs)) != bool(artists & set(inputs))
    assert 0.4 < counts[True] / sum(counts.values()) < 0.6
    assert mixed > 0


def test_rows_go_on_from_any_place(corpus: Corpus) -> None:
    windows = windows_of(corpus)
    batches = list(islice(windows.batches(3), 60))
    assert batches[-1].after.epoch > 0
    for k in (0, 7, 30, 50):
        again = next(windows_of(corpus).batches(3, batches[k].after))
        assert (again.ids == batches[k + 1].ids).all()
        assert (again.targets == batches[k + 1].targets).all()
        assert again.after == batches[k + 1].after


def test_epochs_differ_in_order_and_borders(corpus: Corpus) -> None:
    windows = windows_of(corpus)
    first, second = ({batch.ids.tobytes() for batch in epoch_of(windows, k)} for k in (0, 1))
    assert len(first & second) < len(first) / 4


def test_rows_are_nearly_full(corpus: Corpus) -> None:
    rows = epoch_of(windows_of(corpus, 128), 0)
    pad = vocab_of(corpus).pad
    assert sum((batch.ids == pad).sum() for batch in rows[:-1]) < 0.1 * 128 * len(rows)
    assert len(rows) == pytest.approx(windows_of(corpus, 128).rows_an_epoch(), rel=0.1)


def test_windows_respect_whole_events(corpus: Corpus) -> None:
    windows = windows_of(corpus, unit=4)
    for epoch in (0, 1, 2):
        assert windows.body % 4 == 0
        assert not (windows._first(epoch) % 4).any()


def test_a_window_of_conditions_alone_is_refused(corpus: Corpus) -> None:
    with pytest.raises(MidigenError, match="--window"):
        windows_of(corpus, 6)


@given(n=st.integers(1, 3000), seed=st.integers(0, 2**40), stage=st.integers(0, 2**30))
def test_permutations_hit_everything_once(n: int, seed: int, stage: int) -> None:
    order = Permutation(n, seed, stage)(np.arange(n))
    assert sorted(order.tolist()) == list(range(n))
    if n > 50:
        assert (order != Permutation(n, seed + 1, stage)(np.arange(n))).any()


def test_prefetch_hands_errors_on_and_ends() -> None:
    def items() -> object:
        yield 1
        yield 2
        raise ValueError("broken")

    ahead = Prefetch(items(), 1)  # type: ignore[arg-type]
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(ValueError, match="broken"):
        next(ahead)
    ahead.close()
    assert list(Prefetch(iter("abc"), 2)) == list("abc")
    endless = Prefetch(iter(int, 1), 2)
    assert next(endless) == 0
    endless.close()

"""Near-duplicates across the split: found when transposed, cut or rearranged; not by chance."""

from pathlib import Path
from random import Random

import numpy as np
import pytest
from hand_records import Bar, bar_words, record_of
from training_data import corpus_of

from midigen.leakage import LENGTH, Leak, Passages, find_leaks, passages
from midigen.record import Record
from midigen.tokenizers import tokenizer_of


def melody(seed: int, bars: int = 12) -> list[Bar]:
    random = Random(seed)
    return [[(0, random.randint(40, 80)) for _ in range(8)] for _ in range(bars)]


def moved(bars: list[Bar], semitones: int) -> list[Bar]:
    return [[(program, pitch + semitones) for program, pitch in bar] for bar in bars]


def tune(bars: list[Bar], name: str, split: str) -> Record:
    words = [word for bar in bars for word in bar_words(bar)]
    return record_of(words, name=name, meta={"split": split})


def leaks_of(folder: Path, *records: Record) -> list[Leak]:
    others = [tune(melody(100 + k), f"o{k}", "train") for k in range(5)]
    others += [tune(melody(200), "v", "val"), tune(melody(300), "t", "test")]
    corpus = corpus_of(folder, [*others, *records])
    return find_leaks(corpus, tokenizer_of(corpus.store.tok))


def test_unrelated_pieces_are_no_leak(tmp_path: Path) -> None:
    assert leaks_of(tmp_path) == []


def test_a_transposed_piece_without_its_start_is_found(tmp_path: Path) -> None:
    bars = melody(1)
    copy = [[(0, 60)] * 8, *moved(bars[2:], 3)]
    (leak,) = leaks_of(tmp_path, tune(bars, "a", "train"), tune(copy, "b", "test"))
    assert (leak.split, leak.row, leak.train_row) == ("test", 8, 7)
    assert 0.8 < leak.shared < 1.0


def test_a_piece_that_shares_little_is_no_leak(tmp_path: Path) -> None:
    bars = melody(1)
    mixed = bars[:4] + melody(2)[4:]
    assert leaks_of(tmp_path, tune(bars, "a", "train"), tune(mixed, "b", "val")) == []


def test_the_training_piece_that_shares_most_is_named_most_shared_first(tmp_path: Path) -> None:
    bars, other = melody(1), melody(5)
    leaks = leaks_of(
        tmp_path,
        tune(bars[:8] + melody(3)[8:], "a", "train"),
        tune(bars, "b", "train"),
        tune(other, "c", "train"),
        tune(moved(bars, -2), "d", "val"),
        tune(other[:10] + melody(6)[10:], "e", "test"),
    )
    assert [(leak.row, leak.train_row) for leak in leaks] == [(10, 8), (11, 9)]
    assert leaks[0].shared == 1.0 > leaks[1].shared


def test_drums_and_repeated_notes_are_no_passages() -> None:
    assert len(passages(np.array([60, 62] * 30))) == 0
    assert len(passages(np.arange(40, 40 + LENGTH))) == 0
    assert len(passages(np.array([60, 64, 67] * 10))) == 30 - LENGTH
    drums = [word for _ in range(9) for word in bar_words([(-1, 36 + k) for k in (0, 2, 6, 0, 9)])]
    record = record_of(drums)
    reader = Passages(tokenizer_of(record["tok"]))
    assert len(reader.of(np.array(record["ids"]))) == 0


@pytest.mark.parametrize("semitones", [-7, 5])
def test_passages_do_not_change_with_transposition(semitones: int) -> None:
    pitches = np.array([pitch for bar in melody(7) for _, pitch in bar])
    assert (passages(pitches) == passages(pitches + semitones)).all()

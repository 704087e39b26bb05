"""Grammars lifted through merges: what each merge's base ids, one by one, would be allowed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from remi_walks import grammar, remi, sampled
from symusic import Score

from midigen.constrain import Lifted
from midigen.merges import learn
from midigen.modelvocab import ModelVocab


class Brackets:
    """Balanced brackets up to a depth: id 0 opens, 1 closes, 2 stands anywhere inside."""

    depth = 4

    def start(self) -> int:
        return 0

    def mask(self, state: int) -> np.ndarray:
        return np.array([state < self.depth, state > 0, state > 0])

    def step(self, state: int, id: int) -> int:
        return state + (1, -1, 0)[id]

    def accepting(self, state: int) -> bool:
        return state == 0

    def closing(self, state: int) -> list[int]:
        return [1] * state


def allowed_one_by_one(grammar: Any, state: Any, ids: tuple[int, ...]) -> bool:
    for id in ids:
        if not grammar.mask(state)[id]:
            return False
        state = grammar.step(state, id)
    return True


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.integers(0, 2), min_size=2, max_size=6), max_size=20))
def test_a_merge_is_allowed_where_its_ids_are(expansions: list[list[int]]) -> None:
    base = Brackets()
    lifted = Lifted(base, expansions)
    for state in range(base.depth + 1):
        mask = lifted.mask(state)
        assert mask[:3].tolist() == base.mask(state).tolist()
        for merge, ids in enumerate(expansions):
            assert mask[3 + merge] == allowed_one_by_one(base, state, tuple(ids))
            if mask[3 + merge]:
                assert lifted.step(state, 3 + merge) == state + ids.count(0) - ids.count(1)


def random_merges(size: int, count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Return pairs of base ids or earlier merges."""
    return [
        (int(rng.integers(size + made)), int(rng.integers(size + made))) for made in range(count)
    ]


def learned_merges(spec: str, tunes: Path, count: int) -> list[tuple[int, int]]:
    pieces = [np.array(part) for path in tunes.glob("*.mid") for part in encoded(spec, path)]
    vocab = remi(spec).vocab
    return learn([(ids, remi(spec).bar_starts(ids)) for ids in pieces], len(vocab), count)


def encoded(spec: str, path: Path) -> list[np.ndarray]:
    return [part.astype(np.int64) for part in remi(spec).encode(Score(path)).parts]


def model_vocab(spec: str, merges: list[tuple[int, int]]) -> ModelVocab:
    vocab, starts = remi(spec).vocab, remi(spec).bar_starts
    tok = f"{remi(spec).spec}#{vocab.fingerprint}"
    return ModelVocab(vocab, tok, merges=merges, bar_starts=starts)


@pytest.mark.parametrize("spec", ["", "rests=1", "stream=tracks", "changes=1", "intervals=16"])
def test_classes_do_not_change_what_is_allowed(spec: str, tunes: Path) -> None:
    rng = np.random.default_rng(1)
    size = len(remi(spec).vocab)
    merges = learned_merges(spec, tunes, 60)
    merges += random_merges(size + len(merges), 60, rng)
    expansions = model_vocab(spec, merges).expansions
    lifted = Lifted(grammar(spec), expansions)
    state, seen = lifted.start(), 0
    for id in sampled(grammar(spec), rng, 120):
        mask = lifted.mask(state)
        for merge, ids in enumerate(expansions):
            assert mask[size + merge] == allowed_one_by_one(grammar(spec), state, tuple(ids))
        seen += int(mask[size:].sum())
        state = lifted.step(state, id)
    assert seen > 0


@pytest.mark.parametrize("spec", ["", "rests=1", "programs=0"])
def test_merged_tunes_are_accepted(spec: str, tunes: Path) -> None:
    vocab = model_vocab(spec, learned_merges(spec, tunes, 300))
    lifted = Lifted(grammar(spec), vocab.expansions)
    for path in sorted(tunes.glob("*.mid")):
        for part in encoded(spec, path):
            merged = vocab.encode(part)
            assert len(merged) < len(part)
            state = lifted.start()
            for id in merged.tolist():
                assert lifted.mask(state)[id], path.name
                state = lifted.step(state, id)
            assert lifted.accepting(state)


@pytest.mark.parametrize("merges", ["none", "random", "learned"])
def test_sequences_sampled_through_merges_need_no_repair(merges: str, tunes: Path) -> None:
    """A thousand of them: tests/oracle/check_grammar.py."""
    rng = np.random.default_rng(3)
    size = len(remi("").vocab)
    pairs = {
        "none": list,
        "random": lambda: random_merges(size, 2000, rng),
        "learned": lambda: learned_merges("", tunes, 400),
    }[merges]()
    vocab = model_vocab("", pairs)
    lifted = Lifted(grammar(""), vocab.expansions)
    notes = []
    for _ in range(12):
        length = int(rng.integers(200, 2000))
        decoded = remi("").decode([sampled(lifted, rng, length, vocab.expansion)])
        assert decoded.repairs == {}
        notes.append(decoded.value.note_num())
    assert np.mean(notes) > 20


def test_masks_are_remembered_and_read_only() -> None:
    lifted = Lifted(Brackets(), [(0, 1)])
    assert lifted.mask(1) is lifted.mask(1)
    with pytest.raises(ValueError, match="read-only"):
        lifted.mask(1)[0] = False

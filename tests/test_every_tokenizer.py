"""Laws that every installed tokenizer keeps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizer_laws import (
    SPECS,
    encoded,
    essence,
    inputs,
    is_music,
    parts,
    refusal,
    size,
    tokenizer,
    walks,
)

from midigen.protocols import Grammar, Tokenizer

every = pytest.mark.parametrize("spec", SPECS)


@every
def test_it_is_a_tokenizer_and_its_spec_builds_it_again(spec: str) -> None:
    found = tokenizer(spec)
    assert isinstance(found, Tokenizer)
    assert isinstance(found.grammar(), Grammar)
    again = tokenizer(found.spec)
    assert (again.spec, again.vocab) == (found.spec, found.vocab)
    assert len(found.vocab) > 2
    assert found.unit >= 1


@every
def test_what_is_read_gives_ids_that_the_grammar_accepts(spec: str) -> None:
    found = tokenizer(spec)
    assert len(encoded(spec)) >= len(inputs(spec)) - 1 > 10
    for ids in parts(spec):
        assert len(ids) > 0
        assert ids.min() >= 0
        assert ids.max() < len(found.vocab)
        assert len(ids) % found.unit == 0
        assert refusal(spec, ids.tolist()) == ""


@every
def test_what_was_encoded_decodes_without_repair_and_then_stays_the_same(spec: str) -> None:
    found = tokenizer(spec)
    sizes = []
    for result in encoded(spec):
        first = found.decode(result.parts, result.programs)
        assert first.repairs == {}
        again = found.encode(first.value)
        second = found.decode(again.parts, again.programs)
        assert second.repairs == {}
        assert essence(second.value) == essence(first.value)
        sizes.append(size(first.value))
    assert min(sizes) > 0


@every
def test_scores_are_left_as_they_are(spec: str) -> None:
    if is_music(spec):
        score = inputs(spec)[0]
        before = essence(score)
        tokenizer(spec).encode(score)
        assert essence(score) == before


@every
@settings(max_examples=30, deadline=None)
@given(st.data())
def test_any_ids_decode(spec: str, data: st.DataObject) -> None:
    found = tokenizer(spec)
    ids = st.lists(st.integers(0, len(found.vocab) - 1), max_size=50)
    drawn = data.draw(st.lists(ids, min_size=1, max_size=3))
    programs = data.draw(st.sampled_from([None, list(range(-1, len(drawn) - 1))]))
    decoded = found.decode(drawn, programs)
    assert size(decoded.value) >= 0
    assert all(type(count) is int and count > 0 for count in decoded.repairs.values())


@every
def test_long_random_ids_decode_and_have_bars_in_order(spec: str) -> None:
    found = tokenizer(spec)
    rng = np.random.default_rng(3)
    for length in (0, 1, 2, 7, 64, 333, 2000):
        ids = rng.integers(0, len(found.vocab), length)
        assert size(found.decode([ids]).value) >= 0
        starts = found.bar_starts(ids)
        assert (np.diff(starts) > 0).all()
        assert len(starts) == 0 or (starts[0] >= 0 and starts[-1] < length)


@every
def test_bars_of_what_was_read_begin_events_in_order(spec: str) -> None:
    found = tokenizer(spec)
    counts = []
    for ids in parts(spec):
        starts = found.bar_starts(ids)
        assert (np.diff(starts) > 0).all()
        assert (starts % found.unit == 0).all()
        assert len(starts) == 0 or (starts[0] >= 0 and starts[-1] < len(ids))
        counts.append(len(starts))
    # A tokenizer either knows bars or does not.
    assert min(counts) > 0 or max(counts) == 0


@every
@pytest.mark.parametrize("merges", [False, True], ids=["base", "merges"])
def test_sequences_sampled_under_the_grammar_need_no_repair(spec: str, merges: bool) -> None:
    found = tokenizer(spec)
    sizes = []
    for ids in walks(spec, [200, 800, 1400, 2000], 1, merges=merges):
        assert refusal(spec, ids) == ""
        decoded = found.decode([ids])
        assert decoded.repairs == {}
        sizes.append(size(decoded.value))
    assert np.mean(sizes) > 20


@every
def test_the_shortest_end_is_an_end(spec: str) -> None:
    rules = tokenizer(spec).grammar()
    rng = np.random.default_rng(4)
    state = rules.start()
    for _ in range(120):
        behind = state
        closing = rules.closing(state)
        for id in closing:
            assert not rules.accepting(behind)
            assert rules.mask(behind)[id]
            behind = rules.step(behind, id)
        assert rules.accepting(behind)
        allowed = np.flatnonzero(rules.mask(state))
        assert len(allowed) > 0
        state = rules.step(state, int(rng.choice(allowed)))

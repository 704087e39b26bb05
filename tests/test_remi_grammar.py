"""`remi`'s grammar: takes what is encoded, and exactly what decodes without a repair."""

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from remi_walks import ARRAYS, MIDITOK, accepts, grammar, remi, sampled, spoiled
from symusic import Score

from midigen.errors import Reject
from midigen.protocols import Grammar

ALL = ARRAYS + MIDITOK


def walked(spec: str, seed: int, length: int = 150) -> list[Any]:
    """Return the states of a random walk."""
    rng = np.random.default_rng(seed)
    found = [grammar(spec).start()]
    for id in sampled(grammar(spec), rng, length):
        found.append(grammar(spec).step(found[-1], id))
    return found


def refusal(spec: str, ids: np.ndarray) -> str:
    """Say where the grammar refuses ids; empty if it accepts them."""
    state, tokens = grammar(spec).start(), remi(spec).vocab.tokens
    for place, id in enumerate(ids.tolist()):
        if not grammar(spec).mask(state)[id]:
            near = " ".join(tokens[i] for i in ids[max(0, place - 5) : place + 2])
            return f"id {place}, state {state}: {near}"
        state = grammar(spec).step(state, id)
    return "" if grammar(spec).accepting(state) else f"no end: {state}"


@pytest.mark.parametrize("spec", ALL)
def test_encoded_tunes_are_accepted(spec: str, tunes: Path) -> None:
    for path in sorted(tunes.glob("*.mid"))[:: 1 if spec in ARRAYS else 3]:
        for part in remi(spec).encode(Score(path)).parts:
            assert refusal(spec, part) == "", path.name


@pytest.mark.parametrize("spec", ALL)
def test_encoded_corpus_files_are_accepted(spec: str, shared: Path) -> None:
    paths = sorted(shared.glob("corpus/**/*.mid"))[3 :: 300 if spec in ARRAYS else 900]
    for path in paths:
        try:
            parts = remi(spec).encode(Score(path)).parts
        except Reject:
            continue
        for part in parts:
            assert refusal(spec, part) == "", path


@pytest.mark.parametrize("spec", ALL)
def test_sampled_sequences_need_no_repair(spec: str) -> None:
    rng = np.random.default_rng(1)
    notes = []
    for _ in range(8):
        decoded = remi(spec).decode([sampled(grammar(spec), rng, int(rng.integers(100, 600)))])
        assert decoded.repairs == {}
        notes.append(decoded.value.note_num())
    assert np.mean(notes) > 20


@pytest.mark.parametrize("spec", ALL)
def test_what_the_grammar_refuses_needs_a_repair_and_nothing_else_does(spec: str) -> None:
    rng = np.random.default_rng(2)
    size = len(remi(spec).vocab)
    outcomes = set()
    for _ in range(12):
        whole = sampled(grammar(spec), rng, 80)
        for ids in (whole, *(spoiled(whole, size, rng) for _ in range(15))):
            accepted = accepts(grammar(spec), ids)
            assert accepted == (bool(ids) and remi(spec).decode([ids]).repairs == {})
            outcomes.add(accepted)
    assert outcomes == {True, False}


@pytest.mark.parametrize("spec", ALL)
def test_every_state_has_a_way_on_and_specials_never_come(spec: str) -> None:
    assert isinstance(grammar(spec), Grammar)
    specials = [remi(spec).vocab.index[f"{name}_None"] for name in ("PAD", "BOS", "EOS", "MASK")]
    for state in walked(spec, 3):
        mask = grammar(spec).mask(state)
        assert mask.any()
        assert not mask[specials].any()
        assert not mask.flags.writeable
        hash(state)


def shortest(found: Grammar, state: Any) -> int:
    """Return the length of the shortest way to an accepting state, by looking at all of them."""
    queue, met = deque([(state, 0)]), {state}
    while queue:
        here, length = queue.popleft()
        if found.accepting(here):
            return length
        for id in np.flatnonzero(found.mask(here)):
            behind = found.step(here, int(id))
            if behind not in met:
                met.add(behind)
                queue.append((behind, length + 1))
    raise AssertionError("no way to an end")


@pytest.mark.parametrize("spec", ["", "rests=1", "tempos=0", "pedals=duration", "keys=1,tempos=0"])
def test_closings_are_the_shortest_way_to_an_end(spec: str) -> None:
    looked_at = {state.phase: state for state in walked(spec, 4, 400)}
    for state in looked_at.values():
        closing = grammar(spec).closing(state)
        assert len(closing) == shortest(grammar(spec), state)
        for id in closing:
            assert grammar(spec).mask(state)[id]
            state = grammar(spec).step(state, id)
        assert grammar(spec).accepting(state)


@pytest.mark.parametrize("spec", ALL)
def test_ids_of_one_class_are_alike(spec: str) -> None:
    classes = grammar(spec).classes
    for state in walked(spec, 5)[::10]:
        mask = grammar(spec).mask(state)
        for c in np.unique(classes):
            ids = np.flatnonzero(classes == c)
            assert len(set(mask[ids].tolist())) == 1
            some = ids[:: len(ids) // 4 + 1] if mask[ids[0]] else []
            assert len({grammar(spec).step(state, int(i)) for i in some}) <= 1


def behind(words: str, spec: str = "") -> set[str]:
    """Return the types that may follow `words`, Positions with their value."""
    vocab = remi(spec).vocab
    state = grammar(spec).start()
    for word in words.split():
        assert grammar(spec).mask(state)[vocab.index[word]], word
        state = grammar(spec).step(state, vocab.index[word])
    allowed = np.flatnonzero(grammar(spec).mask(state))
    return {vocab.tokens[i] if vocab.types[i] == "Position" else vocab.types[i] for i in allowed}


NOTE = "Program_0 Pitch_60 Velocity_63 Duration_1.0.8"


def positions(low: int, high: int) -> set[str]:
    return {f"Position_{i}" for i in range(low, high)}


def test_tokens_come_in_the_order_in_which_miditok_writes_them() -> None:
    assert behind("") == {"Bar"}
    assert behind("Bar_None") == {"TimeSig"}
    assert behind("Bar_None TimeSig_4/4 Position_0") == {"Tempo", "Program"}
    assert behind("Bar_None TimeSig_4/4 Position_0 Program_0") == {"Pitch"}
    assert behind("Bar_None TimeSig_4/4 Position_0 Program_-1") == {"PitchDrum"}
    assert behind("Bar_None TimeSig_4/4 Position_0 Program_0 Pitch_60") == {"Velocity"}


def test_positions_lie_in_the_bar_and_never_go_back() -> None:
    assert behind("Bar_None TimeSig_4/4") == {"Bar"} | positions(0, 32)
    assert behind("Bar_None TimeSig_3/8") == {"Bar"} | positions(0, 24)
    here = f"Bar_None TimeSig_3/8 Position_20 {NOTE}"
    assert behind(here) == {"Bar", "Program"} | positions(20, 24)
    assert behind(f"{here} Bar_None TimeSig_4/4") == {"Bar"} | positions(0, 32)


def test_positions_behind_a_rest_come_after_the_last_note_and_the_rest() -> None:
    held = "Bar_None TimeSig_4/4 Position_0 Program_0 Pitch_60 Velocity_63 Duration_2.0.8"
    rested = f"{held} Rest_1.0.4"
    assert behind(rested, "rests=1") == {"Bar", "Rest"} | positions(24, 32)
    # A beat more ends this bar: the next one has begun without a Bar token, and may change metre.
    ended = behind(f"{rested} Rest_1.0.4", "rests=1")
    assert ended == {"Bar", "Rest", "TimeSig"} | positions(0, 32)


def test_programs_that_change_hold_for_what_follows() -> None:
    opened = "Bar_None TimeSig_4/4 Position_0"
    assert behind(opened, "changes=1") == {"Tempo", "Program"}
    drums = f"{opened} Program_-1 PitchDrum_40 Velocity_63 Duration_1.0.8 Position_8"
    assert behind(drums, "changes=1") == {"Tempo", "Program", "PitchDrum"}


def test_a_track_keeps_its_program() -> None:
    vocab = remi("stream=tracks").vocab
    state = grammar("stream=tracks").start()
    for word in f"Bar_None TimeSig_4/4 Position_0 {NOTE}".split():
        state = grammar("stream=tracks").step(state, vocab.index[word])
    allowed = np.flatnonzero(grammar("stream=tracks").mask(state))
    assert [vocab.tokens[i] for i in allowed if vocab.types[i] == "Program"] == ["Program_0"]


def test_intervals_stay_in_the_range_of_pitches() -> None:
    spec = "intervals=16,programs=0"
    vocab = remi(spec).vocab
    state = grammar(spec).start()
    for word in [
        "Bar_None",
        "TimeSig_4/4",
        "Position_0",
        "Pitch_105",
        "Velocity_63",
        "Duration_1.0.8",
    ]:
        state = grammar(spec).step(state, vocab.index[word])
    mask = grammar(spec).mask(state)
    assert mask[vocab.index["PitchIntervalTime_4"]]
    assert not mask[vocab.index["PitchIntervalTime_5"]]

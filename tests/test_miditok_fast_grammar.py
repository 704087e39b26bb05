"""Grammars of TSD, MIDILike and Structured: they take what is encoded, and what needs no repair."""

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from event_walks import ARRAYS, LEFT_TO_MIDITOK, encoded, grammar, tokenizer
from remi_walks import accepts, sampled, spoiled

from midigen.constrain import Lifted
from midigen.merges import learn
from midigen.protocols import Grammar

ALL = ARRAYS + LEFT_TO_MIDITOK
CLASSES = ["class=TSD", "class=MIDILike", "class=Structured"]
SOME = [
    *CLASSES,
    "class=TSD,ts=0,tempos=0,rests=1",
    "class=TSD,stream=tracks,pedals=duration",
    "class=MIDILike,changes=1,ts=0",
    "class=MIDILike,programs=0,tempos=0",
    "class=MIDILike,stream=tracks,velocities=0,drums=0",
    "class=MIDILike,intervals=16,bends=8",
    "class=MIDILike,durations=0-63",
]


def refusal(params: str, ids: np.ndarray) -> str:
    """Say where the grammar refuses ids; empty if it accepts them."""
    state, tokens = grammar(params).start(), tokenizer(params).vocab.tokens
    for place, id in enumerate(ids.tolist()):
        if not grammar(params).mask(state)[id]:
            near = " ".join(tokens[i] for i in ids[max(0, place - 5) : place + 2])
            return f"id {place}, state {state}: {near}"
        state = grammar(params).step(state, id)
    return "" if grammar(params).accepting(state) else f"no end: {state}"


def walked(params: str, seed: int, length: int = 150) -> list[Any]:
    """Return the states of a random walk."""
    found = [grammar(params).start()]
    for id in sampled(grammar(params), np.random.default_rng(seed), length):
        found.append(grammar(params).step(found[-1], id))
    return found


def behind(words: str, params: str) -> set[str]:
    """Return the types that may follow `words`, ends of notes with their value."""
    vocab, state = tokenizer(params).vocab, grammar(params).start()
    for word in words.split():
        assert grammar(params).mask(state)[vocab.index[word]], word
        state = grammar(params).step(state, vocab.index[word])
    allowed = np.flatnonzero(grammar(params).mask(state))
    ends = ("NoteOff", "DrumOff")
    return {vocab.tokens[i] if vocab.types[i] in ends else vocab.types[i] for i in allowed}


@pytest.mark.parametrize("params", ALL)
def test_encoded_tunes_are_accepted(params: str, tunes: Path) -> None:
    paths = sorted(tunes.glob("*.mid"))[:: 1 if params in SOME else 4]
    found = list(encoded(params, paths))
    assert found
    for path, parts, _ in found:
        assert [refusal(params, part) for part in parts] == [""] * len(parts), path.name


@pytest.mark.parametrize("params", CLASSES)
def test_encoded_corpus_files_are_accepted(params: str, shared: Path) -> None:
    for path, parts, _ in encoded(params, sorted(shared.glob("corpus/**/*.mid"))[3::300]):
        assert [refusal(params, part) for part in parts] == [""] * len(parts), path


@pytest.mark.parametrize("params", ALL)
def test_sampled_sequences_need_no_repair(params: str) -> None:
    rng = np.random.default_rng(1)
    notes = []
    for length in (200, 300, 400):
        decoded = tokenizer(params).decode([sampled(grammar(params), rng, length)])
        assert decoded.repairs == {}
        notes.append(decoded.value.note_num())
    # Where only one program may follow, or few, time and tempos take most of the draws.
    few = any(word in params for word in ("tracks", "only", "programs=0", "controls"))
    assert np.mean(notes) > (1 if few else 20)


@pytest.mark.parametrize("params", ALL)
def test_what_the_grammar_refuses_needs_a_repair_and_nothing_else_does(params: str) -> None:
    rng = np.random.default_rng(2)
    size = len(tokenizer(params).vocab)
    outcomes = set()
    for _ in range(4 if params in SOME else 2):
        whole = sampled(grammar(params), rng, 40)
        for ids in (whole, *(spoiled(whole, size, rng) for _ in range(12))):
            accepted = accepts(grammar(params), ids)
            assert accepted == (bool(ids) and tokenizer(params).decode([ids]).repairs == {})
            outcomes.add(accepted)
    assert outcomes == {True, False}


@pytest.mark.parametrize("params", SOME)
def test_every_state_has_a_way_on_and_specials_never_come(params: str) -> None:
    assert isinstance(grammar(params), Grammar)
    specials = [tokenizer(params).vocab.index[f"{name}_None"] for name in ("PAD", "BOS", "EOS")]
    for state in walked(params, 3):
        mask = grammar(params).mask(state)
        assert mask.any()
        assert not mask[specials].any()
        assert not mask.flags.writeable
        hash(state)


@pytest.mark.parametrize("params", SOME)
def test_closings_lead_to_an_end_and_never_grow_on_their_way(params: str) -> None:
    for state in walked(params, 4, 300):
        closing = grammar(params).closing(state)
        assert grammar(params).distance(state) == len(closing)
        for place, id in enumerate(closing):
            assert grammar(params).mask(state)[id]
            state = grammar(params).step(state, id)
            assert grammar(params).distance(state) == len(closing) - place - 1
        assert grammar(params).accepting(state)


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


@pytest.mark.parametrize("params", ["class=TSD", "class=TSD,ts=0,tempos=0", "class=Structured"])
def test_closings_of_finite_grammars_are_the_shortest(params: str) -> None:
    for state in {state.phase: state for state in walked(params, 5, 400)}.values():
        assert len(grammar(params).closing(state)) == shortest(grammar(params), state)


@pytest.mark.parametrize("params", SOME)
def test_ids_of_one_class_are_alike(params: str) -> None:
    classes = grammar(params).classes
    for state in walked(params, 6)[::15]:
        mask = grammar(params).mask(state)
        for c in np.unique(classes):
            ids = np.flatnonzero(classes == c)
            assert len(set(mask[ids].tolist())) == 1
            some = ids[:: len(ids) // 4 + 1] if mask[ids[0]] else []
            assert len({grammar(params).step(state, int(i)) for i in some}) <= 1


@pytest.mark.parametrize("params", [p for p in SOME if "intervals" not in p])
def test_merges_are_allowed_where_all_their_ids_are(params: str, tunes: Path) -> None:
    pieces = [
        (part.astype(np.int64), tokenizer(params).bar_starts(part))
        for _, parts, _ in encoded(params, sorted(tunes.glob("*.mid")))
        for part in parts
    ]
    expansions: list[tuple[int, ...]] = [(i,) for i in range(len(tokenizer(params).vocab))]
    for a, b in learn(pieces, len(expansions), 300):
        expansions.append(expansions[a] + expansions[b])
    merged = expansions[len(tokenizer(params).vocab) :]
    lifted = Lifted(grammar(params), merged)
    rng = np.random.default_rng(7)
    seen = set()
    for _ in range(4):
        state = lifted.start()
        for _ in range(40):
            mask = lifted.mask(state)
            for ids, allowed in zip(merged, mask[-len(merged) :].tolist(), strict=True):
                assert takes(grammar(params), state, ids) == allowed
                seen.add(allowed)
            # Mostly merges: notes begin and end within them, and around them.
            some = np.flatnonzero(mask[-len(merged) :]) + len(mask) - len(merged)
            choices = some if len(some) and rng.random() < 0.8 else np.flatnonzero(mask)
            state = lifted.step(state, int(rng.choice(choices)))
    assert seen == {True, False}


def takes(found: Grammar, state: Any, ids: tuple[int, ...]) -> bool:
    for id in ids:
        if not found.mask(state)[id]:
            return False
        state = found.step(state, id)
    return True


def test_a_piece_begins_with_its_time_signature() -> None:
    for params in ("class=TSD", "class=MIDILike"):
        assert behind("", params) == {"TimeSig"}
        whole = {"TimeSig", "Tempo", "TimeShift", "Program"}
        assert behind("TimeSig_4/4", params) == whole
        assert behind("TimeSig_4/4 Tempo_121.29 TimeShift_1.0.8", params) == whole


def test_notes_of_midilike_end_only_while_they_sound() -> None:
    begun = "TimeSig_4/4 Program_0 NoteOn_60 Velocity_63 Program_0 NoteOn_64 Velocity_63"
    params = "class=MIDILike"
    assert behind(f"{begun} Program_0", params) == {"NoteOn", "NoteOff_60", "NoteOff_64"}
    assert behind(f"{begun} Program_5", params) == {"NoteOn"}
    assert behind(f"{begun} Program_-1", params) == {"DrumOn"}
    assert behind(f"{begun} Program_0 NoteOff_60 Program_0", params) == {"NoteOn", "NoteOff_64"}


def test_notes_that_have_just_begun_get_a_beat_before_they_end() -> None:
    vocab, found = tokenizer("class=MIDILike").vocab, grammar("class=MIDILike")
    state = found.start()
    for word in ("TimeSig_4/4", "Program_0", "NoteOn_60", "Velocity_63", "TimeShift_0.4.8"):
        state = found.step(state, vocab.index[word])
    state = found.step(state, vocab.index["Program_5"])
    words = [vocab.tokens[i] for i in found.closing(state)]
    assert words[0].startswith("NoteOn_") and words[1].startswith("Velocity_")
    pitch = words[0].partition("_")[2]
    ends = ["Program_0", "NoteOff_60", "Program_5", f"NoteOff_{pitch}"]
    assert words[2:] == ["TimeShift_1.0.8", *ends]


def test_structured_has_a_shift_of_time_before_every_note() -> None:
    note = "TimeShift_0.0.1 Program_0 Pitch_60 Velocity_63 Duration_1.0.8"
    assert behind("", "class=Structured") == {"TimeShift"}
    assert behind("TimeShift_0.0.1", "class=Structured") == {"Program"}
    assert behind(note, "class=Structured") == {"TimeShift"}


def test_a_prompt_may_end_while_notes_sound_and_a_piece_may_not() -> None:
    vocab, lifted = tokenizer("class=MIDILike").vocab, Lifted(grammar("class=MIDILike"))
    state = lifted.start()
    settled = []
    for word in ("TimeSig_4/4", "Program_0", "NoteOn_60", "Velocity_63", "TimeShift_0.4.8"):
        state = lifted.step(state, vocab.index[word])
        settled.append((lifted.settled(state), lifted.accepting(state)))
    assert settled == [(True, True), (False, False), (False, False), (True, False), (False, False)]

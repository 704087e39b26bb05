"""`barnote` back to scores, and its grammar: exactly what decodes without a repair."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from barnote_reference import units
from hypothesis import given, settings
from hypothesis import strategies as st
from midigen_barnote import BarNote
from midigen_barnote.meter import signatures
from remi_walks import accepts, sampled, spoiled
from symusic import Score

from midigen.constrain import Lifted
from midigen.errors import Reject
from midigen.merges import learn
from midigen.modelvocab import ModelVocab
from midigen.protocols import Grammar

BARNOTE = BarNote()
GRAMMAR: Any = BARNOTE.grammar()
SIZE = 153
IDS = st.lists(st.integers(0, SIZE - 1), max_size=200)

Notes = list[tuple[int, int, int]]


def ids_of(text: str) -> list[int]:
    index = BARNOTE.vocab.index
    return [index[word if word != "Bar" else "Bar_None"] for word in text.split()]


def notes_of(score: Any) -> Notes:
    """Return (time, duration, pitch) of all notes in units, ascending."""
    return sorted(
        (note.time, note.duration, note.pitch) for track in score.tracks for note in track.notes
    )


def heard(text: str) -> tuple[Notes, dict[str, int]]:
    decoded = BARNOTE.decode([ids_of(text)])
    return notes_of(decoded.value), decoded.repairs


def lengths(score: Any) -> list[tuple[int, str]]:
    return [(s.time, f"{s.numerator}/{s.denominator}") for s in score.time_signatures]


def test_notes_count_from_the_bar_before_them() -> None:
    text = "Offset_2 Pitch_60 Duration_4 Offset_12 Bar Offset_1 Pitch_64 Duration_1"
    assert heard(text) == ([(2, 4, 60), (13, 1, 64)], {})


def test_a_score_is_one_piano_at_120_in_the_bars_of_the_ids() -> None:
    score = BARNOTE.decode([ids_of("Offset_12 Bar Offset_0 Pitch_60 Duration_4 Offset_14 Bar")])
    value = score.value
    assert value.ticks_per_quarter == 4
    assert [(track.program, track.is_drum) for track in value.tracks] == [(0, False)]
    assert [(tempo.time, round(tempo.qpm)) for tempo in value.tempos] == [(0, 120)]
    assert lengths(value) == [(0, "3/4"), (12, "7/8")]


@pytest.mark.parametrize(
    ("text", "notes", "repairs"),
    [
        ("Offset_0 Pitch_60", [], {"incomplete note": 1}),
        (
            "Offset_0 Pitch_60 Pitch_62 Duration_1",
            [(0, 1, 62)],
            {"incomplete note": 1, "note without offset": 1},
        ),
        ("Offset_3 Pitch_60 Duration_1 Duration_2", [(3, 1, 60)], {"stray duration": 1}),
        (
            "Offset_3 Pitch_60 Duration_1 Pitch_64 Duration_1",
            [(3, 1, 60), (3, 1, 64)],
            {"note without offset": 1},
        ),
        ("Pitch_64 Duration_1", [(0, 1, 64)], {"note without offset": 1}),
        (
            "Offset_3 Pitch_60 Duration_1 Bar Offset_0 Pitch_60 Duration_1",
            [(3, 1, 60), (16, 1, 60)],
            {"bar without offset": 1},
        ),
        (
            "Offset_12 Bar Bar Offset_0 Pitch_60 Duration_1",
            [(24, 1, 60)],
            {"bar without offset": 1},
        ),
        ("Offset_0 Bar Offset_2 Pitch_60 Duration_1", [(2, 1, 60)], {"empty bar": 1}),
        ("Offset_7 Offset_8 Pitch_60 Duration_1", [(8, 1, 60)], {"offset without event": 1}),
        ("Offset_7 Pitch_60 Duration_1 Offset_8", [(7, 1, 60)], {"offset without event": 1}),
        (
            "Offset_7 Pitch_60 Duration_1 Offset_3 Pitch_60 Duration_1",
            [(3, 1, 60), (7, 1, 60)],
            {"time backwards": 1},
        ),
        (
            "Offset_7 Pitch_60 Duration_1 Offset_3 Bar Offset_0 Pitch_60 Duration_1",
            [(3, 1, 60), (7, 1, 60)],
            {"time backwards": 1},
        ),
    ],
)
def test_what_is_repaired_is_counted(text: str, notes: Notes, repairs: dict[str, int]) -> None:
    assert heard(text) == (notes, repairs)


def test_notes_that_were_split_are_joined() -> None:
    split = "Offset_0 Pitch_60 Duration_32 Offset_16 Bar Offset_16 Bar Offset_0 Pitch_60 Duration_8"
    assert heard(split) == ([(0, 40, 60)], {})
    # Two voices of one pitch: one of them goes on.
    both = split.replace("Offset_16", "Offset_0 Pitch_60 Duration_32 Offset_16", 1)
    assert heard(both) == ([(0, 32, 60), (0, 40, 60)], {})
    assert heard(split.replace("Pitch_60 Duration_8", "Pitch_61 Duration_8"))[0] == [
        (0, 32, 60),
        (32, 8, 61),
    ]


@pytest.mark.parametrize(
    ("lines", "end", "wanted"),
    [
        ([], 10, [(0, 4, 4)]),
        ([16, 32], 40, [(0, 4, 4)]),
        ([12, 24, 38, 53], 60, [(0, 3, 4), (24, 7, 8), (38, 15, 16)]),
        ([31, 32, 63, 64], 70, [(0, 8, 4)]),
        ([31, 62, 64], 65, [(0, 16, 4)]),
        # No line ends the last bar: it is as long as the one before, or as what sounds in it.
        ([16], 32, [(0, 4, 4)]),
        ([16], 33, [(0, 4, 4), (16, 5, 4)]),
        ([], 33, [(0, 9, 4)]),
        ([31, 62], 70, [(0, 18, 4)]),
        # 1,985 sixteenths are more than the 255 beats that a MIDI file can say.
        ([*range(31, 1985, 31), 1985], 1986, [(0, 31, 16), (1984, 1, 16)]),
    ],
)
def test_time_signatures_come_from_the_distances_of_bars(
    lines: list[int], end: int, wanted: list[tuple[int, int, int]]
) -> None:
    assert list(signatures(lines, end)) == wanted


def without_silent_bars(ids: list[int]) -> list[int]:
    """Return ids up to the last note."""
    return ids[: len(ids) - next(i for i, id in enumerate(reversed(ids)) if id > 120)]


def check_round_trip(result: Any) -> None:
    """Check that decoding loses nothing of encoded ids but the silent bars at their end."""
    ids = result.parts[0].tolist()
    decoded = BARNOTE.decode([ids])
    assert decoded.repairs == {}
    assert accepts(GRAMMAR, ids)
    again = BARNOTE.encode(decoded.value).parts[0].tolist()
    assert without_silent_bars(again) == without_silent_bars(ids)


def on_the_grid(score: Any) -> Notes:
    """Return (time, duration, pitch) of all notes, rounded to units, ascending."""
    found = []
    for note in (note for track in score.tracks for note in track.notes):
        start, stop = (units(t, score.tpq) for t in (note.time, note.time + note.duration))
        found.append((start, stop - start, note.pitch))
    return sorted(found)


def test_tunes_keep_onsets_durations_and_pitches(tunes: Path) -> None:
    for path in sorted(tunes.glob("*.mid")):
        score = Score(path)
        result = BARNOTE.encode(score)
        check_round_trip(result)
        if not result.lossy:
            assert notes_of(BARNOTE.decode(result.parts).value) == on_the_grid(score), path.name


def test_corpus_files_keep_their_ids(shared: Path) -> None:
    scores = [Score(path) for path in sorted((shared / "corpus").glob("**/*.mid"))[7::200]]
    results = [r for r in BARNOTE.encode_many(scores) if not isinstance(r, Reject)]
    assert len(results) > 40
    for result in results:
        check_round_trip(result)


@settings(deadline=None, max_examples=200)
@given(st.lists(IDS, max_size=3))
def test_any_ids_decode_and_what_comes_out_encodes(parts: list[list[int]]) -> None:
    score = BARNOTE.decode(parts).value
    assert all(note[1] > 0 and 21 <= note[2] <= 108 for note in notes_of(score))
    if score.note_num():
        again = BARNOTE.encode(score)
        assert again.lossy == ()
        assert notes_of(BARNOTE.decode(again.parts).value) == notes_of_joined(score)


def notes_of_joined(score: Any) -> Notes:
    """Return the notes as they come back: parts joined as one piece is."""
    merged: Any = score.copy()
    for track in merged.tracks[1:]:
        merged.tracks[0].notes.extend(track.notes)
    del merged.tracks[1:]
    return notes_of(BARNOTE.decode(BARNOTE.encode(merged).parts).value)


@settings(deadline=None, max_examples=100)
@given(IDS)
def test_the_grammar_takes_exactly_what_needs_no_repair(ids: list[int]) -> None:
    assert accepts(GRAMMAR, ids) == (bool(ids) and BARNOTE.decode([ids]).repairs == {})


def test_what_the_grammar_refuses_needs_a_repair_and_nothing_else_does() -> None:
    rng = np.random.default_rng(2)
    outcomes = set()
    for _ in range(20):
        whole = sampled(GRAMMAR, rng, 60)
        for ids in (whole, *(spoiled(whole, SIZE, rng) for _ in range(20))):
            accepted = accepts(GRAMMAR, ids)
            assert accepted == (bool(ids) and BARNOTE.decode([ids]).repairs == {})
            outcomes.add(accepted)
    assert outcomes == {True, False}


@pytest.fixture(scope="module")
def merged(tunes: Path) -> ModelVocab:
    """The vocabulary of a model with merges."""
    pieces = [BARNOTE.encode(Score(path)).parts[0] for path in sorted(tunes.glob("*.mid"))]
    pairs = learn([(ids, BARNOTE.bar_starts(ids)) for ids in pieces], SIZE, 100)
    tok = f"barnote#{BARNOTE.vocab.fingerprint}"
    return ModelVocab(BARNOTE.vocab, tok, merges=pairs, bar_starts=BARNOTE.bar_starts)


@pytest.mark.parametrize("with_merges", [False, True])
def test_sampled_sequences_need_no_repair(with_merges: bool, merged: ModelVocab) -> None:
    lifted = Lifted(GRAMMAR, merged.expansions if with_merges else ())
    assert len(lifted.mask(lifted.start())) > SIZE or not with_merges
    rng = np.random.default_rng(1)
    notes = []
    for _ in range(30):
        ids = sampled(lifted, rng, int(rng.integers(200, 2000)), merged.expansion)
        decoded = BARNOTE.decode([ids])
        assert decoded.repairs == {}
        notes.append(decoded.value.note_num())
    assert np.mean(notes) > 20


def states() -> list[int]:
    """Return all states of the table that can be reached."""
    found, queue = {GRAMMAR.start()}, [GRAMMAR.start()]
    for state in queue:
        for id in np.flatnonzero(GRAMMAR.mask(state)):
            behind = GRAMMAR.step(state, int(id))
            if behind not in found:
                found.add(behind)
                queue.append(behind)
    return queue


def test_every_state_has_the_shortest_way_to_an_end() -> None:
    assert isinstance(GRAMMAR, Grammar)
    assert not GRAMMAR.accepting(GRAMMAR.start())
    for state in states():
        mask, closing = GRAMMAR.mask(state), GRAMMAR.closing(state)
        assert mask.any() and not mask.flags.writeable
        assert bool(closing) != GRAMMAR.accepting(state)
        if len(closing) > 1:
            assert not any(
                GRAMMAR.accepting(GRAMMAR.step(state, int(i))) for i in np.flatnonzero(mask)
            )
        assert len(closing) <= 2
        for id in closing:
            assert GRAMMAR.mask(state)[id]
            state = GRAMMAR.step(state, id)
        assert GRAMMAR.accepting(state)


def test_ids_of_one_class_are_alike() -> None:
    classes = GRAMMAR.classes
    assert len(np.unique(classes)) == 1 + 32 + 2
    for state in states():
        mask = GRAMMAR.mask(state)
        for c in np.unique(classes):
            alike = np.flatnonzero(classes == c)
            assert len(set(mask[alike].tolist())) == 1
            if mask[alike[0]]:
                assert len({GRAMMAR.step(state, int(id)) for id in alike}) == 1

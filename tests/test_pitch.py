"""`pitch`: names of notes and chords without time, fixed vocabularies and learned ones."""

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from midigen_pitch import Pitch
from midigen_pitch.chords import Chord, all_classes, sounding
from remi_walks import sampled
from symusic import Note, Score, Track

from midigen.constrain import Lifted
from midigen.errors import MidigenError, Reject
from midigen.moves import Moves
from midigen.protocols import Grammar, Tokenizer
from midigen.registry import tokenizer

FIXED, TOP = Pitch(), Pitch(chords="top")
TRIADS = {
    "chords": "sets",
    "step": 8,
    "vocabulary": ["C4.E4.G4", "E4.G4", "C4.E4", "C4.G4"],
    "transposed": [],
}
SETS = Pitch.from_definition(TRIADS)
ALL = {"fixed": FIXED, "top": TOP, "sets": SETS}


def made(*onsets: tuple[int, list[int]], drums: bool = False) -> Any:
    """Return a score of (tick, pitches), 24 ticks a quarter."""
    score: Any = Score(24)
    score.tracks.append(Track(is_drum=drums))
    for time, pitches in onsets:
        for pitch in pitches:
            score.tracks[0].notes.append(Note(time, 12, pitch, 64))
    return score


def words(ids: Any, of: Any = FIXED) -> list[str]:
    return [of.vocab.tokens[id] for id in ids]


def encoded(score: Any, of: Any = FIXED) -> list[str]:
    return words(of.encode(score).parts[0], of)


def decoded(tokens: str, of: Any = FIXED) -> list[tuple[int, int, list[int]]]:
    """Return (time, duration, pitches) of each onset of decoded tokens, in ticks."""
    score = of.decode([[of.vocab.index[token] for token in tokens.split()]]).value
    notes = score.tracks[0].notes
    times = sorted({(note.time, note.duration) for note in notes})
    return [
        (time, duration, sorted(n.pitch for n in notes if n.time == time))
        for time, duration in times
    ]


def test_the_fixed_vocabulary_has_every_note_and_every_set_of_pitch_classes() -> None:
    counts = Counter(FIXED.vocab.types)
    assert counts == {"Note": 88, "Chord": 2**12 - 1 - 12}
    assert FIXED.vocab.tokens[0] == "Note_A0"
    assert FIXED.vocab.tokens[39] == "Note_C4"
    assert FIXED.vocab.tokens[87:89] == ("Note_C8", "Chord_0.1")
    assert TOP.vocab.tokens == FIXED.vocab.tokens[:88]
    assert all(isinstance(found, Tokenizer) for found in ALL.values())


def test_notes_are_named_and_chords_are_sets_of_pitch_classes() -> None:
    score = made((0, [61]), (24, [60, 64, 67]), (48, [53, 69, 72]), (60, [76, 67, 72, 60]))
    assert encoded(score) == ["Note_C#4", "Chord_0.4.7", "Chord_0.5.9", "Chord_0.4.7"]


def test_octaves_of_one_note_are_its_highest() -> None:
    assert encoded(made((0, [36, 48, 60]))) == ["Note_C4"]


def test_top_takes_the_highest_note_of_every_moment() -> None:
    assert encoded(made((0, [60, 64, 67]), (24, [50])), TOP) == ["Note_G4", "Note_D3"]


def test_time_leaves_no_trace() -> None:
    assert encoded(made((0, [60]), (12, [62]))) == encoded(made((500, [60]), (9999, [62])))


def test_what_begins_within_a_twelfth_of_a_quarter_begins_together() -> None:
    # 24 ticks a quarter: 2 are a twelfth. The time counts from the first note of the chord.
    assert encoded(made((0, [60]), (1, [64]))) == ["Chord_0.4"]
    assert encoded(made((0, [60]), (2, [64]))) == ["Note_C4", "Note_E4"]
    assert encoded(made((0, [60]), (1, [64]), (2, [67]))) == ["Chord_0.4", "Note_G4"]


def test_all_tracks_but_drums_sound_together() -> None:
    score = made((0, [60]))
    score.tracks.extend([made((0, [64])).tracks[0], made((0, [36]), drums=True).tracks[0]])
    assert encoded(score) == ["Chord_0.4"]


@pytest.mark.parametrize("name", ALL)
def test_pieces_without_notes_on_the_piano_are_rejected(name: str) -> None:
    for score in (made(), Score(24), made((0, [40]), drums=True), made((0, [20, 109]))):
        with pytest.raises(Reject) as caught:
            ALL[name].encode(score)
        assert caught.value.reason == "no_notes"


def test_notes_off_the_piano_are_lossy() -> None:
    result = FIXED.encode(made((0, [20, 60])))
    assert words(result.parts[0]) == ["Note_C4"]
    assert result.lossy == ("pitch",)


def test_decoded_tokens_are_steps_of_a_grid() -> None:
    assert decoded("Note_C#4 Chord_0.4.7 Note_A0") == [
        (0, 12, [61]),
        (12, 12, [60, 64, 67]),
        (24, 12, [21]),
    ]
    assert [time for time, *_ in decoded("Note_C4 Note_D4", Pitch(step="16"))] == [0, 6]
    score = FIXED.decode([[39]]).value
    assert score.ticks_per_quarter == 24
    assert [round(tempo.qpm) for tempo in score.tempos] == [120]
    assert [(s.numerator, s.denominator) for s in score.time_signatures] == [(4, 4)]


@pytest.mark.parametrize(
    ("chord", "pitches"),
    [
        ((0, 4, 7), [60, 64, 67]),
        ((0, 5, 9), [65, 69, 72]),
        ((4, 7, 11), [64, 67, 71]),
        ((0, 11), [71, 72]),
        ((0, 3, 6, 9), [60, 63, 66, 69]),
        (tuple(range(12)), list(range(60, 72))),
    ],
)
def test_pitch_classes_sound_close_together(chord: Chord, pitches: list[int]) -> None:
    assert sounding(chord, "classes") == pitches


def test_chords_of_pitch_classes_sound_as_the_classes_that_they_are() -> None:
    for chord in all_classes():
        pitches = sounding(chord, "classes")
        assert sorted({pitch % 12 for pitch in pitches}) == list(chord)
        assert pitches == sorted(pitches) and pitches[-1] - pitches[0] < 12


@pytest.mark.parametrize("name", ALL)
def test_any_ids_are_what_their_score_encodes_to(name: str) -> None:
    found = ALL[name]
    rng = np.random.default_rng(0)
    for length in (1, 2, 700):
        ids = rng.integers(0, len(found.vocab), length)
        again = found.encode(found.decode([ids]).value)
        assert again.parts[0].tolist() == ids.tolist()
        assert again.lossy == ()


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.integers(0, 91), max_size=50), max_size=3))
def test_any_ids_decode_without_a_repair(parts: list[list[int]]) -> None:
    result = SETS.decode(parts)
    assert result.repairs == {}
    assert len(result.value.tracks) == sum(map(bool, parts))


def test_tunes_keep_their_moments(tunes: Path) -> None:
    for path in sorted(tunes.glob("*.mid")):
        score = Score(path)
        onsets: dict[int, set[int]] = {}
        for note in (n for track in score.tracks if not track.is_drum for n in track.notes):
            onsets.setdefault(note.time, set()).add(note.pitch)
        if not onsets:
            continue
        near = score.tpq / 12
        assert all(b - a >= near for a, b in pairwise(sorted(onsets)))
        again = FIXED.decode(FIXED.encode(score).parts).value
        wanted = [{p % 12 for p in pitches} for _, pitches in sorted(onsets.items())]
        heard: list[set[int]] = [set() for _ in wanted]
        for note in again.tracks[0].notes:
            heard[note.time // 12].add(note.pitch % 12)
        assert heard == wanted, path.name


@pytest.mark.parametrize("name", ALL)
def test_the_grammar_takes_any_ids_and_needs_one(name: str) -> None:
    found = ALL[name]
    grammar = found.grammar()
    assert isinstance(grammar, Grammar)
    start = grammar.start()
    assert grammar.mask(start).all() and not grammar.mask(start).flags.writeable
    assert not grammar.accepting(start)
    assert words(grammar.closing(start), found) == ["Note_C4"]
    behind = grammar.step(start, 5)
    assert grammar.accepting(behind) and grammar.closing(behind) == []
    assert (grammar.classes == 0).all()


@pytest.mark.parametrize("merges", [(), ((3, 4), (5, 6, 3, 4))])
def test_sampled_sequences_have_a_note_a_token_or_more(merges: tuple) -> None:
    lifted = Lifted(FIXED.grammar(), merges)
    rng, size = np.random.default_rng(3), len(FIXED.vocab)
    for _ in range(10):
        ids = sampled(lifted, rng, 200, lambda id: (id,) if id < size else merges[id - size])
        result = FIXED.decode([ids])
        assert result.repairs == {} and result.value.note_num() >= 200


def test_bars_are_bars_of_the_grid() -> None:
    assert FIXED.bar_starts(np.zeros(17, np.int64)).tolist() == [0, 8, 16]
    assert Pitch(step="3").bar_starts(np.zeros(4, np.int64)).tolist() == [0, 3]
    assert FIXED.bar_starts(np.zeros(0, np.int64)).tolist() == []


def test_specs_are_canonical() -> None:
    assert tokenizer("pitch:chords=classes,step=8").spec == "pitch"
    assert tokenizer("pitch:step=16,chords=top").spec == "pitch:chords=top,step=16"


@pytest.mark.parametrize(
    ("spec", "fact"),
    [
        ("pitch:grid=8", "no parameter 'grid'; there are chords, step"),
        ("pitch:chords=all", "chords=all is not one of classes, sets, top"),
        ("pitch:step=5", "step=5 is not one of 1, 2, 3, 4, 6, 8"),
        ("pitch:chords=sets", "midigen learn --tokenizer pitch:chords=sets -o NAME.tok.json FILES"),
    ],
)
def test_parameters_that_there_are_not_are_named(spec: str, fact: str) -> None:
    with pytest.raises(MidigenError, match=fact):
        tokenizer(spec)


def test_a_learned_vocabulary_is_notes_and_the_chords_of_its_definition() -> None:
    assert SETS.spec == "pitch:@"
    assert SETS.definition == TRIADS
    assert SETS.vocab.tokens[88:] == tuple(f"Chord_{name}" for name in TRIADS["vocabulary"])
    assert encoded(made((0, [60, 64, 67]), (24, [67]), (48, [67, 60])), SETS) == [
        "Chord_C4.E4.G4",
        "Note_G4",
        "Chord_C4.G4",
    ]
    assert decoded("Chord_C4.E4.G4 Note_G4", SETS) == [(0, 12, [60, 64, 67]), (12, 12, [67])]
    assert FIXED.definition is None


@pytest.mark.parametrize(
    ("pitches", "token"),
    [
        ([60, 64, 67, 72], "Chord_C4.E4.G4"),  # the largest part
        ([60, 64, 66], "Chord_C4.E4"),
        ([55, 64, 67], "Chord_E4.G4"),
        ([62, 65], "Note_F4"),  # nothing of it but single notes: the highest
    ],
)
def test_a_chord_that_was_not_learned_is_its_nearest_part(pitches: list[int], token: str) -> None:
    result = SETS.encode(made((0, pitches)))
    assert words(result.parts[0], SETS) == [token]
    assert result.lossy == ("chord",)


def test_of_equal_parts_the_one_with_the_highest_note_is_taken_then_the_most_frequent() -> None:
    names = ["C4.E4", "C4.G4", "E4.G4"]
    found = Pitch.from_definition({"chords": "sets", "step": 8, "vocabulary": names})
    assert encoded(made((0, [60, 64, 67])), found) == ["Chord_C4.G4"]
    classes = Pitch.from_definition({"chords": "classes", "step": 8, "vocabulary": ["0.4", "0.7"]})
    assert encoded(made((0, [60, 64, 67])), classes) == ["Chord_0.7"]
    assert encoded(made((0, [67, 72, 76])), classes) == ["Chord_0.4"]


def test_transpositions_that_no_file_has_stand_for_themselves_alone() -> None:
    lists = {"vocabulary": ["C4.E4"], "transposed": ["D4.F#4"]}
    found = Pitch.from_definition(TRIADS | lists)
    assert encoded(made((0, [62, 66]), (24, [62, 66, 70])), found) == ["Chord_D4.F#4", "Note_A#4"]
    assert encoded(made((0, [60, 64, 70])), found) == ["Chord_C4.E4"]


@pytest.mark.parametrize(
    "definition",
    [
        {},
        {"chords": "sets", "step": 8},
        {"chords": "sets", "step": 5, "vocabulary": []},
        {"chords": "top", "step": 8, "vocabulary": []},
        {"chords": ["sets"], "step": 8, "vocabulary": []},
        {"chords": "sets", "step": 8, "vocabulary": ["C4"]},
        {"chords": "sets", "step": 8, "vocabulary": ["C4.E4"], "transposed": ["C4.E4"]},
        {"chords": "sets", "step": 8, "vocabulary": ["C4.E4"], "transposed": "C4.F4"},
        {"chords": "sets", "step": 8, "vocabulary": ["E4.C4"]},
        {"chords": "sets", "step": 8, "vocabulary": ["C4.E4", "C4.E4"]},
        {"chords": "sets", "step": 8, "vocabulary": ["C4.E9"]},
        {"chords": "sets", "step": 8, "vocabulary": ["A0.C9"]},
        {"chords": "sets", "step": 8, "vocabulary": [5]},
        {"chords": "classes", "step": 8, "vocabulary": ["4.0"]},
        {"chords": "classes", "step": 8, "vocabulary": ["0.12"]},
    ],
)
def test_a_definition_that_is_none_is_an_error(definition: dict[str, Any]) -> None:
    with pytest.raises(MidigenError):
        Pitch.from_definition(definition)


def shifted(tokens: str, semitones: int, of: Any) -> list[str]:
    tables = Moves(of).shifts(12)
    ids = tables.to(semitones)[[of.vocab.index[token] for token in tokens.split()]]
    return words(ids, of)


def test_transposition_moves_notes_and_chords_by_name() -> None:
    tokens = "Note_C4 Chord_0.4.7 Chord_2.11"
    assert shifted(tokens, 3, FIXED) == ["Note_D#4", "Chord_3.7.10", "Chord_2.5"]
    found = Pitch.from_definition(TRIADS | {"vocabulary": ["C4.E4", "D4.F#4"]})
    assert shifted("Note_C4 Chord_C4.E4", 2, found) == ["Note_D4", "Chord_D4.F#4"]
    leaves = Moves(found).shifts(12).leaves[12]
    assert leaves[found.vocab.index["Chord_D4.F#4"]]


def test_learning_counts_chords_and_their_transpositions() -> None:
    learner = Pitch.learner(chords="sets")
    counts = learner.count(made((0, [60, 64]), (24, [60, 64]), (48, [60, 67]), (72, [60])))
    assert counts == {"C4.E4": 2, "C4.G4": 1}
    # Of one shape all have one count: a limit keeps them or leaves them out together.
    assert learner.transposed(counts | {"D4.F#4": 1}, 1) == {
        **dict.fromkeys(["B3.D#4", "C4.E4", "C#4.F4", "D4.F#4", "D#4.G4"], 3),
        **dict.fromkeys(["B3.F#4", "C4.G4", "C#4.G#4"], 1),
    }
    assert learner.transposed({"A0.C8": 3}, 5) == {"A0.C8": 3}
    tritones = Pitch.learner(chords="classes").transposed({"0.6": 1, "1.7": 1}, 6)
    assert tritones == dict.fromkeys(["0.6", "1.7", "2.8", "3.9", "4.10", "5.11"], 2)
    learned = Pitch.from_definition(learner.definition(["C4.E4"], ["C#4.F4"]))
    assert learned.vocab.tokens[88:] == ("Chord_C4.E4", "Chord_C#4.F4")
    assert learned.definition == learner.definition(["C4.E4"], ["C#4.F4"])
    with pytest.raises(MidigenError, match="has no chords"):
        Pitch.learner(chords="top")

"""TSD, MIDILike and Structured: ids, with MidiTok as the oracle."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from event_walks import ARRAYS, LEFT_TO_MIDITOK, miditok, tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st
from midigen_remi.encode import is_covered
from oracle.check_fast import CONFIGS, compare_all
from oracle.check_remi import compare_scores, midi_files
from symusic import Score
from test_remi_encode import SIMPLE, score_of, scores

from midigen.errors import Reject

CLASSES = ["class=TSD", "class=MIDILike", "class=Structured"]


def differences(params: str, found: list[Score]) -> list[str]:
    """Encode scores in one batch, and say which are not what MidiTok makes of them."""
    outcomes = compare_scores(tokenizer(params), miditok(params), found)
    return [detail for outcome, detail in outcomes if outcome == "different"]


@pytest.mark.parametrize("params", ARRAYS + LEFT_TO_MIDITOK)
def test_vocabularies_are_those_of_miditok(params: str) -> None:
    theirs = miditok(params).vocab
    assert list(theirs) == list(tokenizer(params).vocab.tokens)
    assert list(theirs.values()) == list(range(len(theirs)))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sampled_from(ARRAYS), st.lists(scores(), min_size=1, max_size=3))
def test_ids_of_any_score_are_those_of_miditok(params: str, found: list[Score]) -> None:
    assert is_covered(tokenizer(params).config.options)
    assert differences(params, found) == []


@pytest.mark.parametrize("params", ARRAYS)
def test_ids_of_tunes_are_those_of_miditok(params: str, tunes: Path) -> None:
    paths = sorted(tunes.glob("*.mid"))[:: 1 if params in CLASSES else 3]
    assert differences(params, [Score(path) for path in paths]) == []


@pytest.mark.parametrize("params", LEFT_TO_MIDITOK)
def test_what_the_array_code_lacks_goes_through_miditok(params: str, tunes: Path) -> None:
    assert not is_covered(tokenizer(params).config.options)
    assert differences(params, [Score(path) for path in sorted(tunes.glob("*.mid"))[:4]]) == []


def test_ids_of_the_corpus_are_those_of_miditok(shared: Path) -> None:
    paths = midi_files([str(shared / "corpus")], sample=12)
    names = [name for name in CONFIGS if name.endswith(("default", "rests", "changes", "track"))]
    outcomes = list(compare_all(dict.fromkeys(names, paths), jobs=1, chunk=6))
    assert len(outcomes) == len(paths) * len(names)
    assert [outcome for outcome in outcomes if outcome.outcome == "different"] == []


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.sampled_from(ARRAYS), st.lists(scores(), min_size=2, max_size=4))
def test_a_batch_gives_what_each_score_gives_alone(params: str, found: list[Score]) -> None:
    results = tokenizer(params).encode_many(found)
    for score, result in zip(found, results, strict=True):
        if isinstance(result, Reject):
            with pytest.raises(Reject):
                tokenizer(params).encode(score)
            continue
        alone = tokenizer(params).encode(score)
        assert [part.tolist() for part in alone.parts] == [part.tolist() for part in result.parts]
        assert (alone.lossy, alone.programs) == (result.lossy, result.programs)


def test_a_gap_that_no_shift_is_short_enough_for_is_dropped_as_in_miditok() -> None:
    # The 6/8 at tick 0 makes the ticks fine, the 4/4 in its place has no shift of one of them.
    score = score_of(
        (0, False, [(0, 5, 60, 64), (1, 7, 62, 64), (2, 16, 64, 64)]),
        tpq=16,
        signatures=[(0, 6, 8), (0, 4, 4)],
    )
    for params in CLASSES[:2]:
        assert differences(params, [score]) == []
    # Twice a sixteenth of a quarter: time has not moved in the tokens.
    assert tokenizer("class=TSD").decode(tokenizer("class=TSD").encode(score).parts).repairs == {}


def test_long_gaps_are_the_longest_shift_again_and_again() -> None:
    score = score_of((0, False, [(0, 480, 60, 64), (480 * 12 * 5 + 660, 480, 62, 64)]))
    (part,) = tokenizer("class=TSD").encode(score).parts
    words = [tokenizer("class=TSD").vocab.tokens[i] for i in part.tolist()]
    assert words[6:12] == ["TimeShift_12.0.4"] * 5 + ["TimeShift_1.3.8"]
    for params in CLASSES:
        assert differences(params, [score, SIMPLE]) == []


@pytest.mark.parametrize(
    ("score", "reason"),
    [
        (score_of(), "no_notes"),
        (score_of((0, False, [(0, 480, 5, 64)])), "no_notes"),
        (score_of((0, False, [(0, 1, 60, 64), (2**30, 1, 60, 64)])), "too_long"),
    ],
)
@pytest.mark.parametrize("params", [*CLASSES, "class=MIDILike,keys=1"])
def test_what_cannot_be_encoded_stands_in_its_place(score: Score, reason: str, params: str) -> None:
    first, second, third = tokenizer(params).encode_many([SIMPLE, score, SIMPLE])
    assert isinstance(second, Reject) and second.reason == reason
    assert first.parts[0].tolist() == third.parts[0].tolist() != []


@pytest.mark.parametrize("params", ["class=MIDILike", "class=MIDILike,keys=1"])
def test_a_note_of_midilike_that_lasts_for_days_is_rejected(params: str) -> None:
    score = score_of((0, False, [(0, 2**30, 60, 64)]))
    with pytest.raises(Reject) as reject:
        tokenizer(params).encode(score)
    assert reject.value.reason == "too_long"


@pytest.mark.parametrize("kind", ["TSD", "MIDILike"])
def test_a_score_without_whole_positions_is_rejected_for_that(kind: str) -> None:
    score = score_of((0, False, [(0, 480, 60, 64)]), signatures=[(0, 1, 1)])
    found = tokenizer(f"class={kind},res=1x1,ts=1/1+4/4").encode_many([score, SIMPLE])
    assert isinstance(found[0], Reject) and found[0].reason == "tokenizer"
    assert not isinstance(found[1], Reject)


def test_the_array_code_imports_neither_torch_nor_miditok() -> None:
    code = (
        "import sys\n"
        "from symusic import Note, Score, Track\n"
        "from midigen_miditok import MidiTok\n"
        "score = Score(480)\n"
        "score.tracks.append(Track())\n"
        "score.tracks[0].notes.append(Note(0, 480, 60, 64))\n"
        "for kind in ('TSD', 'MIDILike', 'Structured'):\n"
        "    made = MidiTok(**{'class': kind})\n"
        "    parts = made.encode(score).parts\n"
        "    assert made.decode(parts).value.note_num() == 1\n"
        "    assert made.grammar().start() and made.bar_starts(parts[0]).tolist() == [0]\n"
        "print(sorted({'torch', 'miditok'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_ids_are_unsigned_16_bit_numbers() -> None:
    for params in CLASSES:
        (part,) = tokenizer(params).encode(SIMPLE).parts
        assert part.dtype == np.uint16
        assert part.min() >= 4

"""`remi`: ids, with MidiTok as the oracle."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from midigen_remi import Remi
from midigen_remi.encode import is_covered
from midigen_remi.encode_events import Heads, order_events
from midigen_remi.encode_read import Notes, Voice
from oracle.check_remi import CONFIGS, compare_all, compare_scores, midi_files
from remi_configs import COVERED, LEFT_TO_MIDITOK, pair
from symusic import Note, Score, Tempo, TimeSignature, Track

from midigen.errors import Reject
from midigen.spec import parse_params

CORPUS = Path(__file__).parent.parent.parent / "shared" / "corpus"


def differences(params: str, scores: list[Score]) -> list[str]:
    """Encode scores in one batch, and say which are not what MidiTok makes of them."""
    found = compare_scores(*pair(params), scores)
    return [detail for outcome, detail in found if outcome == "different"]


def score_of(
    *tracks: tuple[int, bool, list[tuple[int, int, int, int]]],
    tpq: int = 480,
    tempos: list[tuple[int, float]] = (),
    signatures: list[tuple[int, int, int]] = (),
) -> Score:
    """Return a score; a track is (program, drums, [(time, duration, pitch, velocity)])."""
    score = Score(tpq)
    for program, drums, notes in tracks:
        track = Track("", program, drums)
        for note in notes:
            track.notes.append(Note(*note))
        score.tracks.append(track)
    for tempo in tempos:
        score.tempos.append(Tempo(*tempo))
    for signature in signatures:
        score.time_signatures.append(TimeSignature(*signature))
    return score


@st.composite
def scores(draw: st.DrawFn) -> Score:
    """Scores as a MIDI file can hold them, with little sense for music.

    Onsets often coincide or fall a little beside the grid, durations may be 0, programs and pitches
    repeat, changes of tempo and signature come anywhere, resolutions are odd.
    """
    tpq = draw(st.sampled_from([1, 3, 7, 8, 16, 24, 32, 96, 100, 220, 384, 480, 999, 1024]))
    last = draw(st.sampled_from([2, 8, 40])) * tpq
    when = st.one_of(
        st.integers(0, last),
        st.integers(0, 4 * last // tpq).map(lambda n: n * tpq // 4),
        st.just(0),
    )
    note = st.tuples(
        when,
        st.one_of(st.sampled_from([0, 1, tpq]), st.integers(0, 15 * tpq)),
        st.one_of(st.integers(60, 62), st.integers(0, 127)),
        st.integers(0, 127),
    )
    by_time = st.lists(note, max_size=12).map(lambda notes: sorted(notes, key=lambda n: n[0]))
    tracks = st.lists(
        st.tuples(st.sampled_from([0, 0, 5, 127]), st.booleans(), by_time), max_size=4
    )
    bars = st.sampled_from(
        [(4, 4), (3, 4), (6, 8), (2, 2), (5, 16), (7, 8), (1, 2), (13, 8), (3, 32), (1, 1), (7, 64)]
    )
    return score_of(
        *draw(tracks),
        tpq=tpq,
        tempos=sorted(draw(st.lists(st.tuples(when, st.floats(3, 600)), max_size=4))),
        signatures=[
            (time, *bar)
            for time, bar in sorted(
                draw(st.lists(st.tuples(when, bars), max_size=5)), key=lambda change: change[0]
            )
        ],
    )


SIMPLE = score_of((0, False, [(0, 480, 60, 64), (480, 480, 62, 64)]))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.sampled_from(COVERED), st.lists(scores(), min_size=1, max_size=3))
def test_ids_of_any_score_are_those_of_miditok(params: str, found: list[Score]):
    assert is_covered(pair(params)[0].config)
    assert differences(params, found) == []


@pytest.mark.parametrize("params", COVERED)
def test_ids_of_tunes_are_those_of_miditok(params: str, tunes: Path):
    assert differences(params, [Score(path) for path in sorted(tunes.glob("*.mid"))]) == []


@pytest.mark.parametrize("params", LEFT_TO_MIDITOK)
def test_what_the_array_code_lacks_goes_through_miditok(params: str, tunes: Path):
    ours, _ = pair(params)
    assert not is_covered(ours.config)
    assert differences(params, [Score(path) for path in sorted(tunes.glob("*.mid"))][:6]) == []


@pytest.mark.skipif(not CORPUS.is_dir(), reason="no ../shared/corpus beside the checkout")
def test_ids_of_the_corpus_are_those_of_miditok():
    paths = midi_files([str(CORPUS)], sample=48)
    outcomes = list(compare_all(list(CONFIGS), paths, jobs=1, chunk=16))
    assert len(outcomes) == len(paths) * len(CONFIGS)
    assert [outcome for outcome in outcomes if outcome.outcome == "different"] == []


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.sampled_from(COVERED), st.lists(scores(), min_size=2, max_size=4))
def test_a_batch_gives_what_each_score_gives_alone(params: str, found: list[Score]):
    tokenizer = pair(params)[0]
    for score, result in zip(found, tokenizer.encode_many(found), strict=True):
        if isinstance(result, Reject):
            with pytest.raises(Reject):
                tokenizer.encode(score)
            continue
        alone = tokenizer.encode(score)
        assert [part.tolist() for part in alone.parts] == [part.tolist() for part in result.parts]
        assert (alone.lossy, alone.programs) == (result.lossy, result.programs)


@pytest.mark.parametrize("params", ["", "keys=1", "res=16"])
def test_encoding_leaves_the_score_alone(params: str):
    # At 32 ticks a quarter nothing is resampled, and MidiTok would move the second signature.
    score = score_of(
        (0, False, [(3, 5, 60, 64), (60, 5, 62, 64)]),
        tpq=32,
        signatures=[(0, 4, 4), (7, 3, 16)],
        tempos=[(5, 90)],
    )
    before = score.copy()
    Remi(**parse_params(params)).encode(score)
    assert score == before


def test_notes_out_of_order_are_left_to_miditok():
    score = score_of(
        (0, False, [(960, 5, 60, 64), (0, 5, 62, 64), (480, 9, 60, 3)]),
        signatures=[(0, 4, 4), (480, 3, 16)],
    )
    assert differences("", [SIMPLE, score, SIMPLE]) == []


@pytest.mark.parametrize(
    "score",
    [
        score_of(),
        score_of((0, False, [])),
        score_of((0, False, [(0, 480, 5, 64)])),
        score_of((0, True, [(0, 480, 20, 64)]), tempos=[(0, 90)], signatures=[(0, 3, 4)]),
    ],
)
@pytest.mark.parametrize("params", ["", "stream=tracks", "ts=0,tempos=0", "keys=1"])
def test_a_score_without_a_note_in_the_vocabulary_is_rejected(score: Score, params: str):
    tokenizer = Remi(**parse_params(params))
    with pytest.raises(Reject) as reject:
        tokenizer.encode(score)
    assert reject.value.reason == "no_notes"
    first, second, third = tokenizer.encode_many([SIMPLE, score, SIMPLE])
    assert isinstance(second, Reject)
    assert first.parts[0].tolist() == third.parts[0].tolist() != []


@pytest.mark.parametrize(
    "score",
    [
        score_of((0, False, [(0, 1, 60, 64), (2**30, 1, 60, 64)])),
        score_of((0, False, [(0, 1, 60, 64)]), tempos=[(2**30, 90)]),
        score_of((0, False, [(0, 1, 60, 64)]), signatures=[(2**30, 3, 4)]),
        score_of((0, False, [(0, 1, 60, 64), (2**28, 1, 60, 64)]), tpq=1),
    ],
)
@pytest.mark.parametrize("params", ["", "keys=1"])
def test_a_score_that_lasts_for_days_is_rejected(score: Score, params: str):
    tokenizer = Remi(**parse_params(params))
    first, second, _ = tokenizer.encode_many([SIMPLE, score, SIMPLE])
    assert isinstance(second, Reject)
    assert second.reason == "too_long"
    assert first.parts[0].tolist() == tokenizer.encode(SIMPLE).parts[0].tolist()


def test_very_long_notes_are_sorted_without_packed_keys():
    notes = [(0, 2**30, 60, 64), (0, 2**29, 60, 64), (2**22, 2**30, 61, 1), (2**22, 5, 61, 1)]
    assert differences("", [score_of((0, False, notes), (0, False, notes), tpq=32)]) == []


def test_events_are_in_the_same_order_with_and_without_packed_keys():
    rng = np.random.default_rng(0)
    time = rng.integers(0, 2**40, 50)[rng.integers(0, 50, 300)]
    none = np.zeros(0, np.int64)
    notes = Notes(time, time, none, none, [Voice(0, 0, 200, False), Voice(1, 0, 100, False)])
    heads = Heads(np.array([0, 1]), np.array([0, 0]), 0, none, none, none, none, none, none)
    packed, plain = (order_events(notes, [0, 1], heads, count) for count in (2, 2**20))
    assert packed.source.tolist() == plain.source.tolist() != sorted(packed.source)
    assert packed.time.tolist() == plain.time.tolist()
    assert packed.onset.tolist() == plain.onset.tolist()
    assert packed.first.tolist() == plain.first[:2].tolist() == [0, 201]


def test_lost_time_signatures_are_named():
    plain = score_of(*[(0, False, [(0, 480, 60, 64)])], signatures=[(0, 4, 4)])
    odd = score_of(*[(0, False, [(0, 480, 60, 64)])], signatures=[(0, 13, 8)])
    for params in ("", "keys=1"):
        results = Remi(**parse_params(params)).encode_many([plain, odd])
        assert [result.lossy for result in results] == [(), ("time_signature",)]


def test_programs_are_told_where_no_token_says_them():
    score = score_of(
        (5, False, [(0, 1, 60, 64)]), (0, False, []), (0, True, [(0, 1, 40, 64)]), tpq=8
    )
    for extra in ("", ",keys=1"):
        result = Remi(**parse_params("programs=0" + extra)).encode(score)
        assert (len(result.parts), result.programs) == (2, [5, -1])
    assert Remi().encode(score).programs is None
    assert Remi(stream="tracks").encode(score).programs is None


def test_ids_are_unsigned_and_have_no_special():
    (part,) = Remi().encode(SIMPLE).parts
    assert part.dtype == np.uint16
    assert part.min() >= 4
    assert [Remi().vocab.tokens[i] for i in part.tolist()] == [
        *("Bar_None", "TimeSig_4/4", "Position_0", "Tempo_121.29"),
        *("Program_0", "Pitch_60", "Velocity_63", "Duration_1.0.8"),
        *("Position_8", "Program_0", "Pitch_62", "Velocity_63", "Duration_1.0.8"),
    ]


def test_bars_begin_at_bar_tokens():
    tokenizer = Remi()
    score = score_of((0, False, [(0, 1, 60, 64), (3 * 1920, 1, 60, 64)]))
    (ids,) = tokenizer.encode(score).parts
    starts = tokenizer.bar_starts(ids)
    assert [tokenizer.vocab.tokens[i] for i in ids[starts].tolist()] == ["Bar_None"] * 4
    assert starts[0] == 0


def test_the_array_code_imports_neither_torch_nor_miditok():
    code = (
        "import sys\n"
        "from symusic import Note, Score, Track\n"
        "from midigen_remi import Remi\n"
        "score = Score(480)\n"
        "score.tracks.append(Track())\n"
        "score.tracks[0].notes.append(Note(0, 480, 60, 64))\n"
        "assert len(Remi(rests='1').encode(score).parts[0]) == 8\n"
        "broken = score.copy()\n"
        "broken.tracks[0].notes.append(Note(2**30, 480, 60, 64))\n"
        "assert Remi().encode_many([score, broken])[1].reason == 'too_long'\n"
        "print(sorted({'torch', 'miditok'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

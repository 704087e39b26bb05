"""`barnote`: the published ids, and what becomes of music that they cannot hold."""

import json
from pathlib import Path
from typing import Any

import barnote_reference as reference
import numpy as np
import pytest
from conftest import CHECKOUT
from hypothesis import given, settings
from hypothesis import strategies as st
from midigen_barnote import BarNote
from symusic import ControlChange, Note, Score, TimeSignature, Track

from midigen.errors import MidigenError, Reject
from midigen.protocols import BatchTokenizer
from midigen.registry import tokenizer

BARNOTE = BarNote()
VECTORS = CHECKOUT.parent / "shared" / "vectors" / "barnote"


def made(*notes: tuple[int, int, int], tpq: int = 4, signatures: Any = ((0, 4, 4),)) -> Any:
    """Return a score of (time, duration, pitch) in ticks; a tick is a unit at 4 a quarter."""
    score: Any = Score(tpq)
    track: Any = Track()
    for time, duration, pitch in sorted(notes):
        track.notes.append(Note(time, duration, pitch, 64))
    score.tracks.append(track)
    for signature in signatures:
        score.time_signatures.append(TimeSignature(*signature))
    return score


def words(ids: Any) -> str:
    return " ".join(BARNOTE.vocab.tokens[id] for id in ids).replace("Bar_None", "Bar")


def encoded(score: Any, **params: str) -> str:
    return words(BarNote(**params).encode(score).parts[0])


def test_the_vocabulary_is_the_published_one() -> None:
    tokens = BARNOTE.vocab.tokens
    assert len(tokens) == 153
    assert tokens[:3] == ("Bar_None", "Offset_0", "Offset_1")
    assert tokens[32:35] == ("Offset_31", "Pitch_21", "Pitch_22")
    assert tokens[120:123] == ("Pitch_108", "Duration_1", "Duration_2")
    assert tokens[152] == "Duration_32"
    assert isinstance(BARNOTE, BatchTokenizer)


@pytest.mark.parametrize("name", sorted(path.stem for path in VECTORS.glob("*.json")) or [None])
def test_ids_are_those_of_the_published_encoder(name: str | None) -> None:
    if name is None:
        pytest.skip(f"no vectors at {VECTORS}: this test wants them")
    wanted = json.loads((VECTORS / f"{name}.json").read_text())["ids"]
    assert BARNOTE.encode(Score(VECTORS / f"{name}.mid")).parts[0].tolist() == wanted


def test_tunes_have_the_ids_of_the_description(tunes: Path) -> None:
    scores = [Score(path) for path in sorted(tunes.glob("*.mid"))]
    for score, result in zip(scores, BARNOTE.encode_many(scores), strict=True):
        assert result.parts[0].tolist() == reference.encode(score)


def test_corpus_files_have_the_ids_of_the_description(shared: Path) -> None:
    scores = [Score(path) for path in sorted((shared / "corpus").glob("**/*.mid"))[5::300]]
    results = BARNOTE.encode_many(scores)
    whole = [(s, r) for s, r in zip(scores, results, strict=True) if not isinstance(r, Reject)]
    assert len(whole) > 25
    for score, result in whole:
        assert result.parts[0].tolist() == reference.encode(score)


NOTE = st.tuples(st.integers(0, 3000), st.integers(0, 900), st.integers(21, 108))
NOTES = st.lists(NOTE, min_size=1, max_size=30)
SIGNATURES = st.lists(
    st.tuples(st.integers(0, 2000), st.integers(1, 20), st.sampled_from([1, 2, 4, 8, 16, 32])),
    min_size=1,
    max_size=4,
).map(sorted)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(NOTES, SIGNATURES, st.sampled_from([4, 7, 24, 96])), max_size=4))
def test_any_score_has_the_ids_of_the_description(drawn: list) -> None:
    scores = [made(*notes, tpq=tpq, signatures=signatures) for notes, signatures, tpq in drawn]
    for score, result in zip(scores, BARNOTE.encode_many(scores), strict=True):
        tpq = score.ticks_per_quarter
        times = [(n.time, n.time + n.duration) for n in score.tracks[0].notes]
        fits = [reference.units(a, tpq) < reference.units(b, tpq) for a, b in times]
        if not any(fits):
            assert isinstance(result, Reject) and result.reason == "no_notes"
            continue
        assert result.parts[0].tolist() == reference.encode(score)
        assert result.lossy == (() if all(fits) else ("short_notes",))


def test_a_note_is_three_tokens_and_a_bar_two() -> None:
    assert encoded(made((0, 4, 60), (4, 2, 64), (16, 1, 60))) == (
        "Offset_0 Pitch_60 Duration_4 Offset_4 Pitch_64 Duration_2"
        " Offset_16 Bar Offset_0 Pitch_60 Duration_1"
    )


def test_notes_of_one_onset_lie_in_the_order_of_pitch_and_duration() -> None:
    score = made((0, 4, 64), (0, 4, 60), (0, 2, 60))
    assert encoded(score) == (
        "Offset_0 Pitch_60 Duration_2 Offset_0 Pitch_60 Duration_4 Offset_0 Pitch_64 Duration_4"
    )


def test_times_are_rounded_and_halves_go_to_the_even_sixteenth() -> None:
    # 24 ticks a quarter, 6 a sixteenth: 3 is half a sixteenth, 9 one and a half.
    assert encoded(made((3, 12, 60), (9, 12, 62), tpq=24)) == (
        "Offset_0 Pitch_60 Duration_2 Offset_2 Pitch_62 Duration_2"
    )


def test_long_notes_are_split() -> None:
    score = made((0, 70, 60), signatures=[(0, 31, 16)])
    assert encoded(score) == (
        "Offset_0 Pitch_60 Duration_32 Offset_31 Bar Offset_1 Pitch_60 Duration_32"
        " Offset_31 Bar Offset_2 Pitch_60 Duration_6"
    )


def test_bars_longer_than_an_offset_reaches_are_split() -> None:
    score = made((0, 1, 60), (32, 1, 60), signatures=[(0, 4, 2)])
    assert encoded(score) == (
        "Offset_0 Pitch_60 Duration_1 Offset_31 Bar Offset_1 Bar Offset_0 Pitch_60 Duration_1"
    )


def test_notes_far_behind_the_last_bar_line_are_reached_by_further_bars() -> None:
    score = made((0, 1, 60), (70, 1, 62), signatures=[(0, 255, 4)])
    assert encoded(score) == (
        "Offset_0 Pitch_60 Duration_1 Offset_31 Bar Offset_31 Bar Offset_8 Pitch_62 Duration_1"
    )


def test_bars_go_on_while_anything_does() -> None:
    score = made((0, 4, 60))
    before = encoded(score)
    score.tracks[0].controls.append(ControlChange(33, 64, 0))
    assert encoded(score) == before + " Offset_16 Bar Offset_16 Bar"


def test_drums_and_programs_are_not_told_apart() -> None:
    plain, drums = made((0, 4, 40)), made((0, 4, 40))
    drums.tracks[0].is_drum, drums.tracks[0].program = True, 5
    assert encoded(plain) == encoded(drums)


@pytest.mark.parametrize(
    ("score", "reason", "fact"),
    [
        (made((0, 4, 20)), "tokenizer", "pitch 20 not in 21..108; barnote:outside=drop"),
        (made((0, 4, 60), (0, 4, 109), (8, 4, 110)), "tokenizer", "pitch 109 not in 21..108"),
        (made((0, 4, 60), signatures=[]), "tokenizer", "no time signature; barnote:meter=4/4"),
        (made((0, 4, 60), signatures=[(0, 0, 4)]), "tokenizer", "time signature 0/4"),
        (made((-1, 4, 60)), "tokenizer", "before tick 0"),
        (made((0, 0, 60)), "no_notes", "none that the grid has"),
        (made(), "no_notes", "none that the grid has"),
        (made((0, 2**31 - 2, 60)), "too_long", "200000 quarters"),
        (made((0, 700_000, 60), signatures=[(0, 1, 32)]), "too_long", "bars"),
        (made(*[(0, 790_000, 60)] * 50), "too_long", "notes"),
    ],
)
def test_what_cannot_be_encoded_is_a_reject_that_says_why(
    score: Any, reason: str, fact: str
) -> None:
    with pytest.raises(Reject, match=fact) as caught:
        BARNOTE.encode(score)
    assert caught.value.reason == reason
    # It does not touch its neighbours.
    good = made((0, 4, 60))
    first, _, last = BARNOTE.encode_many([good, score, good])
    assert words(first.parts[0]) == words(last.parts[0]) == encoded(good)


def test_outside_drop_and_fold_keep_the_piece() -> None:
    score = made((0, 4, 60), (4, 4, 9), (8, 4, 120))
    with pytest.raises(Reject):
        BARNOTE.encode(score)
    assert encoded(score, outside="drop") == "Offset_0 Pitch_60 Duration_4"
    assert encoded(score, outside="fold") == (
        "Offset_0 Pitch_60 Duration_4 Offset_4 Pitch_21 Duration_4 Offset_8 Pitch_108 Duration_4"
    )
    for outside in ("drop", "fold"):
        assert BarNote(outside=outside).encode(score).lossy == ("pitch",)
        assert BarNote(outside=outside).encode(made((0, 4, 60))).lossy == ()


def test_short_keep_gives_a_sixteenth_to_notes_that_would_go() -> None:
    score = made((0, 1, 60), (24, 24, 60), tpq=24)
    assert encoded(score) == "Offset_4 Pitch_60 Duration_4"
    assert BARNOTE.encode(score).lossy == ("short_notes",)
    kept = BarNote(short="keep").encode(score)
    assert words(kept.parts[0]) == "Offset_0 Pitch_60 Duration_1 Offset_4 Pitch_60 Duration_4"
    assert kept.lossy == ()


def test_meter_holds_until_the_first_time_signature() -> None:
    late = made((0, 1, 60), (40, 8, 60), signatures=[(24, 2, 4)])
    assert words(BARNOTE.encode(late).parts[0]).count("Bar") == 3
    assert encoded(late, meter="3/4").startswith("Offset_0 Pitch_60 Duration_1 Offset_12 Bar")
    assert encoded(made((0, 32, 60), signatures=[]), meter="4/4").endswith("Offset_16 Bar")


def test_specs_are_canonical_and_all_vocabularies_one() -> None:
    assert tokenizer("barnote").spec == "barnote"
    assert tokenizer("barnote:outside=reject,short=drop").spec == "barnote"
    spec = "barnote:meter=3/4,outside=fold,short=keep"
    assert tokenizer("barnote:short=keep,outside=fold,meter=3/4").spec == spec
    assert tokenizer(spec).vocab == BARNOTE.vocab


@pytest.mark.parametrize(
    ("spec", "fact"),
    [
        ("barnote:grid=8", "no parameter 'grid'; there are meter, outside, short"),
        ("barnote:outside=no", "outside=no is not one of reject, drop, fold"),
        ("barnote:meter=4/5", "meter=4/5 is not a time signature"),
    ],
)
def test_parameters_that_there_are_not_are_named(spec: str, fact: str) -> None:
    with pytest.raises(MidigenError, match=fact):
        tokenizer(spec)


def test_bars_begin_behind_bar_tokens_and_at_the_start() -> None:
    ids = BARNOTE.encode(made((0, 4, 60), (20, 4, 60), (34, 4, 60))).parts[0]
    starts = BARNOTE.bar_starts(ids)
    assert [words(ids[a:b]) for a, b in zip(starts, [*starts[1:], len(ids)], strict=True)] == [
        "Offset_0 Pitch_60 Duration_4 Offset_16 Bar",
        "Offset_4 Pitch_60 Duration_4 Offset_16 Bar",
        "Offset_2 Pitch_60 Duration_4",
    ]
    assert BARNOTE.bar_starts(ids[:5]).tolist() == [0]
    assert BARNOTE.bar_starts(np.array([], np.int64)).tolist() == []

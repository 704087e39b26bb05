"""What a round trip loses, measured on scores that differ in known ways."""

from typing import Any

import pytest
from symusic import Note, Score, Tempo, Track

from midigen.registry import tokenizer
from midigen.roundtrip import RoundTrip, compare, take_round_trip

Row = tuple[float, float, int]
"""A note: onset and duration in quarters, pitch."""


def score_of(
    *tracks: tuple[int, list[Row]], tpq: int = 96, tempos: dict[int, int] | None = None
) -> Any:
    """Return a score of tracks (program, -1 for drums, and notes); tempos: quarter to mspq."""
    score = Score(tpq)
    for program, notes in tracks:
        track = Track("", max(program, 0), program < 0)
        for onset, duration, pitch in notes:
            track.notes.append(Note(round(onset * tpq), round(duration * tpq), pitch, 64))
        score.tracks.append(track)
    for quarter, mspq in (tempos or {}).items():
        score.tempos.append(Tempo(quarter * tpq, mspq=mspq))
    return score


SCALE = [(float(k), 1.0, 60 + k) for k in range(8)]


def test_score_and_itself_at_another_resolution_are_equal() -> None:
    trip = compare(score_of((0, SCALE)), score_of((0, SCALE), tpq=8))
    assert trip == RoundTrip(notes=8)
    assert trip.found == 8


def test_order_of_tracks_and_notes_is_nothing() -> None:
    one = score_of((0, SCALE), (9, SCALE), (-1, SCALE))
    other = score_of((-1, SCALE[::-1]), (0, SCALE[:4]), (9, SCALE), (0, SCALE[4:]))
    assert compare(one, other) == RoundTrip(notes=24)


def test_onsets_and_durations_are_compared_note_by_note() -> None:
    moved = [(0.25, 1.0, 60), (1.0, 0.25, 61), *SCALE[2:]]
    trip = compare(score_of((0, SCALE)), score_of((0, moved)))
    assert (trip.lost, trip.added) == (0, 0)
    report = trip.report()
    assert (report["onset_mean"], report["onset_max"]) == (0.25 / 8, 0.25)
    assert (report["duration_mean"], report["duration_max"]) == (round(0.75 / 8, 6), 0.75)


@pytest.mark.parametrize("missing", range(8))
def test_note_that_is_missing_is_lost_and_the_others_stay_where_they_are(missing: int) -> None:
    repeated = [(k / 4, 0.25, 60) for k in range(8)]
    fewer = repeated[:missing] + repeated[missing + 1 :]
    trip = compare(score_of((0, repeated)), score_of((0, fewer)))
    assert (trip.lost, trip.added, trip.onset.most) == (1, 0, 0.0)
    back = compare(score_of((0, fewer)), score_of((0, repeated)))
    assert (back.lost, back.added, back.onset.most) == (0, 1, 0.0)


def test_note_further_away_than_half_a_quarter_is_another_note() -> None:
    trip = compare(score_of((0, [(0, 1, 60)])), score_of((0, [(0.75, 1, 60)])))
    assert (trip.lost, trip.added) == (1, 1)
    assert trip.report()["onset_mean"] == 0


def test_note_of_another_program_is_found_but_counted() -> None:
    one = score_of((0, SCALE), (40, SCALE))
    other = score_of((0, SCALE), (41, SCALE[:-1]))
    trip = compare(one, other)
    assert (trip.lost, trip.added, trip.programs) == (1, 0, 7)


def test_drums_are_a_program_of_their_own() -> None:
    trip = compare(score_of((-1, SCALE)), score_of((0, SCALE)))
    assert (trip.lost, trip.programs) == (0, 8)


@pytest.mark.parametrize(
    ("tempos", "drift"),
    [
        ({}, 0.0),
        ({0: 500_000}, 0.0),
        ({0: 600_000}, 0.7),
        ({4: 250_000}, 0.75),
        ({0: 600_000, 2: 400_000}, 0.3),
        ({7: 1_000}, 0.0),
    ],
)
def test_drift_is_the_most_that_the_clocks_are_apart_where_a_note_begins(
    tempos: dict[int, int], drift: float
) -> None:
    trip = compare(score_of((0, SCALE)), score_of((0, SCALE), tempos=tempos))
    assert trip.tempo_drift_s == pytest.approx(drift)


def test_empty_scores_compare() -> None:
    assert compare(score_of(), score_of()) == RoundTrip()
    assert compare(score_of((0, SCALE)), score_of()) == RoundTrip(notes=8, lost=8)
    assert compare(score_of(), score_of((0, SCALE))) == RoundTrip(added=8)
    assert RoundTrip().report()["onset_mean"] == 0


def test_round_trips_join() -> None:
    one = compare(score_of((0, SCALE)), score_of((0, SCALE[1:])))
    other = compare(score_of((0, SCALE)), score_of((5, [(0.25, 1, 60), *SCALE[1:]]), tempos={0: 1}))
    one.join(other)
    assert (one.notes, one.lost, one.programs, one.onset.most) == (16, 1, 8, 0.25)
    assert one.tempo_drift_s == pytest.approx(7 * 0.499999)
    assert one.summary().startswith("round trip: 1 of 16 notes lost, 0 added; onsets off by 0.017 ")


@pytest.mark.parametrize("spec", ["remi", "remi:programs=0", "remi:stream=tracks"])
def test_tokenizer_with_a_fine_grid_loses_nothing_of_notes_on_it(spec: str) -> None:
    remi = tokenizer(spec)
    score = score_of(
        (0, SCALE), (-1, [(float(k), 0.25, 36) for k in range(8)]), tempos={0: 500_000}
    )
    trip = take_round_trip(remi, score, score.dumps_midi(), remi.encode(score))
    assert (trip.notes, trip.lost, trip.added, trip.programs, trip.unread) == (16, 0, 0, 0, 0)
    assert trip.onset.most == 0 and not trip.repairs


def test_pitches_that_the_vocabulary_has_not_are_lost() -> None:
    remi = tokenizer("remi:pitch=60-63")
    score = score_of((0, SCALE))
    trip = take_round_trip(remi, score, score.dumps_midi(), remi.encode(score))
    assert (trip.notes, trip.lost, trip.added) == (8, 4, 0)


def test_notes_that_the_parser_left_out_are_unread() -> None:
    remi = tokenizer("remi")
    score = score_of((0, SCALE))
    longer = score_of((0, [*SCALE, (9.0, 1.0, 30)]))
    trip = take_round_trip(remi, score, longer.dumps_midi(), remi.encode(score))
    assert trip.unread == 1

"""`events` back to music, its grammar and its bars."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from events_plain import random_midi
from hypothesis import given, settings
from hypothesis import strategies as st
from midigen_events import Events
from midigen_events.vocabulary import TYPES
from remi_walks import accepts, sampled, spoiled
from symusic import ControlChange, KeySignature, Note, Score, Tempo, TimeSignature, Track
from tiny_model import tiny_vocab

from midigen.constrain import Lifted
from midigen.context import context
from midigen.errors import Reject
from midigen.measure import measure
from midigen.midi import midi_bytes
from midigen.plan import Limits, Plan
from midigen.protocols import Grammar

EVENTS = Events()
SIZE = len(EVENTS.vocab)
INDEX = EVENTS.vocab.index


def ids(text: str) -> list[int]:
    """Return the ids of events, one a line: ``note 0 3 1 0 60 100 4``, padded to eight.

    Values are as the vocabulary spells them.
    """
    found: list[int] = []
    for line in text.strip().splitlines():
        kind, *values = line.split()
        names = zip(TYPES[kind], values, strict=True)
        event = [INDEX[f"Event_{kind}"], *(INDEX[f"{n.capitalize()}_{v}"] for n, v in names)]
        found += (event + [0] * 8)[:8]
    return found


@cache
def grammar() -> Any:
    return EVENTS.grammar()


def sounds(score: Any) -> list[tuple[int, ...]]:
    """Return (program or -1, time, duration, pitch, velocity) of all notes, sorted."""
    return sorted(
        (-1 if track.is_drum else track.program, n.time, n.duration, n.pitch, n.velocity)
        for track in score.tracks
        for n in track.notes
    )


def signs(score: Any) -> tuple[list[Any], list[Any], list[Any]]:
    """Return tempos in whole quarters a minute, time and key signatures."""
    return (
        [(t.time, 60_000_000 // t.mspq) for t in score.tempos],
        [(s.time, s.numerator, s.denominator) for s in score.time_signatures],
        [(k.time, k.key, k.tonality) for k in score.key_signatures],
    )


PIECE = """
time_signature 0 0 0 3 4
set_tempo 0 0 0 90
key_signature 0 0 1 -3 1
patch_change 0 0 1 0 40
control_change 0 0 1 0 7 100
note 0 0 1 0 60 90 16
note 0 0 2 9 36 127 1
note 1 8 1 0 62 80 2047
patch_change 2 0 1 0 41
note 0 0 1 0 64 1 4
set_tempo 127 15 0 383
"""


def test_events_become_notes_signatures_tempos_and_controllers() -> None:
    decoded = EVENTS.decode([ids(PIECE)])
    score = decoded.value
    assert decoded.repairs == {}
    assert score.ticks_per_quarter == 16
    assert sounds(score) == [
        (-1, 0, 1, 36, 127),
        (40, 0, 16, 60, 90),
        (40, 24, 2047, 62, 80),
        (41, 48, 4, 64, 1),
    ]
    assert signs(score) == ([(0, 90), (2095, 383)], [(0, 3, 4)], [(0, -3, 1)])
    shaped = {t.program: [(c.time, c.number, c.value) for c in t.controls] for t in score.tracks}
    assert shaped[40] == [(0, 7, 100)]


def test_controllers_find_the_notes_of_their_channel() -> None:
    text = """
control_change 0 0 5 0 7 1
control_change 0 0 6 1 7 2
control_change 0 0 6 3 7 3
patch_change 0 0 2 1 9
note 0 0 1 0 60 90 4
note 0 0 2 1 60 90 4
note 0 0 3 1 60 90 4
control_change 1 0 3 1 7 4
"""
    tracks = EVENTS.decode([ids(text)]).value.tracks
    found = [(len(t.notes), t.program, [c.value for c in t.controls]) for t in tracks]
    assert found == [(1, 0, [1]), (1, 9, [2]), (1, 9, [4]), (0, 0, [3])]


def test_the_key_that_most_tracks_name_holds() -> None:
    text = """
key_signature 0 0 1 0 0
key_signature 0 0 2 4 0
key_signature 0 0 3 4 0
set_tempo 0 0 1 100
set_tempo 0 0 2 110
"""
    assert signs(EVENTS.decode([ids(text)]).value) == ([(0, 110)], [], [(0, 4, 0)])


def test_several_sequences_sound_together() -> None:
    part = ids("note 1 0 1 0 60 90 4")
    score = EVENTS.decode([part, part]).value
    assert [[n.time for n in track.notes] for track in score.tracks] == [[16], [16]]


def test_no_ids_are_a_score_without_anything() -> None:
    assert EVENTS.decode([]).value.note_num() == EVENTS.decode([[]]).value.note_num() == 0


NOTE = "note 1 0 1 0 60 90 4"


@pytest.mark.parametrize(
    ("found", "repairs", "onsets"),
    [
        ([1] + [0] * 7 + ids(NOTE), {"special token": 1, "stray id": 7}, [16]),
        (ids(NOTE) + [2] + [0] * 7, {"special token": 1, "stray id": 7}, [16]),
        (ids("set_tempo 0 0 0 90")[:6], {"missing padding": 1}, []),
        (ids(NOTE)[:-1], {"incomplete event": 1}, []),
        (ids(NOTE)[:-1] + ids(NOTE), {"incomplete event": 1}, [32]),
        (ids(NOTE)[:1] + ids(NOTE), {"incomplete event": 1}, [16]),
        (ids(NOTE)[1:] + ids(NOTE), {"stray id": 7}, [16]),
        ([*ids(NOTE), 0, *ids(NOTE)], {"stray id": 1}, [16, 32]),
        (
            [*ids("patch_change 1 0 1 0 5")[:6], INDEX["Patch_5"], 0, *ids(NOTE)],
            {"stray id": 2, "missing padding": 1},
            [32],
        ),
        (
            [*ids(NOTE)[:4], INDEX["Pitch_60"], *ids(NOTE)[5:]],
            {"incomplete event": 1, "stray id": 4},
            [],
        ),
        (ids("note 1 0 1 0 60 0 4\n" + NOTE), {"silent note": 1}, [32]),
        (ids("note 1 0 1 0 60 9 0"), {"note without length": 1}, [16]),
        (ids("set_tempo 0 0 0 2"), {"tempo too slow": 1}, []),
        (ids("note 127 0 1 0 60 9 1") * 528_417, {"late event": 1}, None),
    ],
)
def test_what_is_out_of_order_is_repaired_and_counted(
    found: list[int], repairs: dict[str, int], onsets: list[int] | None
) -> None:
    decoded = EVENTS.decode([found])
    assert decoded.repairs == repairs
    if onsets is not None:
        assert sorted(n[1] for n in sounds(decoded.value)) == onsets
    assert all(n[2] >= 1 for n in sounds(decoded.value)[:10])


def test_slow_tempos_are_those_that_a_file_can_hold() -> None:
    score = EVENTS.decode([ids("set_tempo 0 0 0 0\nset_tempo 1 0 0 3\nset_tempo 1 0 0 4")]).value
    assert [tempo.mspq for tempo in score.tempos] == [0xFFFFFF, 0xFFFFFF, 15_000_000]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.integers(0, SIZE - 1), st.integers(0, 60)), max_size=300))
def test_any_ids_decode(found: list[int]) -> None:
    decoded = EVENTS.decode([found])
    assert decoded.value.note_num() <= len(found)
    assert (decoded.repairs == {}) == (not found or accepts(grammar(), found))
    starts = EVENTS.bar_starts(np.array(found, dtype=np.int64))
    assert (np.diff(starts) > 0).all()
    assert all(3 <= found[start] <= 8 for start in starts)
    midi_bytes(decoded.value)


@pytest.mark.parametrize("spec", [{}, {"optimise": "0"}])
def test_encoded_tunes_need_no_repair_and_encode_the_same_again(
    tunes: Path, spec: dict[str, str]
) -> None:
    tokenizer = Events(**spec)
    for path in sorted(tunes.glob("*.mid")):
        (result,) = tokenizer.encode_midi_many([path.read_bytes()])
        assert not isinstance(result, Reject)
        decoded = tokenizer.decode(result.parts)
        assert decoded.repairs == {}
        assert accepts(grammar(), result.parts[0].tolist())
        (again,) = tokenizer.encode_midi_many([midi_bytes(decoded.value)])
        assert not isinstance(again, Reject)
        twice = tokenizer.decode(again.parts).value
        assert sounds(twice) == sounds(decoded.value), path
        assert signs(twice)[:2] == signs(decoded.value)[:2], path


def test_what_the_vocabulary_can_hold_comes_back() -> None:
    score: Any = Score(16)
    score.tempos = [Tempo(0, mspq=500_000), Tempo(160, mspq=60_000_000 // 77)]
    score.time_signatures = [TimeSignature(0, 5, 8), TimeSignature(40, 16, 16)]
    score.key_signatures = [KeySignature(0, -4, 1)]
    for program, drums in ((0, False), (127, False), (3, True)):
        track: Any = Track(program=program, is_drum=drums)
        for k, pitch in enumerate((0, 60, 127)):
            track.notes.append(Note(16 * k + program // 10, k + 1, pitch, 127 - k))
        track.controls.append(ControlChange(0, 64, 127))
        track.controls.append(ControlChange(33, 64, 0))
        score.tracks.append(track)
    back = EVENTS.decode(EVENTS.encode(score).parts).value
    assert sounds(back) == sounds(score)
    assert signs(back) == signs(score)
    assert sorted((c.time, c.number, c.value) for t in back.tracks for c in t.controls) == [
        *[(0, 64, 127)] * 3,
        *[(33, 64, 0)] * 3,
    ]


@pytest.mark.parametrize("seed", range(6))
def test_ids_of_random_files_need_no_repair(seed: int) -> None:
    files = [random_midi(np.random.default_rng([seed, k])) for k in range(5)]
    for result in EVENTS.encode_midi_many(files):
        if not isinstance(result, Reject):
            assert EVENTS.decode(result.parts).repairs == {}
            assert accepts(grammar(), result.parts[0].tolist())


def test_the_grammar_is_one() -> None:
    assert isinstance(grammar(), Grammar)
    start = grammar().start()
    assert not grammar().accepting(start)
    closing = grammar().closing(start)
    assert len(closing) == 8
    assert accepts(grammar(), closing)


def test_closing_leads_to_an_end_from_everywhere() -> None:
    for kind in range(3, 9):
        whole = [kind]
        while len(whole) < 8:
            state = grammar().start()
            for id in whole:
                state = grammar().step(state, id)
            closing = grammar().closing(state)
            assert accepts(grammar(), whole + closing)
            assert len(whole + closing) == 8
            whole.append(closing[0])


def test_ids_of_one_class_are_alike() -> None:
    classes = grammar().classes
    for state in range(44):
        mask = grammar().mask(state)
        for c in np.unique(classes):
            alike = np.flatnonzero(classes == c)
            assert len({bool(mask[id]) for id in alike}) == 1
            if mask[alike[0]]:
                assert len({grammar().step(state, int(id)) for id in alike}) == 1


def some_merges() -> list[tuple[int, int]]:
    """Return merges of a note's ids, across events too."""
    pairs = [(INDEX["Event_note"], INDEX["Time1_0"]), (SIZE, INDEX["Time2_0"])]
    pairs += [(INDEX["Channel_0"], INDEX["Pitch_60"]), (INDEX["Velocity_100"], INDEX["Duration_4"])]
    pairs += [(SIZE + 3, SIZE + 1), (INDEX["Bpm_120"], 0), (0, 0), (SIZE + 5, SIZE + 6)]
    return [*pairs, (INDEX["Duration_8"], INDEX["Event_note"])]


@pytest.mark.parametrize("merges", [[], some_merges()], ids=["no merges", "merges"])
def test_sampled_sequences_need_no_repair(merges: list[tuple[int, int]]) -> None:
    expansions: list[tuple[int, ...]] = [(i,) for i in range(SIZE)]
    for a, b in merges:
        expansions.append(expansions[a] + expansions[b])
    lifted = Lifted(grammar(), expansions[SIZE:])
    rng = np.random.default_rng(1)
    notes = []
    for _ in range(60):
        length = int(rng.integers(200, 2000))
        found = sampled(lifted, rng, length, lambda id: expansions[id])
        decoded = EVENTS.decode([found])
        assert decoded.repairs == {}
        notes.append(decoded.value.note_num())
    assert np.mean(notes) > 20


def test_what_the_grammar_refuses_needs_a_repair_and_nothing_else_does() -> None:
    rng = np.random.default_rng(2)
    outcomes = set()
    for _ in range(20):
        whole = sampled(grammar(), rng, 80)
        for found in (whole, *(spoiled(whole, SIZE, rng) for _ in range(15))):
            accepted = accepts(grammar(), found)
            assert accepted == (bool(found) and EVENTS.decode([found]).repairs == {})
            outcomes.add(accepted)
    assert outcomes == {True, False}


def bars(text: str) -> list[int]:
    """Return the numbers of the events at which bars begin."""
    starts: list[int] = EVENTS.bar_starts(np.array(ids(text))).tolist()
    assert all(start % 8 == 0 for start in starts)
    return [start // 8 for start in starts]


def test_bars_begin_with_the_first_event_at_or_behind_their_line() -> None:
    note = "note {} {} 1 0 60 90 4"
    times = [(0, 0), (3, 15), (1, 0), (0, 0), (5, 3), (8, 0), (3, 0)]
    assert bars("\n".join(note.format(*time) for time in times)) == [0, 2, 4, 5, 6]


def test_bars_have_the_length_of_their_signature() -> None:
    text = """
time_signature 0 0 0 3 8
note 0 0 1 0 60 90 4
note 1 7 1 0 60 90 4
note 0 8 1 0 60 90 4
time_signature 0 10 0 3 8
note 1 8 1 0 60 90 4
note 0 15 1 0 60 90 4
note 1 0 1 0 60 90 4
time_signature 0 4 0 2 4
note 1 4 1 0 60 90 4
note 1 3 1 0 60 90 4
note 0 4 1 0 60 90 4
"""
    # Bars of 24 steps at 0, 24, 48, whatever the second signature repeats; then of 32 at 52, 84.
    assert bars(text) == [0, 3, 7, 8, 11]


def test_a_bar_is_the_same_whatever_follows(tunes: Path) -> None:
    result = EVENTS.encode_midi_many([(tunes / "pachelbel_canon.mid").read_bytes()])[0]
    assert not isinstance(result, Reject)
    whole = result.parts[0].astype(np.int64)
    starts = EVENTS.bar_starts(whole)
    assert len(starts) > 10
    for end in range(0, len(whole), 104):
        assert EVENTS.bar_starts(whole[:end]).tolist() == starts[starts < end].tolist()


def test_bars_are_those_of_the_score(tunes: Path) -> None:
    for path in sorted(tunes.glob("*.mid")):
        (result,) = EVENTS.encode_midi_many([path.read_bytes()])
        assert not isinstance(result, Reject)
        counted = measure(Score(path)).n["bars"]
        assert counted - 1 <= len(EVENTS.bar_starts(result.parts[0])) <= counted, path


LONG_AGO = """
time_signature 0 0 0 3 4
set_tempo 0 0 0 90
patch_change 0 0 1 0 40
patch_change 0 0 2 1 50
patch_change 0 0 3 9 8
note 1 0 1 0 60 90 4
set_tempo 2 3 0 100
patch_change 0 4 1 0 41
"""
NOW = """
patch_change 1 0 3 9 16
note 3 0 1 0 62 90 4
note 0 0 3 9 36 90 4
patch_change 0 0 1 0 7
"""


def test_what_is_in_force_is_carried_into_a_window() -> None:
    force = "time_signature 0 0 0 3 4\nset_tempo 0 0 0 100\npatch_change 0 0 1 0 41\n"
    past, now = ids(LONG_AGO), ids(NOW)
    assert EVENTS.carry(past, now, 100) == ids(force) + now
    assert EVENTS.carry(past, now, 23) == ids(force)[:16] + now
    assert EVENTS.carry([], now, 100) == now
    assert EVENTS.carry(past, [], 100) == ids(force)[:16]


def test_a_model_reads_what_is_in_force_before_the_last_bars() -> None:
    past = ids(LONG_AGO) + ids("note 3 0 2 1 60 90 4") * 30
    vocab = tiny_vocab("events")
    plan = Plan(vocab, EVENTS, Lifted(grammar()), Limits(tokens=80), 256, 0)
    read = context(plan, [], past)
    assert len(read) <= 256
    head = ids("time_signature 0 0 0 3 4\nset_tempo 0 0 0 100\npatch_change 0 0 2 1 50")
    assert read[:24] == head
    assert read[24:] == past[-len(read) + 24 :]
    assert len(read) > 128

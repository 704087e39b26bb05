"""Transposition and loudness over the ids of any vocabulary with pitches."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hand_records import bar_words, ids_of, record_of, tok_of, words_of
from hypothesis import given, settings
from hypothesis import strategies as st
from symusic import Score

from midigen import augment, moves
from midigen.augment import Augmenter, Part, Plan
from midigen.errors import MidigenError, Reject, UsageError
from midigen.keys import shift_fifths, shift_key, shift_root
from midigen.moves import Moves
from midigen.record import Record
from midigen.registry import tokenizer
from midigen.vocab import Vocab

ALL = Plan(shift=6, copies=None)
STEADY = settings(deadline=None, derandomize=True)


def copies_of(record: Record, plan: Plan = ALL) -> list[Record]:
    """Return the copies, their ids as lists."""
    made = list(Augmenter(plan).copies_of([Part(record, plan)]))
    return [copy | {"ids": copy["ids"].tolist()} for copy in made]


def pitches_of(record: Record) -> list[int]:
    return [int(w.removeprefix("Pitch_")) for w in words_of(record) if w.startswith("Pitch_")]


def drums_of(record: Record) -> list[str]:
    """Return the pitch words that stand in the context of drums."""
    found, program = [], ""
    for word in words_of(record):
        if word.startswith("Program_"):
            program = word
        elif word.startswith("Pitch") and program == "Program_-1":
            found.append(word)
    return found


NOTES = st.tuples(st.sampled_from([0, 24, 33, -1]), st.integers(27, 88))
BARS = st.lists(st.lists(NOTES, max_size=8), min_size=1, max_size=4)
SPECS = st.sampled_from(["remi", "remi:drums=0", "remi:pitch=27-88", "remi:changes=1,drums=0"])


@st.composite
def records(draw: st.DrawFn) -> Record:
    """Pieces of several programs and drums; with program changes, Programs stand before some."""
    spec = draw(SPECS)
    drum = "Pitch" if "drums=0" in spec else "PitchDrum"
    words = [word for bar in draw(BARS) for word in bar_words(bar, drum=drum)]
    if "changes" in spec:
        places = [i for i, word in enumerate(words) if word.startswith("Program")]
        gone = set(draw(st.lists(st.sampled_from(places), unique=True)) if places else [])
        words = [word for i, word in enumerate(words) if i not in gone]
    return record_of(words, spec=spec)


@STEADY
@given(records())
def test_pitches_stay_within_the_vocabulary_and_move_by_the_shift(record: Record) -> None:
    tokens = set(tokenizer(record["tok"].partition("#")[0]).vocab.tokens)
    drums = drums_of(record)
    for copy in copies_of(record):
        shift = copy["aug"]["shift"]
        assert 0 < abs(shift) <= 6
        assert drums_of(copy) == drums
        for old, new in zip(words_of(record), words_of(copy), strict=True):
            if old != new:
                assert old.startswith("Pitch_")
                assert new == f"Pitch_{int(old[6:]) + shift}" and new in tokens
        moved = len(pitches_of(record)) - sum(w.startswith("Pitch_") for w in drums)
        assert sum(a != b for a, b in zip(record["ids"], copy["ids"], strict=True)) == moved


@STEADY
@given(records())
def test_every_shift_that_fits_is_there_and_no_other(record: Record) -> None:
    spec = record["tok"].partition("#")[0]
    low, high = (27, 88) if "pitch=" in spec else (21, 109)
    pitches = pitches_of(record)
    for drum in drums_of(record):
        if drum.startswith("Pitch_"):
            pitches.remove(int(drum[6:]))
    fitting = [
        s
        for s in range(-6, 7)
        if s and pitches and low <= min(pitches) + s and max(pitches) + s <= high
    ]
    assert [copy["aug"]["shift"] for copy in copies_of(record)] == fitting


@STEADY
@given(records())
def test_a_shift_and_its_inverse_give_the_original(record: Record) -> None:
    for copy in copies_of(record):
        back = {c["aug"]["shift"]: c for c in copies_of(copy | {"aug": {}})}
        assert back[-copy["aug"]["shift"]]["ids"] == record["ids"]


@STEADY
@given(records(), st.integers(1, 4), st.integers(0, 3))
def test_draws_are_distinct_and_a_function_of_seed_and_id(
    record: Record, copies: int, seed: int
) -> None:
    plan = Plan(shift=6, copies=copies, seed=seed)
    drawn = copies_of(record, plan)
    shifts = [copy["aug"]["shift"] for copy in drawn]
    fitting = {copy["aug"]["shift"] for copy in copies_of(record)}
    assert len(set(shifts)) == len(shifts) == min(copies, len(fitting))
    assert set(shifts) <= fitting
    assert copies_of(record, plan) == drawn


def test_every_shift_is_drawn_about_as_often() -> None:
    words = bar_words([(0, 60)])
    plan = Plan(shift=3, copies=1)
    shifts = [copies_of(record_of(words, name=str(k)), plan)[0]["aug"]["shift"] for k in range(600)]
    counts = [shifts.count(s) for s in (-3, -2, -1, 1, 2, 3)]
    assert sum(counts) == 600 and min(counts) > 60 and max(counts) < 140


def test_copies_keep_everything_else() -> None:
    record = record_of(
        bar_words([(0, 60)]), meta={"key": "Am", "genre": "pop"}, mine=[1, {"x": None}]
    )
    for copy in copies_of(record):
        shift = copy["aug"]["shift"]
        assert copy["meta"] == {"key": shift_key("Am", shift), "genre": "pop"}
        same = record.keys() - {"ids", "meta", "aug"}
        assert {k: copy[k] for k in same} == {k: record[k] for k in same}
    assert record["meta"]["key"] == "Am" and record["aug"] == {}


def test_a_key_that_cannot_be_read_goes() -> None:
    record = record_of(bar_words([(0, 60)]), meta={"key": "moody", "genre": "pop"})
    assert all(copy["meta"] == {"genre": "pop"} for copy in copies_of(record))


def test_a_piece_of_drums_alone_has_no_transpositions() -> None:
    assert copies_of(record_of(bar_words([(-1, 36), (-1, 38)]))) == []
    assert copies_of(record_of([])) == []


def test_a_part_of_drums_stays_and_goes_with_the_others() -> None:
    spec = "remi:programs=0,drums=0"
    words = ["Bar_None", "TimeSig_4/4", "Position_0", "Pitch_60", "Velocity_63", "Duration_0.4.8"]
    piano = record_of(words, spec=spec, meta={"program": 0}, id="x.0", part=[0, 2])
    drums = record_of(words, spec=spec, meta={"program": -1}, id="x.1", part=[1, 2])
    plan = Plan(shift=2, copies=None)
    augmenter = Augmenter(plan)
    copies = list(augmenter.copies_of([Part(piano, plan), Part(drums, plan)]))
    assert [(c["id"], c["aug"]["shift"]) for c in copies] == [
        (id, shift) for shift in (-2, -1, 1, 2) for id in ("x.0", "x.1")
    ]
    assert all(c["ids"].tolist() == drums["ids"] for c in copies if c["id"] == "x.1")
    assert augmenter.copies == 8


def test_parts_that_belong_together_get_shifts_that_fit_all() -> None:
    low = record_of(bar_words([(0, 22)]), id="x.0", part=[0, 2])
    high = record_of(bar_words([(0, 108)]), id="x.1", part=[1, 2])
    copies = list(Augmenter(ALL).copies_of([Part(low, ALL), Part(high, ALL)]))
    assert sorted({c["aug"]["shift"] for c in copies}) == [-1, 1]


VELOCITIES = [int(w[9:]) for w in tokenizer("remi").vocab.tokens if w.startswith("Velocity_")]


@STEADY
@given(st.lists(st.sampled_from(VELOCITIES), min_size=1), st.integers(1, 40))
def test_velocities_move_by_places_and_stop_at_the_ends(values: list[int], most: int) -> None:
    words = [w for v in values for w in ("Program_-1", "PitchDrum_36", f"Velocity_{v}")]
    record = record_of(words)
    steps = []
    for copy in copies_of(record, Plan(velocity=most, copies=None)):
        step = copy["aug"]["velocity"]
        steps.append(step)
        places = [min(max(VELOCITIES.index(v) + step, 0), 31) for v in values]
        moved = [int(w[9:]) for w in words_of(copy) if w.startswith("Velocity_")]
        assert moved == [VELOCITIES[place] for place in places] != values
    silent = {-1: set(values) == {VELOCITIES[0]}, 1: set(values) == {VELOCITIES[-1]}}
    assert steps == [s for s in range(-most, most + 1) if s and not silent[1 if s > 0 else -1]]


def test_with_both_each_copy_moves_in_both() -> None:
    record = record_of(bar_words([(0, 60), (-1, 36)]))
    every = copies_of(record, Plan(shift=2, velocity=1, copies=None))
    assert [(c["aug"]["shift"], c["aug"]["velocity"]) for c in every] == [
        (s, v) for s in (-2, -1, 1, 2) for v in (-1, 1)
    ]
    for copy in every:
        only = next(
            c
            for c in copies_of(record, Plan(shift=2, copies=None))
            if c["aug"]["shift"] == copy["aug"]["shift"]
        )
        louder = copies_of(only | {"aug": {}}, Plan(velocity=1, copies=None))
        assert copy["ids"] in [c["ids"] for c in louder]
    assert len(copies_of(record, Plan(shift=2, velocity=1, copies=3))) == 3


def test_chords_move_by_their_root_and_key_signatures_by_fifths() -> None:
    spec = "remi:chordroot=1,chords=1,keys=1"
    record = record_of(
        ["KeySig_0:0", "Bar_None", "Chord_A:min", "Program_0", "Pitch_60"], spec=spec
    )
    up = next(c for c in copies_of(record) if c["aug"]["shift"] == 3)
    assert words_of(up) == ["KeySig_-3:0", "Bar_None", "Chord_C:min", "Program_0", "Pitch_63"]
    rootless = record_of(["Chord_min", "Program_0", "Pitch_60"], spec="remi:chords=1")
    assert all(words_of(c)[0] == "Chord_min" for c in copies_of(rootless))


def test_intervals_stay_and_their_notes_keep_within_the_range() -> None:
    spec = "remi:drums=0,intervals=16,pitch=40-60"
    words = ["Program_0", "Pitch_45", "Program_33", "Pitch_50", "Program_-1", "Pitch_60"]
    words += ["Program_0", "PitchIntervalTime_3", "Program_0", "PitchIntervalChord_10"]  # 48, 58
    words += ["Program_0", "PitchIntervalTime_-5", "Program_33", "PitchIntervalChord_4"]  # 43, 54
    record = record_of(words, spec=spec)
    reached = Moves(tokenizer(spec)).intervals.pitches(np.array(record["ids"]))
    assert sorted(reached.tolist()) == [43, 45, 48, 50, 54, 58]
    copies = copies_of(record)
    assert [copy["aug"]["shift"] for copy in copies] == [-3, -2, -1, 1, 2]
    assert all(words_of(copy)[7] == "PitchIntervalTime_3" for copy in copies)


Notes = set[tuple[int, int, int, int]]


def sounding(record: Record, parts: list[Record]) -> tuple[Notes, Notes]:
    """Return (onset, program, pitch, velocity) of the notes and of the drums in records."""
    made = tokenizer(record["tok"].partition("#")[0])
    programs = [part["meta"].get("program") for part in parts]
    ids = [np.asarray(part["ids"]) for part in parts]
    score = made.decode(ids, programs if None not in programs else None).value
    notes: tuple[Notes, Notes] = (set(), set())
    for track in score.tracks:
        found = notes[track.is_drum]
        found |= {(n.start, track.program, n.pitch, n.velocity) for n in track.notes}
    return notes


@pytest.mark.parametrize(
    "spec",
    [
        "remi",
        "remi:drums=0",
        "remi:changes=1",
        "remi:changes=1,drums=0",
        "remi:stream=tracks",
        "remi:programs=0,drums=0",
        "remi:intervals=16",
        "remi:chords=1,chordroot=1,keys=1",
    ],
)
def test_copies_decode_to_the_notes_of_the_original_moved(spec: str, tunes: Path) -> None:
    made = tokenizer(spec)
    plan = Plan(shift=4, copies=None)
    copied = drums = 0
    for path in [*sorted(tunes.glob("*.mid"))[::3], tunes / "rock_beat.mid"]:
        encoded = made.encode(Score(path))
        programs = encoded.programs or [None] * len(encoded.parts)
        parts = [
            record_of([], spec=spec, name=path.stem, part=[k, len(programs)])
            | {"ids": ids.tolist(), "meta": {} if program is None else {"program": program}}
            for k, (ids, program) in enumerate(zip(encoded.parts, programs, strict=True))
        ]
        notes, beats = sounding(parts[0], parts)
        copies = list(Augmenter(plan).copies_of([Part(part, plan) for part in parts]))
        for start in range(0, len(copies), len(parts)):
            copy = copies[start : start + len(parts)]
            shift = copy[0]["aug"]["shift"]
            moved = {(onset, program, pitch + shift, v) for onset, program, pitch, v in notes}
            assert sounding(copy[0], copy) == (moved, beats)
        copied += len(copies)
        drums += len(beats)
    assert copied > 20 and drums > 0


@dataclass
class Toy:
    """A tokenizer of a few words, for the ways in which others name pitches and drums."""

    words: Sequence[str]
    unit: int = 1
    spec: str = "toy"
    vocab: Vocab = field(init=False)

    def __post_init__(self) -> None:
        self.vocab = Vocab(self.words)


def toy_copies(
    monkeypatch: pytest.MonkeyPatch, toy: Any, words: Sequence[str], plan: Plan
) -> list[list[str]]:
    """Return the words of the copies of a sequence of a toy tokenizer."""
    made = Moves(toy)
    monkeypatch.setattr(augment, "_moves_of", lambda tok: made)
    record = record_of([]) | {"ids": [toy.vocab.index[word] for word in words]}
    return [[toy.words[id] for id in copy["ids"]] for copy in copies_of(record, plan)]


UP = Plan(shift=1, copies=None)


def test_note_on_and_off_move_together(monkeypatch: pytest.MonkeyPatch) -> None:
    toy = Toy(
        [f"{kind}_{p}" for kind in ("NoteOn", "NoteOff", "DrumOn", "DrumOff") for p in (60, 61)]
    )
    words = ["NoteOn_60", "DrumOn_60", "NoteOff_60", "DrumOff_60"]
    assert toy_copies(monkeypatch, toy, words, UP) == [
        ["NoteOn_61", "DrumOn_60", "NoteOff_61", "DrumOff_60"]
    ]


def test_the_channel_of_an_event_says_whether_it_is_drums(monkeypatch: pytest.MonkeyPatch) -> None:
    toy = Toy(
        ["pad_0", "note_on", "channel_0", "channel_9", "pitch_60", "pitch_61", "tempo_5"], unit=3
    )
    words = ["note_on", "pitch_60", "channel_9", "note_on", "pitch_60", "channel_0"]
    words += ["tempo_5", "pad_0", "pad_0"]
    assert toy_copies(monkeypatch, toy, words, UP) == [
        [
            "note_on",
            "pitch_60",
            "channel_9",
            "note_on",
            "pitch_61",
            "channel_0",
            "tempo_5",
            "pad_0",
            "pad_0",
        ]
    ]


def test_flattened_vocabularies_carry_prefixes(monkeypatch: pytest.MonkeyPatch) -> None:
    toy = Toy(
        [
            "0.Pitch_60",
            "0.Pitch_61",
            "1.Velocity_9",
            "1.Velocity_20",
            "5.Program_0",
            "5.Program_-1",
        ],
        unit=3,
    )
    words = [
        "0.Pitch_60",
        "1.Velocity_9",
        "5.Program_0",
        "0.Pitch_60",
        "1.Velocity_9",
        "5.Program_-1",
    ]
    assert toy_copies(monkeypatch, toy, words, UP) == [["0.Pitch_61", *words[1:]]]
    louder = toy_copies(monkeypatch, toy, words, Plan(velocity=1, copies=None))
    assert louder == [[w.replace("_9", "_20") for w in words]]


def test_a_vocabulary_without_pitches_or_velocities_is_told() -> None:
    letters: Any = Toy(["Byte_0", "Byte_1"])
    with pytest.raises(MidigenError, match="toy has no pitches"):
        moves.Moves(letters).shifts(1)
    with pytest.raises(MidigenError, match="toy has no velocities"):
        moves.Moves(letters).velocities(1)


def test_ids_that_are_not_of_the_vocabulary_are_rejected() -> None:
    with pytest.raises(Reject, match=r"id 565 not in 0\.\.564"):
        Part(record_of([]) | {"ids": [4, 565]}, ALL)


def test_a_plan_that_changes_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="--shift N or --velocity N"):
        Plan()


@STEADY
@given(st.integers(-7, 7), st.integers(-24, 24))
def test_fifths_follow_and_come_back_to_an_equal_key(fifths: int, shift: int) -> None:
    moved = shift_fifths(fifths, shift)
    assert -7 <= moved <= 7
    assert (7 * moved - 7 * fifths - shift) % 12 == 0
    assert (shift_fifths(moved, -shift) - fifths) % 12 == 0


@pytest.mark.parametrize(
    "key, shift, moved",
    [
        ("C", 1, "Db"),
        ("C", -1, "B"),
        ("Am", 3, "Cm"),
        ("F#m", 1, "Gm"),
        ("C#m", 12, "C#m"),
        ("Bb major", 2, "C major"),
        ("a minor", -1, "g# minor"),
        ("Eb:maj", 6, "A:maj"),
        ("e", 1, "f"),
        ("G♭", 1, "G"),
        (11, 2, 1),
        (["C", "Am"], 2, ["D", "Bm"]),
        (["C", "?"], 2, ["D"]),
        ("H", 1, None),
        ("Cat", 1, None),
        (12, 1, None),
        (True, 1, None),
        (1.5, 1, None),
        ("", 1, None),
    ],
)
def test_keys_as_people_write_them(key: Any, shift: int, moved: Any) -> None:
    assert shift_key(key, shift) == moved


def test_roots_of_chords_go_round() -> None:
    assert [shift_root(root, 1) for root in ("C", "B", "D#")] == ["C#", "C", "E"]


def test_ids_of_the_helper_are_those_of_the_vocabulary() -> None:
    assert ids_of(tok_of(), ["Bar_None", "Pitch_21"]) == [4, 5]

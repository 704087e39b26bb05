"""`events`: ids equal to the vectors, and to plain Python where these say nothing."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
from events_plain import encode, random_midi
from hypothesis import given, settings
from hypothesis import strategies as st
from midigen_events import Events
from midigen_events.keys import find_sharps
from midigen_events.order import sort_by
from symusic import Note, Score, Track

from midigen.errors import MidigenError, Reject
from midigen.midi import midi_bytes
from midigen.protocols import Encoded, MidiTokenizer
from midigen.reasons import REASONS

PLAIN, OPTIMISED = Events(optimise="0"), Events()
TOKENS = OPTIMISED.vocab.tokens


def rows(result: Encoded | Reject) -> list[list[int]]:
    """Return the events of a result; of a Reject none."""
    if isinstance(result, Reject):
        return []
    (ids,) = result.parts
    found: list[list[int]] = ids.reshape(-1, 8).tolist()
    return found


def spelled(result: Encoded | Reject) -> list[str]:
    """Return the events as words, without time where that is 0 and without padding."""
    lines = []
    for row in rows(result):
        names = [TOKENS[id] for id in row if id]
        lines.append(" ".join([names[0].removeprefix("Event_"), *names[1:]]))
    return lines


def midi(*tracks: Sequence[mido.Message], tpq: int = 16) -> bytes:
    """Return a file of mido's messages: one tick is one step."""
    file = mido.MidiFile(ticks_per_beat=tpq)
    file.tracks += [mido.MidiTrack(track) for track in tracks]
    data = io.BytesIO()
    file.save(file=data)
    return data.getvalue()


def note(pitch: int, *, channel: int = 0, wait: int = 0, length: int = 4) -> list[mido.Message]:
    on = mido.Message("note_on", channel=channel, note=pitch, velocity=100, time=wait)
    return [on, mido.Message("note_off", channel=channel, note=pitch, time=length)]


def notes_of(result: Encoded | Reject) -> list[tuple[str, ...]]:
    """Return time1, time2, track, channel, pitch, velocity and duration of the notes."""
    return [
        tuple(TOKENS[id].partition("_")[2] for id in row[1:]) for row in rows(result) if row[0] == 3
    ]


def one(data: bytes, tokenizer: Events = OPTIMISED) -> Encoded | Reject:
    (result,) = tokenizer.encode_midi_many([data])
    return result


def test_vocabulary_is_that_of_the_format() -> None:
    assert len(TOKENS) == 3406
    assert TOKENS[:9] == (
        "Pad_None",
        "BOS_None",
        "EOS_None",
        "Event_note",
        "Event_patch_change",
        "Event_control_change",
        "Event_set_tempo",
        "Event_time_signature",
        "Event_key_signature",
    )
    index = OPTIMISED.vocab.index
    assert index["Time1_0"] == 9
    assert index["Duration_0"] == 9 + 128 + 16
    assert index["Numerator_1"] == index["Bpm_383"] + 1
    assert TOKENS[-2:] == ("Mi_0", "Mi_1")
    assert isinstance(OPTIMISED, MidiTokenizer)


def test_spec_names_only_what_is_not_the_default() -> None:
    assert OPTIMISED.spec == Events(optimise="1").spec == "events"
    assert PLAIN.spec == "events:optimise=0"
    with pytest.raises(MidigenError, match="no parameter 'optimize'; known: optimise"):
        Events(optimize="1")
    with pytest.raises(MidigenError, match="optimise=yes is not 0 or 1"):
        Events(optimise="yes")


@pytest.mark.parametrize("name", ["plain", "optimised"])
def test_ids_are_equal_to_the_vectors(shared: Path, name: str) -> None:
    paths = sorted((shared / "vectors" / "events").glob("*.json"))
    assert len(paths) == 15
    tokenizer = {"plain": PLAIN, "optimised": OPTIMISED}[name]
    results = tokenizer.encode_midi_many([p.with_suffix(".mid").read_bytes() for p in paths])
    for path, result in zip(paths, results, strict=True):
        bos, *expected, eos = json.loads(path.read_text())[name]
        assert (bos[0], eos[0]) == (1, 2)
        assert rows(result) == expected, path.name
        data = path.with_suffix(".mid").read_bytes()
        assert encode(data, name == "optimised") == expected, path.name


@pytest.mark.parametrize("optimise", [False, True])
def test_corpus_files_are_encoded_as_in_plain_python(shared: Path, optimise: bool) -> None:
    paths = sorted((shared / "corpus").rglob("*.mid"))[7::300]
    tokenizer = OPTIMISED if optimise else PLAIN
    files = [path.read_bytes() for path in paths]
    for path, data, result in zip(paths, files, tokenizer.encode_midi_many(files), strict=True):
        try:
            assert rows(result) == encode(data, optimise), path
        except mido.KeySignatureError:
            continue


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("optimise", [False, True])
def test_random_files_are_encoded_as_in_plain_python(seed: int, optimise: bool) -> None:
    files = [random_midi(np.random.default_rng([seed, k])) for k in range(6)]
    tokenizer = OPTIMISED if optimise else PLAIN
    seen = set[int]()
    for data, result in zip(files, tokenizer.encode_midi_many(files), strict=True):
        expected = encode(data, optimise)
        if isinstance(result, Reject):
            assert result.reason == "no_notes"
            assert not any(row[0] == 3 for row in expected)
        else:
            assert rows(result) == expected
            seen |= {row[0] for row in expected}
    assert seen >= {3, 4, 5}


def test_a_file_says_the_same_alone_and_among_others(tunes: Path) -> None:
    files = [path.read_bytes() for path in sorted(tunes.glob("*.mid"))]
    together = OPTIMISED.encode_midi_many([*files, b"", files[0]])
    assert isinstance(together[-2], Reject)
    assert rows(together[-1]) == rows(together[0])
    for data, result in zip(files, together, strict=False):
        assert rows(one(data)) == rows(result) != []


def test_encode_reads_a_score_as_the_file_that_it_makes(tunes: Path) -> None:
    score = Score(tunes / "rock_beat.mid")
    assert rows(OPTIMISED.encode(score)) == rows(one(midi_bytes(score)))
    with pytest.raises(Reject, match="no_notes"):
        OPTIMISED.encode(Score(480))


def test_programs_of_a_score_stay_apart_though_there_are_more_than_channels() -> None:
    score: Any = Score(16)
    for program in range(20):
        track: Any = Track(program=program)
        track.notes.append(Note(16 * program, 16, 60 + program, 100))
        score.tracks.append(track)
    decoded = OPTIMISED.decode(OPTIMISED.encode(score).parts).value
    found = {(track.program, note.pitch) for track in decoded.tracks for note in track.notes}
    assert found == {(program, 60 + program) for program in range(20)}


def test_what_is_no_midi_and_what_has_no_notes_is_rejected() -> None:
    results = OPTIMISED.encode_midi_many([b"", b"RIFF", midi([]), midi(note(60))])
    assert [getattr(result, "reason", "") for result in results] == [
        "empty",
        "not_midi",
        "no_notes",
        "",
    ]
    assert OPTIMISED.encode_midi_many([]) == []


def test_a_note_ends_where_the_next_of_its_pitch_begins() -> None:
    on = [mido.Message("note_on", note=60, velocity=v, time=t) for v, t in ((1, 0), (2, 5))]
    off = [mido.Message("note_off", note=60, time=t) for t in (10, 10)]
    found = notes_of(one(midi([*on, *off])))
    assert [(n[1], n[5], n[6]) for n in found] == [("0", "1", "5"), ("5", "2", "20")]


def test_of_two_notes_of_one_pitch_at_one_time_the_later_stays() -> None:
    on = [mido.Message("note_on", note=60, velocity=v) for v in (1, 2)]
    off = [mido.Message("note_off", note=60, time=t) for t in (10, 10)]
    assert [n[5:] for n in notes_of(one(midi([*on, *off])))] == [("2", "20")]


def test_a_note_without_an_end_ends_with_its_track_and_a_lone_end_is_nothing() -> None:
    track = [
        mido.Message("note_off", note=60),
        mido.Message("note_on", note=60, velocity=9),
        mido.MetaMessage("end_of_track", time=7),
    ]
    assert [n[4:] for n in notes_of(one(midi(track)))] == [("60", "9", "7")]


def test_steps_are_rounded_half_to_even() -> None:
    data = midi(note(60, wait=1, length=2), note(61, wait=3, length=8), tpq=32)
    assert [(n[1], n[6]) for n in notes_of(one(data))] == [("0", "1"), ("2", "4")]


def test_small_changes_of_controllers_add_up() -> None:
    values = [3, 4, 6, 8, 9, 9, 12, 4, 1]
    track = [mido.Message("control_change", control=7, value=v, time=16) for v in values]
    result = one(midi([*note(60), *track]))
    written = [TOKENS[row[6]] for row in rows(result) if row[0] == 5]
    assert written == ["Value_4", "Value_8", "Value_12", "Value_4"]


def test_what_is_set_before_the_first_note_is_set_at_time_0_and_once() -> None:
    track = [
        mido.Message("program_change", program=5),
        mido.MetaMessage("set_tempo", tempo=500_000, time=16),
        mido.Message("program_change", program=6, time=16),
        mido.MetaMessage("time_signature", numerator=3, denominator=4),
        *note(60),
        mido.Message("program_change", program=7),
    ]
    assert spelled(one(midi(track))) == [
        "set_tempo Time1_0 Time2_0 Track_0 Bpm_120",
        "patch_change Time1_0 Time2_0 Track_1 Channel_0 Patch_6",
        "time_signature Time1_2 Time2_0 Track_0 Numerator_3 Denominator_4",
        "note Time1_0 Time2_0 Track_1 Channel_0 Pitch_60 Velocity_100 Duration_4",
        "patch_change Time1_0 Time2_4 Track_1 Channel_0 Patch_7",
    ]


def test_channels_and_tracks_are_numbered_alike_in_formats_0_and_1() -> None:
    parts = [note(60, channel=5), note(40, channel=9), note(62, channel=2)]
    together = [on for on, _ in parts] + [off for _, off in parts]
    for message in together[4:]:
        message.time = 0
    expected = [("1", "0", "60"), ("2", "1", "62"), ("3", "9", "40")]
    for data in (midi(together), midi(*parts), midi([], *parts)):
        found = notes_of(one(data))
        assert [(n[2], n[3], n[4]) for n in found] == expected
    plain = notes_of(one(midi([], *parts), PLAIN))
    assert [(n[2], n[3]) for n in plain] == [("1", "5"), ("2", "9"), ("3", "2")]


def test_channels_without_notes_go_and_those_without_a_patch_get_one() -> None:
    empty = [mido.Message("program_change", channel=3, program=9)]
    empty += [mido.Message("control_change", channel=0, control=7, value=90)]
    found = spelled(one(midi(empty, note(60))))
    assert found == [
        "patch_change Time1_0 Time2_0 Track_1 Channel_0 Patch_0",
        "control_change Time1_0 Time2_0 Track_1 Channel_0 Controller_7 Value_90",
        "note Time1_0 Time2_0 Track_1 Channel_0 Pitch_60 Velocity_100 Duration_4",
    ]


def scale(channel: int = 0) -> list[mido.Message]:
    """Return the notes of D major."""
    return [m for pitch in (62, 64, 66, 67, 69, 71, 73) for m in note(pitch, channel=channel)]


def test_a_key_that_the_file_does_not_name_is_found() -> None:
    drums = note(40, channel=9)
    optimised = spelled(one(midi([], scale(), drums)))
    assert [line for line in optimised if line.startswith("key")] == [
        "key_signature Time1_0 Time2_0 Track_1 Sf_2 Mi_0",
        "key_signature Time1_0 Time2_0 Track_2 Sf_0 Mi_0",
    ]
    plain = spelled(one(midi([], scale(), drums), PLAIN))
    assert [line for line in plain if line.startswith("key")] == [
        "key_signature Time1_0 Time2_0 Track_0 Sf_2 Mi_0",
        "key_signature Time1_0 Time2_0 Track_1 Sf_2 Mi_0",
        "key_signature Time1_0 Time2_0 Track_2 Sf_0 Mi_0",
    ]


def test_a_named_key_stays_unless_it_is_c_major_against_the_notes() -> None:
    def keys(*named: str) -> list[str]:
        head = [mido.MetaMessage("key_signature", key=key) for key in named]
        lines = spelled(one(midi(head, scale())))
        return [line.partition("Track_")[2] for line in lines if line.startswith("key")]

    assert keys("Bb") == ["0 Sf_-2 Mi_0"]
    assert keys("Am") == ["0 Sf_0 Mi_1"]
    assert keys("C") == ["0 Sf_2 Mi_0"]


def test_a_key_needs_a_scale_and_most_of_the_notes() -> None:
    c_major = [5, 0, 5, 0, 5, 5, 0, 5, 0, 5, 0, 5]
    assert find_sharps(c_major) == 0
    assert [find_sharps(np.roll(c_major, k).tolist()) for k in (7, 5, 6, 1)] == [1, -1, 6, -5]
    assert find_sharps([n + 2 * (n == 0) for n in c_major]) == 0
    assert find_sharps([n + 4 * (n == 0) for n in c_major]) is None
    assert find_sharps([9, 0, 9, 9, 0, 9, 0, 9, 9, 0, 0, 9]) is None
    assert find_sharps([1] * 7 + [0] * 5) is None
    assert find_sharps([0] * 12) is None


@pytest.mark.parametrize(
    ("data", "word", "left"),
    [
        (midi(note(60), note(62, length=128 * 16)), "duration", 1),
        (midi([*note(60), *note(62, wait=128 * 16), *note(64)]), "gap", 1),
        (
            midi([mido.MetaMessage("time_signature", numerator=17, denominator=4), *note(60)]),
            "time_signature",
            1,
        ),
        (midi(*[note(60 + k % 12) for k in range(130)]), "tracks", 128),
    ],
)
def test_what_the_vocabulary_cannot_hold_is_named(data: bytes, word: str, left: int) -> None:
    result = one(data, PLAIN)
    assert isinstance(result, Encoded)
    assert result.lossy == (word,)
    assert len(notes_of(result)) == left


def test_the_longest_note_and_the_longest_gap_are_held() -> None:
    result = one(midi(note(60, length=2047), [*note(62, wait=127 * 16), *note(64, wait=127 * 16)]))
    assert isinstance(result, Encoded)
    assert result.lossy == ()
    assert [(n[0], n[6]) for n in notes_of(result)] == [("0", "2047"), ("127", "4"), ("127", "4")]


def test_more_than_128_tracks_after_renumbering_are_named() -> None:
    tracks = [[m for channel in range(2) for m in note(60, channel=channel)] for _ in range(100)]
    result = one(midi(*tracks))
    assert isinstance(result, Encoded)
    assert result.lossy == ("tracks",)
    assert {n[2] for n in notes_of(result)} == {str(track) for track in range(1, 128)}


def test_order_is_the_same_however_large_the_numbers_are() -> None:
    rng = np.random.default_rng(4)
    small = [rng.integers(0, most, 200) for most in (3, 5, 4)] + [rng.permutation(200)]
    large = [small[0] << 30, small[1] << 20, small[2], small[3]]
    expected = np.lexsort(tuple(reversed(small)))
    assert sort_by(small).tolist() == sort_by(large).tolist() == expected.tolist()


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 99), st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=4)
)
def test_a_file_with_other_bytes_is_encoded_or_rejected(
    seed: int, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(random_midi(np.random.default_rng(seed)))
    for place, byte in changes:
        data[place % len(data)] = byte
    for tokenizer in (PLAIN, OPTIMISED):
        result = one(bytes(data), tokenizer)
        if isinstance(result, Reject):
            assert result.reason in REASONS
        else:
            assert any(row[0] == 3 for row in rows(result))
            assert tokenizer.decode(result.parts).repairs == {}

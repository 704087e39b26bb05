"""`remi`: ids back to scores, with MidiTok's decoder as the oracle; what counts as a repair."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from remi_walks import ARRAYS, MIDITOK, content, grammar, miditok_content, remi, sampled, spoiled
from symusic import Score

BAR = ["Bar_None", "TimeSig_4/4"]
AT_0 = [*BAR, "Position_0"]
NOTE = ["Program_0", "Pitch_60", "Velocity_63", "Duration_1.0.8"]


def ids(words: list[str], spec: str = "") -> list[int]:
    return [remi(spec).vocab.index[word] for word in words]


def decode(words: list[str], spec: str = "") -> Any:
    return remi(spec).decode([ids(words, spec)])


def notes(words: list[str], spec: str = "") -> list[tuple[int, int, int, int]]:
    """Return (tick, duration, pitch, velocity) of all notes."""
    return [note for _, track in content(decode(words, spec).value)["tracks"] for note in track]


@pytest.mark.parametrize("spec", ARRAYS)
def test_encoded_tunes_decode_as_miditok_decodes_them(spec: str, tunes: Path) -> None:
    for path in sorted(tunes.glob("*.mid")):
        encoded = remi(spec).encode(Score(path))
        decoded = remi(spec).decode(encoded.parts, encoded.programs)
        expected = miditok_content(spec, encoded.parts, encoded.programs)
        assert content(decoded.value) == expected, path.name
        assert decoded.repairs == {}, path.name


@pytest.mark.parametrize("spec", ["", "rests=1", "programs=0,tempos=0,ts=miditok"])
def test_encoded_corpus_files_decode_as_miditok_decodes_them(spec: str, shared: Path) -> None:
    for path in sorted(shared.glob("corpus/**/*.mid"))[7::300]:
        encoded = remi(spec).encode(Score(path))
        decoded = remi(spec).decode(encoded.parts, encoded.programs)
        expected = miditok_content(spec, encoded.parts, encoded.programs)
        assert content(decoded.value) == expected, path
        assert decoded.repairs == {}, path


@pytest.mark.parametrize("spec", ["", "velocities=16", "rests=1", "stream=tracks", "changes=1"])
def test_what_was_decoded_comes_back_from_its_ids(spec: str, tunes: Path) -> None:
    for path in sorted(tunes.glob("*.mid")):
        first = remi(spec).encode(Score(path))
        score = remi(spec).decode(first.parts, first.programs).value
        again = remi(spec).encode(score)
        back = remi(spec).decode(again.parts, again.programs).value
        assert by_program(back) == by_program(score), path.name


def by_program(score: Any) -> dict[str, Any]:
    """Return the content with tracks and notes sorted: one stream does not keep their order."""
    found = content(score)
    return found | {"tracks": sorted((p, sorted(track)) for p, track in found["tracks"])}


@pytest.mark.parametrize("spec", ["", "rests=1", "velocities=0", "changes=1", "durations=none"])
def test_broken_sequences_sound_as_in_miditok(spec: str) -> None:
    rng = np.random.default_rng(5)
    size = len(remi(spec).vocab)
    for _ in range(40):
        broken = sampled(grammar(spec), rng, 120)
        for _ in range(3):
            broken = spoiled(broken, size, rng) or broken
        assert content(remi(spec).decode([broken]).value) == miditok_content(spec, [broken])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_ids_sound_as_in_miditok(data: st.DataObject) -> None:
    spec = data.draw(st.sampled_from(["", "rests=1", "velocities=0", "ts=0"]))
    one_id = st.integers(0, len(remi(spec).vocab) - 1)
    any_ids = data.draw(st.lists(one_id, min_size=1, max_size=60))
    assert content(remi(spec).decode([any_ids]).value) == miditok_content(spec, [any_ids])


@pytest.mark.parametrize("spec", ARRAYS + MIDITOK)
def test_any_ids_decode(spec: str) -> None:
    rng = np.random.default_rng(6)
    size = len(remi(spec).vocab)
    for length in (0, 1, 2, 3, 500):
        parts = [rng.integers(0, size, length).astype(np.uint16) for _ in range(2)]
        for count in (0, 1, 2):
            remi(spec).decode(parts[:count]).value.note_num()
    broken = sampled(grammar(spec), rng, 300)
    for _ in range(20):
        broken = spoiled(broken, size, rng) or broken
        remi(spec).decode([broken]).value.note_num()


def test_a_sequence_in_order_needs_no_repair() -> None:
    words = [*AT_0, "Tempo_121.29", *NOTE, *NOTE, "Position_31", *NOTE, *BAR, *BAR]
    assert decode(words).repairs == {}
    assert [time for time, *_ in notes(words)] == [0, 0, 31 * 4]


# What is out of order, the repairs, and the ticks at which notes sound: 32 ticks are a quarter, 4 a
# position in 4/4, 2 in 3/8.
BROKEN: dict[str, tuple[list[str], dict[str, int], list[int]]] = {
    "nothing": ([], {}, []),
    "special token": (["BOS_None", *AT_0, *NOTE, "EOS_None"], {"special token": 2}, [0]),
    "pitch at the end": ([*AT_0, *NOTE, "Program_0", "Pitch_60"], {"incomplete note": 1}, [0]),
    "pitch without velocity": (
        [*AT_0, "Program_0", "Pitch_60", *NOTE],
        {"incomplete note": 1},
        [0],
    ),
    "no duration": ([*AT_0, *NOTE[:3], "Position_1", *NOTE], {"incomplete note": 1}, [4]),
    "stray velocity": ([*AT_0, *NOTE, "Velocity_63"], {"stray value": 1}, [0]),
    "stray duration": ([*AT_0, *NOTE, "Duration_1.0.8"], {"stray value": 1}, [0]),
    "two programs": ([*AT_0, "Program_5", *NOTE], {"program without note": 1}, [0]),
    "no program": ([*AT_0, *NOTE[1:]], {"note without program": 1}, [0]),
    "drum on a piano": (
        [*AT_0, "Program_0", "PitchDrum_40", *NOTE[2:]],
        {"wrong kind of pitch": 1},
        [0],
    ),
    "piano on the drums": ([*AT_0, "Program_-1", *NOTE[1:]], {"wrong kind of pitch": 1}, [0]),
    "no position": ([*BAR, *BAR, *NOTE], {"note without position": 1}, [128]),
    "idle position": (
        [*AT_0, "Position_3", *NOTE, "Position_9"],
        {"position without event": 2},
        [12],
    ),
    "back in time": (
        [*AT_0, *NOTE, "Position_9", *NOTE, "Position_8", *NOTE],
        {"time backwards": 1},
        [0, 36, 32],
    ),
    "outside the bar": (
        [*AT_0, *NOTE, "Position_32", *NOTE, *AT_0, *NOTE],
        {"position outside the bar": 1},
        [0, 128, 128],
    ),
    "outside a short bar": (
        ["Bar_None", "TimeSig_3/8", "Position_24", *NOTE],
        {"position outside the bar": 1},
        [48],
    ),
    "no bar": (["Position_5", *NOTE, *AT_0, *NOTE], {"before the first bar": 1}, [20, 128]),
    "no signature": (
        ["Bar_None", "Position_5", *NOTE],
        {"missing time signature": 1},
        [20],
    ),
    "no signature at the end": ([*AT_0, *NOTE, "Bar_None"], {"missing time signature": 1}, [0]),
    "signature in a bar": (
        [*AT_0, *NOTE, "TimeSig_3/8", *AT_0, *NOTE],
        {"misplaced time signature": 1},
        [0, 48],
    ),
    "tempo behind a note": ([*AT_0, *NOTE, "Tempo_121.29"], {"misplaced tempo": 1}, [0]),
}


@pytest.mark.parametrize("name", BROKEN)
def test_repairs_are_counted_by_kind(name: str) -> None:
    words, repairs, times = BROKEN[name]
    assert decode(words).repairs == repairs
    assert [time for time, *_ in notes(words)] == times


def test_rests_begin_when_the_last_note_ends() -> None:
    words = [*AT_0, *NOTE[:3], "Duration_2.0.8", "Rest_1.0.4", "Position_24", *NOTE]
    assert decode(words, "rests=1").repairs == {}
    early = [*words[:-5], "Position_23", *NOTE]
    assert decode(early, "rests=1").repairs == {"time backwards": 1}
    assert decode([*AT_0, *NOTE, "Rest_1.0.4"], "rests=1").repairs == {"rest without event": 1}


def test_a_rest_can_lead_into_the_next_bar_without_a_bar_token() -> None:
    words = [*AT_0, *NOTE, "Rest_4.0.2", "Position_8", *NOTE, *AT_0, *NOTE]
    assert decode(words, "rests=1").repairs == {}
    assert [time for time, *_ in notes(words, "rests=1")] == [0, 128 + 32, 256]


def test_a_track_has_one_program() -> None:
    words = [*AT_0, *NOTE, "Program_5", *NOTE[1:]]
    assert decode(words, "stream=tracks").repairs == {"program change": 1}
    assert decode(words).repairs == {}


def test_drum_notes_outside_the_range_of_other_pitches_are_kept() -> None:
    words = [*AT_0, "Program_-1", "PitchDrum_30", *NOTE[2:]]
    assert [pitch for _, _, pitch, _ in notes(words, "pitch=48-72")] == [30]


def test_programs_of_tracks_are_those_given_or_else_what_the_pitches_are() -> None:
    spec = "programs=0"
    parts = [ids([*AT_0, *NOTE[1:]], spec), ids([*AT_0, "PitchDrum_40", *NOTE[2:]], spec)]
    tracks = content(remi(spec).decode(parts, [24, -1]).value)["tracks"]
    assert [program for program, _ in tracks] == [24, -1]
    tracks = content(remi(spec).decode(parts).value)["tracks"]
    assert [program for program, _ in tracks] == [0, -1]


def test_signatures_and_tempos_are_those_of_the_first_track() -> None:
    spec = "programs=0"
    first = ["Bar_None", "TimeSig_3/4", "Position_0", "Tempo_94.19", *NOTE[1:]]
    second = [*AT_0, "Tempo_121.29", *NOTE[1:]]
    found = content(remi(spec).decode([ids(first, spec), ids(second, spec)]).value)
    assert found["signatures"] == [(0, 3, 4)]
    assert found["tempos"] == [(0, round(60e6 / 94.19))]


@pytest.mark.parametrize("spec", MIDITOK)
def test_what_miditok_alone_decodes_comes_back_whole(spec: str, tunes: Path) -> None:
    for path in sorted(tunes.glob("*.mid"))[::3]:
        encoded = remi(spec).encode(Score(path))
        decoded = remi(spec).decode(encoded.parts, encoded.programs)
        assert decoded.repairs == {}, path.name
        assert content(decoded.value) == miditok_content(spec, encoded.parts, encoded.programs)


def test_miditok_gets_only_what_it_can_decode() -> None:
    words = ["EOS_None", "Position_3", "Chord_maj", *NOTE, "Chord_maj", *NOTE[:3], "Bar_None"]
    decoded = decode([*words, *NOTE, "Position_1", "Program_3"], "chords=1")
    assert decoded.repairs == {
        "special token": 1,
        "before the first bar": 1,
        "misplaced Chord": 2,
        "incomplete event": 2,
        "missing time signature": 1,
        "note without position": 1,
        "position without event": 1,
    }
    ((_, found),) = content(decoded.value)["tracks"]
    assert [time for time, *_ in found] == [3 * 4, 128]

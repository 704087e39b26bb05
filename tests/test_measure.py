"""Groups survive transposing and saving again; counts are what a musician would count."""

import hashlib
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pretty_midi
import pytest
import symusic
from hypothesis import given, settings
from hypothesis import strategies as st

from midigen.errors import Reject
from midigen.ingest import parse
from midigen.measure import MAX_BARS, Measure, measure, measure_many

Note = tuple[int, int, int]  # onset, duration, pitch


def make(
    *tracks: list[Note],
    tpq: int = 480,
    drums: tuple[int, ...] = (),
    meters: list[tuple[int, int, int]] = [],  # noqa: B006
    tempos: list[tuple[int, float]] = [],  # noqa: B006
) -> Any:
    """Return a score of these tracks; `drums`: which of them are drums."""
    score = symusic.Score(tpq)
    for number, notes in enumerate(tracks):
        track = symusic.Track(program=number, is_drum=number in drums)
        for onset, duration, pitch in notes:
            track.notes.append(symusic.Note(onset, duration, pitch, 64))
        score.tracks.append(track)
    for tick, above, below in meters:
        score.time_signatures.append(symusic.TimeSignature(tick, above, below))
    for tick, bpm in tempos:
        score.tempos.append(symusic.Tempo(tick, bpm))
    return score


def random_tracks(seed: int, count: int = 3, notes: int = 60) -> list[list[Note]]:
    """Return tracks on a grid of eighths, triplets and thirty-seconds, at 480 ticks a quarter."""
    rng = random.Random(seed)
    return [
        sorted(
            (rng.randrange(100) * 240 + rng.choice([0, 0, 60, 160, 320]), 240, rng.randint(30, 90))
            for _ in range(notes)
        )
        for _ in range(count)
    ]


def group(score: Any) -> str:
    return measure(score).group


def rescaled(score: Any, tpq: int) -> Any:
    """Save at other ticks a quarter, each time rounded by itself as sequencers do."""

    def scale(tick: int) -> int:
        return int(tick * tpq / score.ticks_per_quarter + 0.5)

    tracks = [
        [(scale(n.time), max(1, scale(n.duration)), n.pitch) for n in track.notes]
        for track in score.tracks
    ]
    drums = tuple(i for i, track in enumerate(score.tracks) if track.is_drum)
    return make(*tracks, tpq=tpq, drums=drums)


def transposed(score: Any, semitones: int) -> Any:
    tracks = [
        [(n.time, n.duration, n.pitch + (0 if t.is_drum else semitones)) for n in t.notes]
        for t in score.tracks
    ]
    drums = tuple(i for i, track in enumerate(score.tracks) if track.is_drum)
    return make(*tracks, tpq=score.ticks_per_quarter, drums=drums)


CHANGES: dict[str, Callable[[list[list[Note]]], list[list[Note]]]] = {
    "tracks reversed": lambda tracks: tracks[::-1],
    "tracks merged": lambda tracks: [sorted(note for track in tracks for note in track)],
    "silence in front": lambda tracks: [[(t + 961, d, p) for t, d, p in x] for x in tracks],
    "durations changed": lambda tracks: [[(t, d + 7, p) for t, d, p in x] for x in tracks],
    "notes doubled": lambda tracks: [*tracks, tracks[0]],
    "a track without notes": lambda tracks: [[], *tracks],
}


@pytest.mark.parametrize("change", CHANGES)
def test_group_stays_when_the_piece_is_the_same(change: str) -> None:
    for seed in range(5):
        tracks = random_tracks(seed)
        assert group(make(*CHANGES[change](tracks))) == group(make(*tracks))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(-20, 20), st.sampled_from([24, 48, 96, 192, 960, 1024]))
def test_group_stays_when_transposed_and_saved_at_another_resolution(
    seed: int, semitones: int, tpq: int
) -> None:
    score = make(*random_tracks(seed), drums=(2,))
    assert group(transposed(score, semitones)) == group(score)
    assert group(rescaled(score, tpq)) == group(score)
    assert group(rescaled(transposed(score, semitones), tpq)) == group(score)


def test_group_stays_through_other_programs_that_save_the_file(tunes: Path, tmp_path: Path) -> None:
    for path in sorted(tunes.glob("*.mid")):
        original = group(parse(path.read_bytes()))
        mido.MidiFile(path).save(tmp_path / "mido.mid")
        pretty_midi.PrettyMIDI(str(path), resolution=960).write(str(tmp_path / "pretty.mid"))
        symusic.Score(path).resample(96, min_dur=1).dump_midi(tmp_path / "symusic.mid")
        for copy in sorted(tmp_path.glob("*.mid")):
            assert group(parse(copy.read_bytes())) == original, (path.name, copy.name)


def test_group_differs_when_the_music_does() -> None:
    tracks = random_tracks(1)
    first, *rest = tracks[0]
    others = [
        [[(first[0], first[1], first[2] + 1), *rest], *tracks[1:]],
        [rest, *tracks[1:]],
        [[(first[0] + 240, first[1], first[2]), *rest], *tracks[1:]],
    ]
    groups = {group(make(*tracks)), *(group(make(*other)) for other in others)}
    assert len(groups) == 4
    assert group(make(*tracks, drums=(0,))) not in groups


def test_drums_do_not_move_the_pitches_above_the_lowest() -> None:
    drums = [(0, 120, 35), (480, 120, 38)]
    tune = [(0, 480, 60), (480, 480, 64)]
    higher = [(t, d, p + 5) for t, d, p in tune]
    assert group(make(tune, drums, drums=(1,))) == group(make(higher, drums, drums=(1,)))
    lower = [(t, d, p - 3) for t, d, p in drums]
    assert group(make(tune, drums, drums=(1,))) != group(make(tune, lower, drums=(1,)))
    assert group(make(drums, drums=(0,))) != group(make(drums))


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 32_767), st.lists(st.integers(0, 1 << 24), min_size=1, max_size=20))
def test_onsets_are_rounded_as_whole_numbers_would_be(tpq: int, onsets: list[int]) -> None:
    onsets = [onset % (tpq * 4 * MAX_BARS) for onset in onsets]
    exact = [((t - min(onsets)) * 80 + 9 * tpq) // (20 * tpq) for t in onsets]
    # The same places written in sixteenths, where nothing is left to round.
    written = make([(t, 1, 60) for t in sorted(set(exact))], tpq=4)
    assert group(make([(t, 1, 60) for t in sorted(onsets)], tpq=tpq)) == group(written)


def test_group_is_the_hash_of_onset_and_pitch_of_each_note() -> None:
    score = make([(480, 480, 60), (960, 480, 64)], [(720, 240, 36)], drums=(1,))
    notes = struct.pack("<3q", 0 << 8 | 0, 2 << 8 | 128 + 36, 4 << 8 | 4)
    assert group(score) == hashlib.sha256(notes).hexdigest()[:16]


@pytest.mark.parametrize(
    ("meters", "last", "bars"),
    [
        ([], 1920, 1),
        ([], 1921, 2),
        ([(0, 3, 4)], 1440 * 5, 5),
        ([(0, 6, 8)], 1440 * 2 + 1, 3),
        ([(1920, 3, 4)], 1920 + 1440 * 2, 3),
        # A signature inside a bar cuts it short; one that repeats the last changes nothing.
        ([(0, 4, 4), (960, 3, 4)], 960 + 1440, 2),
        ([(0, 4, 4), (960, 4, 4)], 1920, 1),
        ([(0, 4, 4), (9600, 3, 4)], 1920, 1),
    ],
)
def test_bars_are_counted_until_the_last_note_ends(
    meters: list[tuple[int, int, int]], last: int, bars: int
) -> None:
    assert measure(make([(0, 10, 60), (last - 10, 10, 62)], meters=meters)).n["bars"] == bars


def test_note_without_length_counts_its_bar() -> None:
    assert measure(make([(0, 0, 60)])).n["bars"] == 1
    assert measure(make([(0, 0, 60), (1920, 0, 60)])).n["bars"] == 2


def test_counts_are_those_of_pretty_midi(tunes: Path) -> None:
    for path in sorted(tunes.glob("*.mid")):
        n = measure(parse(path.read_bytes())).n
        song = pretty_midi.PrettyMIDI(str(path))
        notes = [note for instrument in song.instruments for note in instrument.notes]
        assert n["notes"] == len(notes)
        assert n["seconds"] == pytest.approx(max(note.end for note in notes), abs=0.001)
        assert n["bars"] == len([t for t in song.get_downbeats() if t < n["seconds"] - 0.01])


def test_tempo_changes_bend_the_seconds() -> None:
    notes = [(0, 480, 60), (960, 960, 60)]
    assert measure(make(notes)).n["seconds"] == 2.0
    assert measure(make(notes, tempos=[(0, 60.0)])).n["seconds"] == 4.0
    assert measure(make(notes, tempos=[(960, 60.0)])).n["seconds"] == 3.0
    assert measure(make(notes, tempos=[(0, 240.0), (960, 60.0), (1920, 30.0)])).n["seconds"] == 2.5


def test_tracks_without_notes_do_not_count() -> None:
    n = measure(make([(0, 480, 60)], [], [(0, 480, 40)])).n
    assert n == {"notes": 2, "bars": 1, "seconds": 0.5, "tracks": 2}


def test_many_at_once_are_measured_as_one_by_one() -> None:
    scores = [make(*random_tracks(seed, count=seed % 4)) for seed in range(9)]
    scores.insert(3, make([(100, 1, 2)], meters=[(0, 3, 4)], tempos=[(50, 77.0)]))
    together = measure_many(scores)
    for score, result in zip(scores, together, strict=True):
        alone = measure_many([score])[0]
        if isinstance(result, Reject):
            assert isinstance(alone, Reject) and str(alone) == str(result)
        else:
            assert alone == result
    assert sum(isinstance(result, Measure) for result in together) == 7


def test_nothing_to_measure() -> None:
    assert measure_many([]) == []
    with pytest.raises(Reject, match="no_notes"):
        measure(make([]))


def test_piece_that_lasts_for_days_is_rejected() -> None:
    with pytest.raises(Reject, match="too_long"):
        measure(make([(0, 480, 60), (1920 * MAX_BARS, 480, 60)]))
    assert measure(make([(0, 480, 60), (1920 * (MAX_BARS - 1), 480, 60)])).n["bars"] == MAX_BARS


def test_ticks_that_overflow_are_rejected() -> None:
    far = b"\xff\xff\xff\x7f"
    events = b"".join(far + bytes([0x90, 60 + i, 64]) + b"\x0a\x80" + bytes([60 + i, 0])
                      for i in range(9))  # fmt: skip
    track = events + b"\x00\xff\x2f\x00"
    data = b"MThd" + struct.pack(">IHHH", 6, 0, 1, 30_000) + b"MTrk"
    score = parse(data + struct.pack(">I", len(track)) + track)
    assert min(score.tracks[0].notes.numpy()["time"]) < 0
    with pytest.raises(Reject, match="broken"):
        measure(score)


def test_same_notes_in_another_file_have_the_same_group(shared: Path) -> None:
    """A sample of the corpus; tests/oracle/check_twins.py takes all of it."""
    files = sorted((shared / "corpus" / "permissive" / "folk").glob("*oneills1850__15*.mid"))
    scores = [parse(path.read_bytes()) for path in files]
    by_content: dict[bytes, list[str]] = {}
    for score, result in zip(scores, measure_many(scores), strict=True):
        assert isinstance(result, Measure)
        columns = [track.notes.numpy() for track in score.tracks]
        time = np.concatenate([column["time"] for column in columns])
        pitch = np.concatenate([column["pitch"] for column in columns])
        order = np.lexsort((pitch, time))
        content = np.stack([time[order] - time.min(), pitch[order] - pitch.min()]).tobytes()
        by_content.setdefault(content, []).append(result.group)
    twins = [groups for groups in by_content.values() if len(groups) > 1]
    assert twins
    assert all(len(set(groups)) == 1 for groups in twins)

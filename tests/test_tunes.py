"""The tunes that the other tests use are the music they claim to be."""

from pathlib import Path

import mido
import pytest
from tune_reader import read_tune

HEADER = "T:t\nM:4/4\nL:1/4\nQ:1/4=120\nK:G\nV:1\n"


def notes(data: bytes) -> list[tuple[int, int, int]]:
    """Return (onset, length, pitch) in ticks, by onset."""
    import symusic

    score = symusic.Score.from_midi(data)
    return sorted((n.time, n.duration, n.pitch) for track in score.tracks for n in track.notes)


def write(folder: Path, music: str) -> Path:
    path = folder / "tune.abc"
    path.write_text(HEADER + music + "\n", encoding="utf-8")
    return path


def test_tunes_are_many_and_varied(tunes: Path) -> None:
    songs = [mido.MidiFile(path) for path in sorted(tunes.glob("*.mid"))]
    messages = [[m for track in song.tracks for m in track] for song in songs]
    meters = [
        {(m.numerator, m.denominator) for m in song if m.type == "time_signature"}
        for song in messages
    ]
    programs = [{m.program for m in song if m.type == "program_change"} for song in messages]
    assert len(songs) >= 12
    assert {(3, 4), (6, 8), (4, 4), (3, 8)} <= set().union(*meters)
    assert any(len(found) > 1 for found in meters)
    assert any(sum(m.type == "set_tempo" for m in song) > 1 for song in messages)
    assert any(m.type == "note_on" and m.channel == 9 for song in messages for m in song)
    assert sum(len(found) > 1 for found in programs) >= 8


def test_key_accidental_octave_length_and_tie_are_read(tmp_path: Path) -> None:
    data = read_tune(write(tmp_path, "F ^G/ G/ =f c, | G2- G2 |]"))
    assert notes(data) == [
        (0, 480, 66),
        (480, 240, 68),
        (720, 240, 68),
        (960, 480, 77),
        (1440, 480, 60),
        (1920, 1920, 67),
    ]


def test_keys_with_flats_are_read(tmp_path: Path) -> None:
    path = tmp_path / "flat.abc"
    path.write_text(HEADER.replace("K:G", "K:Eb") + "CDEF | GABc |]\n")
    assert [pitch for _, _, pitch in notes(read_tune(path))] == [60, 62, 63, 65, 67, 68, 70, 72]


def test_repeats_triplets_and_chords_are_played(tmp_path: Path) -> None:
    data = read_tune(write(tmp_path, "|: (3GGG [CE]2 z :|"))
    once = [(0, 320, 67), (320, 320, 67), (640, 320, 67), (960, 960, 60), (960, 960, 64)]
    assert notes(data) == once + [(onset + 2400, length, pitch) for onset, length, pitch in once]


def test_bar_that_does_not_fill_its_meter_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"tune\.abc:7: bar 2 of voice 1 is not full"):
        read_tune(write(tmp_path, "G4 | G3 | G4 |]"))


def test_unknown_text_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"tune\.abc:7: .* is not understood"):
        read_tune(write(tmp_path, "G4 | {a}G4 |]"))


def test_hexdumps_hold_the_bytes_that_their_headers_announce(hexdumps: Path) -> None:
    whole = {"one_note", "running_status", "drums", "tempo_and_meter", "odd_meter", "no_notes"}
    for name in whole:
        data = (hexdumps / f"{name}.mid").read_bytes()
        place, tracks = 14, int.from_bytes(data[10:12])
        for _ in range(tracks):
            assert data[place : place + 4] == b"MTrk"
            place += 8 + int.from_bytes(data[place + 4 : place + 8])
        assert place == len(data), name

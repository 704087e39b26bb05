"""Bytes to a score by the first rung of the ladder that gives one, or a reject with a reason."""

import struct
from io import BytesIO
from pathlib import Path

import mido
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midigen.errors import Reject
from midigen.ingest import DEFAULT_LIMITS, SALVAGED, SANITISED, Limits, ingest, parse
from midigen.reasons import REASONS

ONE_NOTE = bytes.fromhex("00903c40 60803c00 00ff2f00")


def midi(*tracks: bytes, format: int = 1, division: int = 96, count: int | None = None) -> bytes:
    """Return a MIDI file of these tracks."""
    header = struct.pack(">IHHH", 6, format, len(tracks) if count is None else count, division)
    return b"MThd" + header + b"".join(b"MTrk" + struct.pack(">I", len(t)) + t for t in tracks)


def reason_of(data: bytes, limits: Limits = DEFAULT_LIMITS) -> str:
    with pytest.raises(Reject) as found:
        ingest(data, limits)
    assert found.value.reason in REASONS
    assert "\n" not in found.value.detail
    return found.value.reason


def test_notes_are_those_that_mido_reads(tunes: Path) -> None:
    for path in sorted(tunes.glob("*.mid")):
        score = ingest(path.read_bytes()).score
        starts = []
        for track in mido.MidiFile(path).tracks:
            tick = 0
            for message in track:
                tick += message.time
                if message.type == "note_on" and message.velocity:
                    starts.append((tick, message.note))
        found = [(note.time, note.pitch) for track in score.tracks for note in track.notes]
        assert sorted(found) == sorted(starts)
        assert score.ticks_per_quarter == mido.MidiFile(path).ticks_per_beat


def test_file_that_obeys_the_format_is_parsed_as_it_is(tunes: Path) -> None:
    for path in sorted(tunes.glob("*.mid")):
        data = path.read_bytes()
        found = ingest(data)
        assert found.rung == "" and found.midi is data
        assert found.score == parse(data)


def test_hexdumps_take_the_rung_that_their_damage_asks_for(hexdumps: Path) -> None:
    found = {}
    for path in sorted(hexdumps.glob("*.mid")):
        try:
            found[path.stem] = ingest(path.read_bytes()).rung
        except Reject as reject:
            found[path.stem] = reject.reason
    assert found == {
        "cut_off": SALVAGED,
        "data_bytes": SANITISED,
        "drums": "",
        "macbinary": SALVAGED,
        "no_notes": "no_notes",
        "not_midi": "not_midi",
        "odd_meter": "",
        "one_note": "",
        "rmid": SALVAGED,
        "running_status": "",
        "smpte": SANITISED,
        "tempo_and_meter": "",
        "tracks_0": SALVAGED,
    }


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"<html>", "not_midi"),
        (b"RIFF\x04\x00\x00\x00RMID", "not_midi"),
        (b"PK\x03\x04", "not_midi"),
        (b"MThd", "broken"),
        (midi(), "broken"),
        (b"MTrk" + struct.pack(">I", len(ONE_NOTE)) + ONE_NOTE, "broken"),
        (midi(b""), "no_notes"),
        (midi(bytes.fromhex("00ff2f00")), "no_notes"),
        (midi(bytes.fromhex("00903c00 00ff2f00")), "no_notes"),
        (midi(bytes.fromhex("003c4000")), "no_notes"),
    ],
)
def test_bytes_without_music_are_rejected(data: bytes, reason: str) -> None:
    assert reason_of(data) == reason


def test_detail_says_what_was_found() -> None:
    with pytest.raises(Reject, match=r"begins with b'RIFF'"):
        ingest(b"RIFF....")
    with pytest.raises(Reject, match="a header without tracks"):
        ingest(b"MThd....")
    with pytest.raises(Reject, match="3; at most 2"):
        ingest(midi(*[ONE_NOTE] * 3), Limits(notes=2))


@pytest.mark.parametrize("damage", [False, True])
def test_scores_beyond_the_limits_are_rejected(damage: bool) -> None:
    data = midi(*[ONE_NOTE] * 4, division=0 if damage else 96)
    assert ingest(data, Limits(notes=4, tracks=4, ticks=96)).score.note_num() == 4
    assert reason_of(data, Limits(notes=3)) == "too_many_notes"
    assert reason_of(data, Limits(tracks=3)) == "too_many_tracks"
    assert reason_of(data, Limits(ticks=95)) == "too_long"


def test_what_is_mended_is_a_file_that_a_strict_parse_reads_the_same() -> None:
    found = ingest(midi(bytes.fromhex("00903cff 60803c00 00ff2f00"), format=7, division=0))
    assert found.rung == SANITISED
    assert parse(found.midi) == found.score
    assert ingest(found.midi)._replace(rung=SANITISED) == found
    (note,) = mido.MidiFile(file=BytesIO(found.midi)).tracks[0][:1]
    assert (note.note, note.velocity) == (60, 127)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.binary(max_size=60), st.integers(0, 40), st.booleans())
def test_any_bytes_are_a_score_or_a_reject(noise: bytes, place: int, keep: bool) -> None:
    whole = midi(ONE_NOTE)
    data = whole[:place] + noise + (whole[place + len(noise) :] if keep else b"")
    try:
        score = ingest(data).score
    except Reject as reject:
        assert reject.reason in REASONS
    else:
        assert 0 < score.ticks_per_quarter < 1 << 15
        assert score.note_num()

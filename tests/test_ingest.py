"""Bytes to a score, or a reject from a closed list."""

import struct
from pathlib import Path

import mido
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midigen.errors import Reject
from midigen.ingest import REASONS, parse

ONE_NOTE = bytes.fromhex("00903c40 60803c00 00ff2f00")


def midi(*tracks: bytes, format: int = 1, division: int = 96) -> bytes:
    """Return a MIDI file of these tracks."""
    header = b"MThd" + struct.pack(">IHHH", 6, format, len(tracks), division)
    return header + b"".join(b"MTrk" + struct.pack(">I", len(t)) + t for t in tracks)


def reason_of(data: bytes) -> str:
    with pytest.raises(Reject) as found:
        parse(data)
    assert found.value.reason in REASONS
    assert "\n" not in found.value.detail
    return found.value.reason


def test_notes_are_those_that_mido_reads(tunes: Path) -> None:
    for path in sorted(tunes.glob("*.mid")):
        score = parse(path.read_bytes())
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


def test_whole_hexdumps_parse_and_broken_ones_say_why(hexdumps: Path) -> None:
    reasons = {}
    for path in sorted(hexdumps.glob("*.mid")):
        try:
            parse(path.read_bytes())
        except Reject as reject:
            reasons[path.stem] = reject.reason
    assert reasons["cut_off"] == "broken"
    assert reasons["not_midi"] == "not_midi"
    assert "one_note" not in reasons and "running_status" not in reasons


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"<html>", "not_midi"),
        (b"RIFF\x04\x00\x00\x00RMID", "not_midi"),
        (b"MThd", "time_division"),
        (midi(ONE_NOTE, division=0), "time_division"),
        (midi(ONE_NOTE, division=0xE728), "time_division"),
        (midi(ONE_NOTE)[:-3], "broken"),
        (midi(ONE_NOTE, format=3), "broken"),
        (midi(bytes.fromhex("00903cff 00ff2f00")), "broken"),
    ],
)
def test_bytes_that_are_no_midi_file_are_rejected(data: bytes, reason: str) -> None:
    assert reason_of(data) == reason


def test_detail_says_what_was_found() -> None:
    with pytest.raises(Reject, match=r"begins with b'RIFF'"):
        parse(b"RIFF....")
    with pytest.raises(Reject, match="e728"):
        parse(midi(ONE_NOTE, division=0xE728))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 40), st.booleans())
def test_any_bytes_are_a_score_or_a_reject(noise: bytes, place: int, keep: bool) -> None:
    whole = midi(ONE_NOTE)
    data = whole[:place] + noise + (whole[place + len(noise) :] if keep else b"")
    try:
        score = parse(data)
    except Reject as reject:
        assert reject.reason in REASONS
    else:
        assert 0 < score.ticks_per_quarter < 1 << 15

"""Scores as MIDI files, read back by mido and symusic; channels."""

import io
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import mido
import pytest
import symusic
from hypothesis import given, settings
from hypothesis import strategies as st

from midigen.channels import DRUM_CHANNEL, MELODIC_CHANNELS, Part, assign
from midigen.midi import midi_bytes
from midigen.programs import NAMES

Note = tuple[int, int, int, int]
"""Time, duration, pitch, velocity."""


def score_of(tracks: Iterable[tuple[int, list[Note]]], tpq: int = 8) -> Any:
    """Return a score of (program, notes); program -1 is the drums."""
    score: Any = symusic.Score(tpq)
    for program, notes in tracks:
        track: Any = symusic.Track(program=max(program, 0), is_drum=program == -1)
        for note in notes:
            track.notes.append(symusic.Note(*note))
        score.tracks.append(track)
    return score


def parsed(data: bytes) -> mido.MidiFile:
    return mido.MidiFile(file=io.BytesIO(data))


def timed(track: Iterable[mido.Message]) -> list[tuple[int, mido.Message]]:
    """Return (tick, message) of a track."""
    found, now = [], 0
    for message in track:
        now += message.time
        found.append((now, message))
    return found


def played(file: mido.MidiFile) -> list[tuple[int, int, int, int]]:
    """Return (tick, end, program, pitch) of what sounds: -1 drums.

    As a synthesizer plays it: the tracks merged, a program for each channel.
    """
    programs = dict.fromkeys(range(16), 0)
    sounding: dict[tuple[int, int], list[tuple[int, int]]] = {}
    found = []
    for tick, message in timed(mido.merge_tracks(file.tracks)):
        if message.type == "program_change":
            programs[message.channel] = message.program
        elif message.type == "note_on":
            program = -1 if message.channel == DRUM_CHANNEL else programs[message.channel]
            key = message.channel, message.note
            sounding.setdefault(key, []).append((tick, program))
        elif message.type == "note_off":
            start, program = sounding[message.channel, message.note].pop(0)
            found.append((start, tick, program, message.note))
    return sorted(found)


def expected(tracks: Iterable[tuple[int, list[Note]]]) -> list[tuple[int, int, int, int]]:
    return sorted((t, t + d, program, p) for program, notes in tracks for t, d, p, _ in notes)


def test_a_file_is_format_1_with_480_ticks_a_quarter() -> None:
    data = midi_bytes(score_of([(24, [(0, 8, 60, 90), (4, 2, 64, 80)])]))
    file = parsed(data)
    assert (file.type, file.ticks_per_beat, len(file.tracks)) == (1, 480, 2)
    assert played(file) == [(0, 480, 24, 60), (240, 360, 24, 64)]
    assert parsed(midi_bytes(score_of([]), 96)).ticks_per_beat == 96


def test_a_small_file_byte_for_byte() -> None:
    score = score_of([(24, [(0, 8, 60, 90)])])
    score.tempos = [symusic.Tempo(0, mspq=500_000)]
    score.time_signatures = [symusic.TimeSignature(0, 6, 8)]
    # fmt: off
    assert midi_bytes(score, 480, "Air") == bytes.fromhex(
        "4d546864 00000006 0001 0002 01e0"  # MThd: format 1, 2 tracks, 480 ticks a quarter
        "4d54726b 0000001a"                 # MTrk
        "00 ff 03 03 416972"                # its name: Air
        "00 ff 58 04 06 03 0c 08"           # 6/8, 12 clocks a click, 8 32nds a quarter
        "00 ff 51 03 07a120"                # 500,000 microseconds a quarter
        "00 ff 2f 00"                       # the end
        "4d54726b 0000002b"                 # MTrk
        "00 ff 03 17" + b"Acoustic Guitar (nylon)".hex() +
        "00 c0 18"                          # channel 1: program 25, counted from 1
        "00 90 3c 5a"                       # note on
        "83 60 80 3c 40"                    # 480 ticks later: note off
        "00 ff 2f 00"
    )
    # fmt: on


def test_tempos_signatures_and_keys_stand_in_the_first_track() -> None:
    score = score_of([(0, [(0, 8, 60, 90)])])
    score.tempos = [symusic.Tempo(0, mspq=500_000), symusic.Tempo(24, mspq=400_000)]
    score.time_signatures = [symusic.TimeSignature(0, 3, 4), symusic.TimeSignature(24, 7, 8)]
    score.key_signatures = [symusic.KeySignature(0, -3, 1)]
    first = timed(parsed(midi_bytes(score)).tracks[0])
    tempos = [(tick, m.tempo) for tick, m in first if m.type == "set_tempo"]
    assert tempos == [(0, 500_000), (1440, 400_000)]
    meters = [(tick, m.numerator, m.denominator) for tick, m in first if m.type == "time_signature"]
    assert meters == [(0, 3, 4), (1440, 7, 8)]
    assert [m.key for _, m in first if m.type == "key_signature"] == ["Cm"]


def test_tracks_are_named_after_their_programs_unless_they_have_a_name() -> None:
    score = score_of([(40, [(0, 1, 60, 90)]), (-1, [(0, 1, 36, 90)]), (0, [(0, 1, 62, 90)])])
    score.tracks[2].name = "Höhe"
    data = midi_bytes(score, title="Ärger")
    names = [track.name.encode("latin1").decode() for track in parsed(data).tracks]
    assert names == ["Ärger", "Violin", "Drums", "Höhe"]
    assert [track.name for track in symusic.Score.from_midi(data).tracks][-1] == "Höhe"


def test_drums_are_on_channel_10_and_every_track_has_its_own_channel() -> None:
    tracks = [(program, [(0, 8, 60, 90)]) for program in (5, -1, 5, *range(20, 33))]
    file = parsed(midi_bytes(score_of(tracks)))
    channels = [{m.channel for m in track if m.type == "note_on"} for track in file.tracks[1:]]
    assert channels[1] == {9}
    assert len(set.union(*channels)) == len(tracks) == 16


def test_a_note_is_never_shorter_than_a_tick_and_ends_before_the_next_begins() -> None:
    file = parsed(midi_bytes(score_of([(0, [(0, 1, 60, 90), (1, 7, 60, 80)])], tpq=96), 24))
    assert played(file) == [(0, 1, 0, 60), (0, 2, 0, 60)]
    joined = score_of([(0, [(0, 8, 60, 90), (8, 8, 60, 80)])])
    kinds = [m.type for m in parsed(midi_bytes(joined)).tracks[1] if m.type.startswith("note")]
    assert kinds == ["note_on", "note_off", "note_on", "note_off"]


def test_controls_and_bends_go_to_the_channel_of_their_track() -> None:
    score = score_of([(0, [(0, 8, 60, 90)]), (5, [(8, 8, 60, 90)])])
    score.tracks[1].controls.append(symusic.ControlChange(8, 64, 127))
    score.tracks[1].pitch_bends.append(symusic.PitchBend(8, -8192))
    messages = timed(parsed(midi_bytes(score)).tracks[2])
    shaping = ("control_change", "pitchwheel")
    shaped = [(tick, m.type, m.channel) for tick, m in messages if m.type in shaping]
    assert shaped == [(480, "control_change", 1), (480, "pitchwheel", 1)]
    assert next(m.pitch for _, m in messages if m.type == "pitchwheel") == -8192


def test_a_silence_too_long_for_one_delta_time_is_written_in_pieces() -> None:
    late = 1 << 25
    file = parsed(midi_bytes(score_of([(0, [(late, 8, 60, 90)])])))
    assert played(file) == [(late * 60, late * 60 + 480, 0, 60)]


many = st.lists(
    st.tuples(
        st.integers(-1, 40),
        st.lists(
            st.tuples(
                st.integers(0, 60), st.integers(1, 6), st.integers(40, 45), st.integers(1, 127)
            ),
            max_size=12,
            unique_by=lambda note: (note[0], note[2]),
        ),
    ),
    max_size=30,
    unique_by=lambda track: track[0],
)


@settings(max_examples=150, deadline=None)
@given(many)
def test_notes_start_on_their_program_while_at_most_15_sound_at_once(
    tracks: list[tuple[int, list[Note]]],
) -> None:
    tracks = [(program, without_overlaps(notes)) for program, notes in tracks]
    file = parsed(midi_bytes(score_of(tracks), 8))
    if most_at_once(tracks) <= len(MELODIC_CHANNELS):
        assert played(file) == expected(tracks)
    else:
        starts = [(start, pitch) for start, _, _, pitch in played(file)]
        assert sorted(starts) == sorted((t, p) for _, notes in tracks for t, _, p, _ in notes)


def without_overlaps(notes: list[Note]) -> list[Note]:
    """Leave out notes that begin while the same pitch sounds: MIDI cannot tell their ends apart."""
    ends: dict[int, int] = {}
    kept = []
    for note in sorted(notes):
        if note[0] >= ends.get(note[2], 0):
            kept.append(note)
            ends[note[2]] = note[0] + note[1]
    return kept


def most_at_once(tracks: list[tuple[int, list[Note]]]) -> int:
    """Return how many melodic programs sound at once at most; an end still counts as sounding."""
    return max(
        sum(any(t <= now <= t + d for t, d, _, _ in notes) for p, notes in tracks if p >= 0)
        for now in range(70)
    )


def test_programs_that_take_turns_never_share_a_channel() -> None:
    parts = [Part(p, [(10 * k, 10 * k + 9) for k in range(p, 400, 40)]) for p in range(40)]
    found = assign(parts)
    notes = sorted(
        (channel, *span, part.program)
        for part, channels in zip(parts, found, strict=True)
        for channel, span in zip(channels.notes, part.spans, strict=True)
    )
    for (channel, _, end, _), (other, start, _, _) in pairwise(notes):
        assert channel != other or end < start
    # A program change stands wherever the channel was another program's before.
    for part, channels in zip(parts, found, strict=True):
        assert len(channels.turns) == len(part.spans)


def test_more_programs_than_channels_share_one_each_where_tracks_repeat_programs() -> None:
    parts = [Part(k % 10, [(0, 10)]) for k in range(30)]
    channels = [channels.notes[0] for channels in assign(parts)]
    assert channels == [MELODIC_CHANNELS[k % 10] for k in range(30)]


def test_names_are_those_of_general_midi() -> None:
    assert len(NAMES) == 128
    assert (NAMES[0], NAMES[40], NAMES[127]) == ("Acoustic Grand Piano", "Violin", "Gunshot")


def test_files_that_are_read_and_written_hold_the_same(tunes: Path) -> None:
    for path in sorted(tunes.glob("*.mid")):
        assert_same(path)


def test_corpus_files_that_are_read_and_written_hold_the_same(shared: Path) -> None:
    for path in sorted(shared.glob("corpus/pop909/*.mid"))[::90]:
        assert_same(path)


def assert_same(path: Path) -> None:
    score: Any = symusic.Score(path)
    again: Any = symusic.Score.from_midi(midi_bytes(score, score.ticks_per_quarter))
    for found in (score, again):
        for track in found.tracks:
            track.notes.sort(key=lambda n: (n.time, n.pitch, n.duration, n.velocity))
    assert [(t.program, t.is_drum, t.notes) for t in again.tracks] == [
        (t.program, t.is_drum, t.notes) for t in score.tracks
    ], path.name
    assert again.tempos == score.tempos, path.name
    assert again.time_signatures == score.time_signatures, path.name


@pytest.mark.parametrize("tpq", [1, 24, 480, 32767])
def test_any_number_of_ticks_a_quarter_can_be_asked_for(tpq: int) -> None:
    file = parsed(midi_bytes(score_of([(0, [(16, 8, 60, 90)])]), tpq))
    assert played(file) == [(2 * tpq, 3 * tpq, 0, 60)]

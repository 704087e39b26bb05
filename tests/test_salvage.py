"""What is saved of damaged files: each kind of damage beside what mido reads of the whole file."""

import random
import struct
import time
from io import BytesIO
from pathlib import Path

import mido
import pytest
from mutations import flip

from midigen.errors import Reject
from midigen.ingest import SALVAGED, SANITISED, ingest, parse
from midigen.lenient import count_onsets, find_headers, read_events, read_tracks
from midigen.salvage import salvage

Onsets = list[tuple[int, int, int]]
"""Note-ons as (tick, pitch, velocity), sorted."""

END = bytes.fromhex("00ff2f00")
C4 = bytes.fromhex("00903c40 60803c00")
E4 = bytes.fromhex("00904050 60804000")
G4 = bytes.fromhex("00914360 60814300")


def chunk(body: bytes, name: bytes = b"MTrk", length: int | None = None) -> bytes:
    return name + struct.pack(">I", len(body) if length is None else length) + body


def midi(*chunks: bytes, format: int = 1, count: int | None = None, division: int = 96) -> bytes:
    """Return a MIDI file of these chunks."""
    fields = format, len(chunks) if count is None else count, division
    return chunk(struct.pack(">HHH", *fields), b"MThd") + b"".join(chunks)


WHOLE = midi(chunk(C4 + E4 + END), chunk(G4 + END))


def onsets_of(data: bytes) -> Onsets:
    score = ingest(data).score
    notes = (note for track in score.tracks for note in track.notes)
    return sorted((note.time, note.pitch, note.velocity) for note in notes)


def mido_onsets(data: bytes) -> Onsets:
    onsets = []
    for track in mido.MidiFile(file=BytesIO(data), clip=True).tracks:
        tick = 0
        for message in track:
            tick += message.time
            if message.type == "note_on" and message.velocity:
                onsets.append((tick, message.note, message.velocity))
    return sorted(onsets)


ALL = [(0, 60, 64), (0, 67, 96), (96, 64, 80)]
FIRST = [(0, 60, 64)]


def test_whole_file_has_the_notes_that_the_damaged_ones_should_have() -> None:
    assert onsets_of(WHOLE) == mido_onsets(WHOLE) == ALL


DAMAGED = {
    "RMID": (b"RIFF\x64\0\0\0RMIDdata\x50\0\0\0" + WHOLE, ALL),
    "RMID with a LIST": (b"RIFF\0\0\0\0RMIDdata\0\0\0\0" + WHOLE + b"LIST\4\0\0\0INFO", ALL),
    "MacBinary": (b"\0\5Song1".ljust(128, b"\0") + WHOLE.ljust(256, b"\0"), ALL),
    "HTTP": (b"HTTP/1.0 200 OK\r\nServer: x\r\n\r\n" + WHOLE, ALL),
    "MThd in front": (b"MThd, they say" + WHOLE, ALL),
    "letter of MThd": (b"MT0d" + WHOLE[4:], ALL),
    "length of MThd": (WHOLE[:4] + b"\0\0\0\x16" + WHOLE[8:], ALL),
    "byte of MThd lost": (WHOLE[:11] + WHOLE[12:], ALL),
    "letter of MTrk": (midi(chunk(END), chunk(C4 + E4 + END), chunk(G4 + END, b"mTrk")), ALL),
    "track of length 0": (WHOLE[:18] + b"\0\0\0\0" + WHOLE[22:], ALL),
    "track too long": (WHOLE[:18] + b"\0\xff\0\0" + WHOLE[22:], ALL),
    "track too long by one": (WHOLE[:18] + b"\0\0\0\x15" + WHOLE[22:], ALL),
    "bytes between tracks": (WHOLE[:42] + b"\0\0\0" + WHOLE[42:], ALL),
    "chunk without a name": (
        midi(chunk(b"?", b"\1\2\3\4"), chunk(C4 + E4 + END), chunk(G4 + END), format=3),
        ALL,
    ),
    "second track cut": (WHOLE[:-7], ALL),
    "second track gone": (WHOLE[:-11], [(0, 60, 64), (96, 64, 80)]),
    "no note ends": (midi(chunk(bytes.fromhex("00903c40") + END)), FIRST),
    "undefined status": (midi(chunk(C4 + bytes.fromhex("00f4") + E4)), FIRST),
    "cut in an event": (midi(chunk(C4 + bytes.fromhex("00b040"))), FIRST),
    "cut in a text": (midi(chunk(C4 + b"\0\xff\1\x7fabc")), FIRST),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damage_is_mended(damage: str) -> None:
    data, onsets = DAMAGED[damage]
    assert ingest(data).rung == SALVAGED
    assert onsets_of(data) == onsets


@pytest.mark.parametrize(
    "data",
    [
        midi(chunk(bytes.fromhex("00903cff 60803c00") + END)),
        midi(chunk(bytes.fromhex("00b007c8") + C4 + END)),
        midi(chunk(C4 + END), format=3),
        midi(chunk(C4 + END), division=0),
        midi(chunk(C4 + END), division=0xE728),
        midi(chunk(C4 + END), chunk(bytes.fromhex("00c0ff") + E4 + END), division=0xF060),
    ],
)
def test_values_out_of_range_are_sanitised_as_mido_clips_them(data: bytes) -> None:
    assert ingest(data).rung == SANITISED
    assert onsets_of(data) == mido_onsets(data) != []


@pytest.mark.parametrize("count", [0, 1, 3, 900])
def test_number_of_tracks_is_what_there_are(count: int) -> None:
    data = midi(chunk(C4 + E4 + END), chunk(b"?", b"XFIH"), chunk(G4 + END), count=count)
    # One that is too small is taken at its word, as every parser does.
    assert onsets_of(data) == (ALL if count != 1 else mido_onsets(data))
    assert ingest(data).rung in ("", SANITISED)


@pytest.mark.parametrize("format", [0, 1, 2])
def test_formats_are_read_alike(format: int) -> None:
    data = midi(chunk(C4 + E4 + END), chunk(G4 + END), format=format)
    assert ingest(data).rung == ""
    assert onsets_of(data) == ALL


@pytest.mark.parametrize(
    ("division", "tpq", "seconds"),
    [
        (0xE728, 500, 0.096),  # 25 frames of 40 ticks: milliseconds
        (0xE829, 492, 96 / 984),  # 24 of 41
        (0xE729, 1025, 96 / 1025),  # 25 of 41: no half second in whole ticks
        (0xE350, 1200, 96 * 1001 / (1000 * 2400)),  # 29 is 29.97 of 80
        (0xE250, 1200, 96 / 2400),  # 30 of 80
        (0xE200, 480, 0.1),  # no ticks a frame
        (0xF060, 480, 0.1),  # no such rate
        (0, 480, 0.1),
        (1, 1, 48.0),
        (23, 23, 96 / 46),
        (0x7FFF, 0x7FFF, 96 / 65534),
    ],
)
def test_ticks_last_as_long_as_the_division_says(division: int, tpq: int, seconds: float) -> None:
    tempo = bytes.fromhex("00ff5103 0f4240") if division > 0x7FFF and tpq != 480 else b""
    score = ingest(midi(chunk(tempo + C4 + END), division=division)).score
    assert score.ticks_per_quarter == tpq
    ((note,),) = (track.notes for track in score.to("second").tracks)
    assert note.duration == pytest.approx(seconds, rel=1e-6)


def test_note_that_nothing_ends_lasts_a_quarter_or_until_its_key_is_struck_again() -> None:
    body = bytes.fromhex("00993c40 30993c40 00994040 8300993c40 60ff7f00")
    score = ingest(midi(chunk(body + END))).score
    (track,) = score.tracks
    assert track.is_drum
    assert [(n.time, n.duration, n.pitch) for n in track.notes] == [
        (0, 48, 60), (48, 96, 60), (48, 96, 64), (432, 96, 60),
    ]  # fmt: skip


def test_strict_parse_leaves_out_notes_that_nothing_ends() -> None:
    data = midi(chunk(C4 + END), chunk(bytes.fromhex("00903c40") + END))
    assert ingest(data).rung == ""
    assert onsets_of(data) == FIRST and count_onsets(data) == 2


def test_data_bytes_are_clipped_only_where_the_track_makes_sense_all_the_same() -> None:
    odd = bytes.fromhex("0090bc40 60803c00")
    assert onsets_of(midi(chunk(C4 + odd + END), format=5)) == [(0, 60, 64), (96, 127, 64)]
    cut = midi(chunk(C4 + odd + E4[:-1]), format=5)
    assert onsets_of(cut) == FIRST


def test_file_sent_as_text_is_read_as_it_was() -> None:
    body = C4 + bytes.fromhex("00b00a0a 00904050 0a804000") + END
    sent = midi(chunk(body), chunk(G4 + END)).replace(b"\n", b"\r\n")
    assert ingest(sent).rung == SALVAGED
    assert onsets_of(sent) == ALL


def test_words_with_line_ends_are_no_sign_of_a_transfer_as_text() -> None:
    lyric = b"\0\xff\5\2\r\n"
    cut = midi(chunk(lyric + C4 + E4 + END), chunk(G4 + END))[:-2]
    assert onsets_of(cut) == ALL


def test_metas_that_no_parser_should_see_are_left_out() -> None:
    metas = [b"\x51\2\7\xa1", b"\x51\3\0\0\0", b"\x58\4\0\2\x18\x08", b"\x58\4\4\x40\x18\x08",
             b"\x59\2\x80\0", b"\x59\2\0\x10", b"\x58\1\4"]  # fmt: skip
    body = b"".join(b"\0\xff" + meta for meta in metas)
    good = bytes.fromhex("00ff5103061a80 00ff580403021808 00ff5902fd01")
    score = ingest(midi(chunk(body + good + C4 + END), format=9)).score
    assert [tempo.mspq for tempo in score.tempos] == [400_000]
    assert [(s.numerator, s.denominator) for s in score.time_signatures] == [(3, 4)]
    assert [(key.key, key.tonality) for key in score.key_signatures] == [(-3, 1)]


def test_controllers_names_and_programs_survive() -> None:
    body = bytes.fromhex("00c029 00b0407f 00e00060 00ff0305") + b"Viola" + C4
    (track,) = ingest(midi(chunk(body))[:-1]).score.tracks
    assert (track.name, track.program, track.is_drum) == ("Viola", 41, False)
    assert [(c.number, c.value) for c in track.controls] == [(64, 127)]
    assert [bend.value for bend in track.pitch_bends] == [(0x60 - 0x40) << 7]


def test_delta_of_more_than_four_bytes_is_no_time() -> None:
    body = b"\xff" * 9 + b"\x7f" + C4[1:] + E4 + END
    assert onsets_of(midi(chunk(body), division=0)) == ALL[:1] + ALL[2:]


def test_deltas_that_exceed_what_can_be_counted_end_the_track() -> None:
    far = b"\xff\xff\xff\x7f\xff\1\0" * 9
    track = read_events(C4 + far + E4, exact=True)
    assert track.fault == "more than 2**31 ticks"
    assert max(event.tick for event in track.events) < 2**31
    assert onsets_of(midi(chunk(C4 + far + E4), format=5)) == FIRST


def test_system_messages_are_skipped() -> None:
    odd = bytes.fromhex("00f0037e7ff7 00f70101 00f8 00f102 00f6")
    running = bytes.fromhex("00903c40 00f8 603c00")
    assert onsets_of(midi(chunk(odd + running + END), division=0)) == FIRST


def test_header_within_a_file_begins_another() -> None:
    both = midi(chunk(C4 + END), format=9) + midi(chunk(E4 + END))
    assert onsets_of(both) == FIRST
    assert len(list(find_headers(both))) == 2
    empty = midi(chunk(END), format=9) + midi(chunk(E4 + END))
    assert onsets_of(empty) == [(0, 64, 80)]


def test_more_tracks_than_a_header_can_count_are_refused() -> None:
    many = midi(*[chunk(b"")] * 70_000, chunk(C4 + END), format=9, count=0)
    with pytest.raises(Reject, match="too_many_tracks: 70,001"):
        ingest(many)


def test_too_many_events_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("midigen.lenient.MAX_EVENTS", 10)
    for tracks in ([C4 * 6], [C4 * 3] * 2):
        with pytest.raises(Reject, match="too_big: more than 10 events"):
            ingest(midi(*map(chunk, tracks), format=9))


@pytest.mark.parametrize(
    "data",
    [
        b"MThd" * 100_000,
        WHOLE[:14] + b"MTrk" * 100_000,
        WHOLE[:14] + b"MTrk\0\0\0\0" * 50_000,
        WHOLE[:14] + b"".join(b"MTrk" + (800_000 - 8 * n).to_bytes(4) for n in range(100_000)),
        WHOLE[:14] + b"MTrk\xff\xff\xff\xff" + b"\xff" * 400_000,
        WHOLE[:14] + b".Trk\0\0\0\1" * 40_000,
        (b"MThd\0\0\0\6" + bytes(6)) * 30_000,
    ],
)
def test_time_grows_with_the_size_and_no_faster(data: bytes) -> None:
    began = time.process_time()
    with pytest.raises(Reject):
        ingest(data)
    # Were it to grow with the square of the size, it would be minutes.
    assert time.process_time() - began < 10


def whole_files(tunes: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(tunes.glob("*.mid"))]


def test_undamaged_files_come_out_with_the_same_score(tunes: Path) -> None:
    for data in whole_files(tunes):
        saved = salvage(data)
        assert saved.whole
        assert parse(saved.midi) == parse(data)


def test_damaged_files_keep_the_notes_that_mido_reads() -> None:
    compared = 0
    for seed in range(1500):
        rng = random.Random(seed)
        data = bytearray(midi(chunk(C4 * 9 + END), chunk(G4 + E4 * 5 + END)))
        for _ in range(rng.choice([1, 2, 3])):
            flip(rng, data)
        try:
            expected = mido_onsets(bytes(data))
        except Exception:  # mido raises whatever its parser runs into
            continue
        tracks = list(read_tracks(bytes(data), 14))
        # What stands behind the end of a track, or in tracks that are not counted, is not compared.
        whole = len(tracks) == int.from_bytes(data[10:12]) and all(t.ended for t in tracks)
        if expected and whole and not any(track.fault for track in tracks):
            assert onsets_of(salvage(bytes(data)).midi) == expected, seed
            compared += 1
    assert compared > 300

"""The reader of MIDI files into arrays, against mido."""

import io
from pathlib import Path

import mido
import numpy as np
import pytest
from events_plain import random_midi
from hypothesis import given, settings
from hypothesis import strategies as st

from midigen.reasons import REASONS
from midigen.smf import META, TEMPO, Events, read_many

ON_OFF = "00 90 3c 40 60 80 3c 00"
END = "00 ff 2f 00"


def chunk(kind: bytes, body: bytes) -> bytes:
    return kind + len(body).to_bytes(4) + body


def midi(*tracks: bytes | str, division: int = 96, count: int | None = None) -> bytes:
    """Return a file of tracks, given as bytes or hexadecimal digits."""
    bodies = [bytes.fromhex(track) if isinstance(track, str) else track for track in tracks]
    count = len(tracks) if count is None else count
    header = (1).to_bytes(2) + count.to_bytes(2) + division.to_bytes(2)
    return chunk(b"MThd", header) + b"".join(chunk(b"MTrk", body) for body in bodies)


def shown(events: Events, file: int = 0) -> list[list[tuple[int, ...]]]:
    """Return (tick, status, data) of the events of every track of a file."""
    tracks: list[list[tuple[int, ...]]] = []
    for c in np.flatnonzero(events.file == file).tolist():
        columns = (events.tick, events.status, events.data1, events.data2)
        rows = zip(*(column[events.chunk == c].tolist() for column in columns), strict=True)
        tracks.append([row[: 2 + size(row[1])] for row in rows])
    return tracks


def size(status: int) -> int:
    """Return how many data bytes of a status are compared: of a meta event its kind."""
    return 0 if status in (0xF0, 0xF7) else 1 if 0xC0 <= status < 0xE0 or status == META else 2


def said_by_mido(data: bytes) -> list[list[tuple[int, ...]]]:
    tracks = []
    for track in mido.MidiFile(file=io.BytesIO(data)).tracks:
        tick, rows = 0, []
        for message in track:
            tick += message.time
            body = tuple(message.bytes())
            rows.append((tick, *body[: 1 + size(body[0])]))
        tracks.append(rows)
    return tracks


def reject(data: bytes) -> str:
    return str(read_many([data]).rejects.get(0, ""))


def test_events_are_those_of_mido(tunes: Path) -> None:
    files = [path.read_bytes() for path in sorted(tunes.iterdir())]
    events = read_many(files)
    assert not events.rejects
    for number, data in enumerate(files):
        assert shown(events, number) == said_by_mido(data)


def test_events_of_the_corpus_are_those_of_mido(shared: Path) -> None:
    paths = sorted((shared / "corpus").rglob("*.mid"))[::150]
    files = [path.read_bytes() for path in paths]
    events = read_many(files)
    for number, (path, data) in enumerate(zip(paths, files, strict=True)):
        try:
            expected = said_by_mido(data)
        except mido.KeySignatureError:
            continue
        assert shown(events, number) == expected, path


@pytest.mark.parametrize("seed", range(8))
def test_running_status_and_messages_of_all_kinds_are_read(seed: int) -> None:
    files = [random_midi(np.random.default_rng([seed, k]), 400) for k in range(5)]
    events = read_many(files)
    for number, data in enumerate(files):
        assert shown(events, number) == said_by_mido(data)


def test_a_short_message_may_run_on() -> None:
    events = read_many([midi(ON_OFF + "00 c0 05 10 06 00 90 3c 40 10 3e 41" + END)])
    assert shown(events)[0][2:] == [
        (96, 0xC0, 5),
        (112, 0xC0, 6),
        (112, 0x90, 60, 64),
        (128, 0x90, 62, 65),
        (128, META, 0x2F),
    ]


def test_a_meta_event_or_system_message_does_not_end_a_running_status() -> None:
    data = midi("00 90 3c 40 00 ff 01 01 20 10 3c 00 00 f0 02 43 f7 00 3e 41" + END)
    assert [row for row in shown(read_many([data]))[0] if row[1] == 0x90] == [
        (0, 0x90, 60, 64),
        (16, 0x90, 60, 0),
        (16, 0x90, 62, 65),
    ]


def test_a_long_track_is_read_in_one_piece() -> None:
    notes = bytes.fromhex("00 90 3c 40 83 60 3c 00") * 20_000
    text = bytes.fromhex("00 ff 01 84 80 00") + b"\x90" * 0x10000
    events = read_many([midi(notes + text + notes + bytes.fromhex(END)), midi(ON_OFF + END)])
    assert len(shown(events)[0]) == 80_002
    assert shown(events)[0][-1] == (40_000 * 480, META, 0x2F)
    assert len(shown(events, 1)[0]) == 3


def test_bytes_of_meta_events_are_found() -> None:
    events = read_many([midi("00 ff 51 03 07 a1 20 00 ff 51 02 07 a1 00 ff 51 03 01 02 03" + END)])
    places, held = events.meta(TEMPO, 3)
    assert places.tolist() == [0, 2]
    assert held.tolist() == [[7, 0xA1, 0x20], [1, 2, 3]]


@pytest.mark.parametrize(
    "data",
    [
        midi(ON_OFF + END, count=3),
        midi(ON_OFF + END) + b"behind the end",
        midi(ON_OFF),
        midi(ON_OFF + END + "00 90"),
        midi(ON_OFF + "00 a0 c8 c8 00 d0 c8" + END),
        midi(ON_OFF + END)[:14] + chunk(b"XFIH", b"abc") + midi(ON_OFF + END)[14:],
    ],
    ids=[
        "fewer tracks",
        "bytes behind",
        "no end",
        "bytes behind the end",
        "pressure",
        "other chunk",
    ],
)
def test_what_does_no_harm_is_read(data: bytes) -> None:
    events = read_many([data])
    assert not events.rejects
    assert shown(events)[0][:2] == [(0, 0x90, 60, 64), (96, 0x80, 60, 0)]


def test_tracks_beyond_the_count_of_the_header_are_not_read() -> None:
    assert len(shown(read_many([midi(ON_OFF, ON_OFF, count=1)]))) == 1


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty: no bytes"),
        (b"RIFF....", "not_midi: begins with b'RIFF'"),
        (b"MThd\0\0", "broken: 6 bytes"),
        (midi(division=0xE728), "broken: time division e728"),
        (midi(division=0), "broken: time division 0000"),
        (midi(ON_OFF + END)[:-3], "broken: 3 bytes of chunk b'MTrk' are missing"),
        (midi("00 90 3c"), "broken: track 0: an event that goes on beyond the end"),
        (midi(END, "00 ff 01 40 41"), "broken: track 1: an event that goes on beyond the end"),
        (midi("00 3c 40" + END), "broken: track 0: a data byte where a status must be"),
        (midi(ON_OFF, "00 3c 40" + END), "broken: track 1: a data byte where a status must be"),
        (midi("00 f4" + END), "broken: track 0: an undefined status"),
        (midi("00 90 bc 40" + END), "broken: track 0: a data byte above 127"),
        (midi("00 90 3c c0" + END), "broken: track 0: a data byte above 127"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, said: str) -> None:
    assert reject(data).startswith(said)
    assert reject(data).partition(":")[0] in REASONS


def test_a_delta_time_of_five_bytes_is_refused() -> None:
    assert reject(midi("81 81 81 81 00 90 3c 40" + END)).startswith("broken: track 0")


def test_a_broken_file_leaves_its_neighbours_alone() -> None:
    good = midi(ON_OFF + END)
    events = read_many([good, b"", midi("00 90 3c"), good])
    assert sorted(events.rejects) == [1, 2]
    assert shown(events, 0) == shown(events, 3) == said_by_mido(good)
    assert events.tpq.tolist()[::3] == [96, 96]
    assert not (events.file[events.chunk] == 2).any()


def test_no_files_are_no_events() -> None:
    assert len(read_many([]).tick) == 0


@settings(max_examples=150, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=4), st.integers(0, 3))
def test_any_bytes_are_events_or_a_reject(bodies: list[bytes], more: int) -> None:
    data = midi(*bodies, count=len(bodies) + more)
    events = read_many([data, midi(ON_OFF + END)])
    assert shown(events, 1) == [[(0, 0x90, 60, 64), (96, 0x80, 60, 0), (96, META, 0x2F)]]
    if 0 in events.rejects:
        assert events.rejects[0].reason == "broken"
    else:
        assert (np.diff(events.tick[events.chunk == 0]) >= 0).all()


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 99), st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=4)
)
def test_a_file_with_other_bytes_is_events_or_a_reject(
    seed: int, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(random_midi(np.random.default_rng(seed)))
    for place, byte in changes:
        data[place % len(data)] = byte
    events = read_many([bytes(data)])
    if events.rejects:
        assert events.rejects[0].reason in REASONS
        assert len(events.tick) == 0
    else:
        assert (events.status >= 0x80).all()

"""Streaming and playing: bars as they are written, notes when they are due."""

import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Runner
from hand_records import lines_of
from test_filling import song, vocab_with
from tiny_model import save_tiny

from midigen.channels import DRUM_CHANNEL, Lasting, Part
from midigen.playing import Desk, Player, length_s
from midigen.tokenizers import tokenizer_of

ENV = {"OMP_NUM_THREADS": "1"}
PORT = """
from pathlib import Path


class Output:
    def __init__(self, name=None, **options):
        self.name, self.closed = name, False

    def send(self, message):
        with Path("played.txt").open("a") as file:
            file.write(f"{message}\\\\n")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.closed = True


def get_devices(**options):
    return [{"name": "Paper", "is_input": False, "is_output": True}]
"""


class Time:
    """A clock that goes on when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def clock(self) -> float:
        self.now += 1e-6
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def score_of(bars: int) -> Any:
    record = song(bars, (0, -1))
    return tokenizer_of(record["tok"]).decode([record["ids"]]).value


def test_notes_are_sent_when_they_are_due_and_pieces_follow_each_other() -> None:
    time_, sent = Time(), []
    player = Player(lambda data: sent.append((time_.now, data)), time_.clock, time_.sleep)
    scores = [(score_of(2), 2), (score_of(3), 3)]
    player.play(scores)
    expected, start, desk = [], 0.0, Desk()
    for score, bars in scores:
        expected += [(start + at, data) for at, _, data in desk.messages(score)]
        start += length_s(score, bars)
    begun = sent[0][0] - expected[0][0]
    assert sorted(data for _, data in sent) == sorted(data for _, data in expected)
    for (at, data), (due, wanted) in zip(
        sorted(sent, key=lambda item: (round(item[0], 2), item[1])),
        sorted(expected, key=lambda item: (round(item[0] + begun, 2), item[1])),
        strict=True,
    ):
        assert data == wanted and 0 <= at - begun - due + 1e-4 < 0.001
    assert not player.timing.waits and max(player.timing.late) < 0.001


def test_messages_are_the_channel_events_in_seconds() -> None:
    score = score_of(2)
    found = Desk().messages(score)
    ons = [at for at, _, data in found if data[0] & 0xF0 == 0x90]
    seconds = score.to("second")
    starts = sorted(note.time for track in seconds.tracks for note in track.notes)
    assert ons == pytest.approx(starts, abs=1e-6)


def test_programs_keep_their_channels_from_piece_to_piece() -> None:
    desk, found = Desk(), []
    for programs in ((0, 33, -1), (33,), (33, 0)):
        record = song(1, programs)
        score = tokenizer_of(record["tok"]).decode([record["ids"]]).value
        found.append([data for _, _, data in desk.messages(score)])
    changes = [[data for data in piece if data[0] & 0xF0 == 0xC0] for piece in found]
    assert [len(piece) for piece in changes] == [3, 0, 0]
    channel = {data[1]: data[0] & 0x0F for data in changes[0] if data[0] & 0x0F != DRUM_CHANNEL}
    assert channel.keys() == {0, 33}
    played = {data[0] & 0x0F for data in found[1] if data[0] & 0xF0 == 0x90}
    assert played == {channel[33]}


def test_the_program_unused_for_longest_loses_its_channel() -> None:
    lasting = Lasting()
    own = {program: lasting(Part(program, [])).turns[0][1] for program in range(15)}
    assert len(set(own.values())) == 15 and DRUM_CHANNEL not in own.values()
    lasting(Part(0, []))
    assert lasting(Part(99, [])).turns[0][1] == own[1]
    assert lasting(Part(0, [])).turns[0][1] == own[0]


def test_a_late_piece_is_waited_for() -> None:
    sent: list[float] = []

    def slow() -> Any:
        yield score_of(1), 0
        time.sleep(3.5)
        yield score_of(1), 0

    player = Player(lambda data: sent.append(time.monotonic()))
    player.play(slow())
    assert len(player.timing.waits) == 1 and 0 < player.timing.waits[0] < 3.5
    assert max(player.timing.late) < 0.5


def test_an_error_of_the_stream_comes_after_what_was_read() -> None:
    def broken() -> Any:
        yield score_of(1), 1
        raise ValueError("cut off")

    time_, sent = Time(), []
    player = Player(sent.append, time_.clock, time_.sleep)
    with pytest.raises(ValueError, match="cut off"):
        player.play(broken())


def test_bars_are_those_of_the_whole_sample(run: Runner) -> None:
    save_tiny(run.folder / "m", vocab_with())
    options = ("--seed", "4", "--bars", "6", "--batch", "1")
    whole = json.loads(run("toksample", "-m", "m", *options, env=ENV).out)
    streamed = run("toksample", "-m", "m", *options, "--stream", env=ENV).out
    bars = [json.loads(line) for line in streamed.splitlines()]
    tokenizer = tokenizer_of(whole["tok"])
    assert [bar["gen"]["bar"] for bar in bars] == [1, 2, 3, 4, 5, 6]
    starts = [*tokenizer.bar_starts(np.array(whole["ids"])).tolist(), len(whole["ids"])]
    types = tokenizer.vocab.types
    for bar, (begin, end) in zip(bars, pairwise(starts), strict=True):
        own = whole["ids"][begin:end]
        # What is in force is written in; nothing else is.
        rest = [id for id in bar["ids"] if types[id] not in ("Tempo", "Position")]
        assert rest == [id for id in own if types[id] not in ("Tempo", "Position")]
        assert not tokenizer.decode([bar["ids"]]).repairs


def test_a_closed_pipe_stops_an_endless_stream(run: Runner) -> None:
    save_tiny(run.folder / "m", vocab_with())
    script = "set +o pipefail; toksample -m m --stream | head -n 3"
    done = run.shell(script, env=ENV, timeout=60)
    assert len(done.out.splitlines()) == 3 and not done.err.strip()


def test_stream_is_refused_where_bars_do_not_begin_with_a_token(run: Runner) -> None:
    save_tiny(run.folder / "m", vocab_with("barnote"))
    assert "no --stream" in run("toksample", "-m", "m", "--stream", code=1).err


def test_play_sends_to_a_port(run: Runner, tmp_path: Path) -> None:
    (run.folder / "paper.py").write_text(PORT.replace("\\\\n", "\\n"))
    env = {"MIDO_BACKEND": "paper", "PYTHONPATH": str(run.folder)}
    (run.folder / "in.jsonl").write_bytes(lines_of([song(1, (0,))]))
    done = run("tok2midi", "--play", "default", "in.jsonl", env=env)
    played = (run.folder / "played.txt").read_text()
    assert played.count("note_on") == 3 and played.count("control_change") == 16
    assert "late on average" in done.err
    refused = run("tok2midi", "--play", "Organ", "in.jsonl", env=env, code=1)
    assert "no MIDI port 'Organ'; there are: Paper" in refused.err
    assert run("tok2midi", "--play", "Paper", "-o", "x.mid", "in.jsonl", env=env, code=2).err

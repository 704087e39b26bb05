"""A sample says what made it, in its record and in its MIDI file, and is made again from that."""

import json
from pathlib import Path
from typing import Any

import mido
import pytest
from conftest import Runner
from hand_records import lines_of
from test_filling import song, vocab_with
from tiny_model import save_tiny

from midigen.provenance import find_gen, to_text

ENV = {"OMP_NUM_THREADS": "1"}
WAYS: list[tuple[str, ...]] = [
    ("--bars", "2", "--seed", "4"),
    ("--bars", "2", "-n", "5", "--batch", "2", "--genre", "jazz", "--guidance", "1.5"),
    ("--tokens", "80", "-T", "1.3", "--top-k", "40", "--min-p", "0.02", "--no-grammar"),
    ("--seconds", "4", "--key", "G", "--tempo", "90", "--program", "piano", "--pitch-range", "C3:"),
    ("--infill", "2:3", "-n", "2", "in.jsonl"),
    ("--keep-tracks", "--only-new", "in.jsonl"),
    ("--continue", "--prompt-bars", "2", "--bars", "1", "in.jsonl"),
]


@pytest.mark.parametrize("options", WAYS, ids=lambda options: options[0])
def test_the_same_bytes_once_more(run: Runner, options: tuple[str, ...]) -> None:
    save_tiny(run.folder / "m", vocab_with())
    (run.folder / "in.jsonl").write_bytes(lines_of([song(4, (0, 40)), song(5, (0, 40))]))
    made = run("toksample", "-m", "m", *options, env=ENV).out.splitlines(keepends=True)
    (run.folder / "last.jsonl").write_bytes(made[-1])
    midi = run("tok2midi", "last.jsonl").out
    (run.folder / "last.mid").write_bytes(midi)
    prompts = [option for option in options if option == "in.jsonl"]
    again = run("toksample", "--again", "last.mid", *prompts, env=ENV).out
    assert again == made[-1]
    assert run("tok2midi", stdin=again).out == midi
    assert run("toksample", "--again", "last.jsonl", *prompts, env=ENV).out == made[-1]


def test_gen_is_a_text_event_that_midi2tok_reads(run: Runner) -> None:
    save_tiny(run.folder / "m", vocab_with())
    made = run("toksample", "-m", "m", "--bars", "1", "--seed", "4", env=ENV).out
    midi = run("tok2midi", stdin=made).out
    (run.folder / "a.mid").write_bytes(midi)
    texts = [m.text for m in mido.MidiFile(run.folder / "a.mid").tracks[0] if m.type == "text"]
    gen = json.loads(made)["gen"]
    assert texts == [to_text(gen)] and json.loads(texts[0]) == {"midigen": gen}
    assert json.loads(run("midi2tok", "a.mid").out)["gen"] == gen
    assert find_gen(midi) == gen


@pytest.mark.parametrize("size", [1, 100, 127, 128, 20_000])
def test_events_of_any_length_are_found(size: int) -> None:
    gen: dict[str, Any] = {"model": "x" * size}
    text = to_text(gen).encode()
    digits = [len(text) & 0x7F]
    value = len(text) >> 7
    while value:
        digits.insert(0, value & 0x7F | 0x80)
        value >>= 7
    event = b"\x00\xff\x01" + bytes(digits) + text
    assert find_gen(b"MThd....MTrk" + event + b"\x00\xff\x2f\x00") == gen


def test_what_is_no_such_event_is_passed_over() -> None:
    text = to_text({"a": 1}).encode()
    for data in (b"", text, b"\xff\x03" + bytes([len(text)]) + text, b"\xff\x01\x05" + text):
        assert find_gen(data) is None
    assert find_gen(b"\xff\x01" + bytes([len(text)]) + text[:-1]) is None


@pytest.mark.parametrize(
    "text",
    [
        b'{"midigen":{"a":"\\ud800"}}',
        b'{"midigen":{"a":NaN}}',
        b'{"midigen":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"midigen":[1]}',
        b'{"midigen":{"a":' + b"9" * 400 + b"}}",
    ],
)
def test_a_strangers_text_does_no_harm(run: Runner, tunes: Path, text: bytes) -> None:
    data = next(tunes.glob("*.mid")).read_bytes()
    at = data.index(b"MTrk")
    size = int.from_bytes(data[at + 4 : at + 8])
    length = bytes((len(text) >> 7 | 0x80, len(text) & 0x7F))
    event = b"\x00\xff\x01" + length + text
    track = (size + len(event)).to_bytes(4) + event
    (run.folder / "a.mid").write_bytes(data[: at + 4] + track + data[at + 8 :])
    assert len(run("midi2tok", "a.mid").out.splitlines()) == 1


def test_the_copy_of_a_piece_that_went_on_is_told_from_the_piece(run: Runner) -> None:
    save_tiny(run.folder / "m", vocab_with())
    piece = song(3, (0, 40))
    (run.folder / "in.jsonl").write_bytes(lines_of([piece, piece | {"aug": {"shift": 1}}]))
    options = ("--continue", "--bars", "1", "--seed", "3", "in.jsonl")
    made = run("toksample", "-m", "m", *options, env=ENV).out.splitlines(keepends=True)
    (run.folder / "b.jsonl").write_bytes(made[1])
    assert run("toksample", "--again", "b.jsonl", "in.jsonl", env=ENV).out == made[1]


def test_all_parts_of_a_piece_are_made_again(run: Runner) -> None:
    save_tiny(run.folder / "m", vocab_with("remi:programs=0"))
    (run.folder / "in.mid").write_bytes(run("tok2midi", stdin=lines_of([song(3, (0, 40))])).out)
    parts = run("midi2tok", "--tokenizer", "remi:programs=0", "in.mid").out
    assert len(parts.splitlines()) == 2
    options = ("--continue", "--bars", "1", "--seed", "3")
    made = run("toksample", "-m", "m", *options, stdin=parts, env=ENV).out
    midi = run("tok2midi", stdin=made).out
    (run.folder / "out.mid").write_bytes(midi)
    again = run("toksample", "--again", "out.mid", stdin=parts, env=ENV).out
    assert again == made and run("tok2midi", stdin=again).out == midi


@pytest.mark.parametrize(
    ("place", "key", "value"),
    [
        ("run", "threads", 10**9),
        ("run", "batch", 10**9),
        ("run", "number", "x"),
        ("settings", "temperature", -1.0),
        ("settings", "top_k", None),
        ("", "model", 5),
        ("", "asked", {"genre": ["polka"]}),
    ],
)
def test_what_nobody_wrote_is_refused(run: Runner, place: str, key: str, value: Any) -> None:
    save_tiny(run.folder / "m", vocab_with())
    record = json.loads(run("toksample", "-m", "m", "--bars", "1", env=ENV).out)
    (record["gen"][place] if place else record["gen"])[key] = value
    (run.folder / "a.jsonl").write_text(json.dumps(record) + "\n")
    err = run("toksample", "--again", "a.jsonl", code=1, env=ENV).err
    assert "internal error" not in err and ("says too little" in err or "knows no genre" in err)


def test_what_cannot_be_made_again_says_why(run: Runner, tunes: Path) -> None:
    song_ = next(tunes.glob("*.mid"))
    assert "does not say what made it" in run("toksample", "--again", song_, code=1).err
    (run.folder / "x.txt").write_text("no music")
    assert "neither a MIDI file" in run("toksample", "--again", "x.txt", code=1).err
    save_tiny(run.folder / "m", vocab_with())
    made = run("toksample", "-m", "m", "--bars", "1", env=ENV).out
    (run.folder / "a.jsonl").write_bytes(made)
    save_tiny(run.folder / "other", vocab_with(), seed=1)
    refused = run("toksample", "--again", "a.jsonl", "-m", "other", code=1)
    assert "has other weights" in refused.err
    refused = run("toksample", "--again", "a.jsonl", "-T", "1", "--bars", "2", code=2)
    assert "not with --bars, --temperature" in refused.err
    gen = json.loads(made)["gen"]
    del gen["run"]
    (run.folder / "old.jsonl").write_bytes(
        json.dumps(json.loads(made) | {"gen": gen}).encode() + b"\n"
    )
    assert "says too little" in run("toksample", "--again", "old.jsonl", code=1).err

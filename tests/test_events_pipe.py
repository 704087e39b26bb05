"""`events` through the installed commands, from files to files."""

import json
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
from conftest import Runner
from events_plain import encode
from midigen_events import Events
from symusic import Score

EVENTS = Events()
TOKENS = EVENTS.vocab.tokens
TINY = "--steps 4 --preset tiny --batch 512 --eval-tokens 512 --device cpu"


def records_of(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.splitlines()]


def rows(record: dict[str, Any]) -> np.ndarray:
    return np.array(record["ids"]).reshape(-1, 8)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, bin_dir: Path, tunes: Path) -> Path:
    """A folder with the records of the tunes, and a model that read their copies."""
    run = Runner(tmp_path_factory.mktemp("events"), bin_dir)
    run.shell(
        f"midi2tok --tokenizer events {tunes} > tunes.jsonl"
        f" && tokaug --shift 2 tunes.jsonl | toktrain {TINY} -o m"
    )
    return run.folder


def test_records_hold_the_events_of_the_files(run: Runner, tunes: Path) -> None:
    done = run("midi2tok", "--tokenizer", "events", tunes)
    paths = sorted(tunes.glob("*.mid"))
    for record, path in zip(records_of(done.out), paths, strict=True):
        assert record["tok"] == f"events#{EVENTS.vocab.fingerprint}"
        assert rows(record).tolist() == encode(path.read_bytes(), optimise=True)
        assert record["n"]["notes"] == (rows(record)[:, 0] == 3).sum()


def test_channels_controllers_and_tracks_are_those_of_the_file(run: Runner) -> None:
    track = mido.MidiTrack()
    track.append(mido.Message("control_change", channel=5, control=11, value=77))
    track.append(mido.Message("note_on", channel=5, note=60, velocity=9))
    track.append(mido.Message("note_off", channel=5, note=60, time=480))
    file = mido.MidiFile()
    file.tracks += [mido.MidiTrack(), mido.MidiTrack(), track]
    file.save(run.folder / "a.mid")
    done = run("midi2tok", "--tokenizer", "events:optimise=0", "a.mid")
    (record,) = records_of(done.out)
    assert record["tok"].startswith("events:optimise=0#")
    words = [[TOKENS[id] for id in row] for row in rows(record)]
    assert words[0][3:7] == ["Track_2", "Channel_5", "Controller_11", "Value_77"]
    assert words[1][3:6] == ["Track_2", "Channel_5", "Pitch_60"]
    assert run("tok2midi", stdin=done.out).out.startswith(b"MThd")


def test_broken_files_are_listed_and_the_others_pass(run: Runner, tunes: Path) -> None:
    good = (tunes / "sakura.mid").read_bytes()
    (run.folder / "good.mid").write_bytes(good)
    (run.folder / "bad.mid").write_bytes(b"MThd no more")
    (run.folder / "cut.mid").write_bytes(good[: len(good) // 2])
    args = ("midi2tok", "--tokenizer", "events", "good.mid", "bad.mid", "cut.mid")
    done = run(*args, "--rejects", "rejects.jsonl")
    found = records_of(done.out)
    assert found[0]["src"] == "good.mid"
    rejected = records_of((run.folder / "rejects.jsonl").read_bytes())
    assert {r["src"] for r in rejected} | {r["src"] for r in found} == {
        "good.mid",
        "bad.mid",
        "cut.mid",
    }


def test_copies_move_notes_and_keys_but_no_drums(run: Runner) -> None:
    tracks = [mido.MidiTrack(), mido.MidiTrack()]
    for pitch in (62, 64, 66, 67, 69, 71, 73):
        tracks[0].append(mido.Message("note_on", note=pitch, velocity=100))
        tracks[0].append(mido.Message("note_off", note=pitch, time=480))
    tracks[1].append(mido.Message("note_on", channel=9, note=36, velocity=100))
    tracks[1].append(mido.Message("note_off", channel=9, note=36, time=480))
    file = mido.MidiFile()
    file.tracks += tracks
    file.save(run.folder / "a.mid")
    line = "midi2tok --tokenizer events a.mid | tokaug --shift 3 --velocity 5 --copies all"
    original, *copies = records_of(run.shell(line).out)
    assert len(copies) == 6 * 10
    before = rows(original)
    is_note, is_drum = before[:, 0] == 3, before[:, 4] == EVENTS.vocab.index["Channel_9"]
    sharps = {-3: 5, -2: 0, -1: -5, 1: -3, 2: 4, 3: -1}
    assert sorted(TOKENS[id] for id in before[before[:, 0] == 8, 4]) == ["Sf_0", "Sf_2"]
    for copy in copies:
        after = rows(copy)
        moved = (after - before)[is_note]
        assert (moved[:, 5] == np.where(is_drum[is_note], 0, copy["aug"]["shift"])).all()
        assert (moved[:, 6] == copy["aug"]["velocity"]).all()
        assert (np.delete(moved, [5, 6], axis=1) == 0).all()
        keys = [TOKENS[id] for id in after[before[:, 0] == 8, 4]]
        assert keys == [f"Sf_{sharps[copy['aug']['shift']]}", "Sf_0"]
        assert EVENTS.decode([copy["ids"]]).repairs == {}


@pytest.mark.parametrize(
    ("option", "passed"),
    [
        ("--drums", {"drums", "both"}),
        ("--no-drums", {"melody"}),
        ("--program violin", {"both"}),
        ("--program drums", {"drums", "both"}),
        ("--program 0", {"melody"}),
        ("--time-signature 3/4", {"melody"}),
        ("--time-signature 3/4 --time-signature 6/8", {"melody", "both"}),
    ],
)
def test_filters_know_programs_drums_and_signatures(
    run: Runner, option: str, passed: set[str]
) -> None:
    pieces = {"melody": ([0], (3, 4)), "drums": ([9], (4, 4)), "both": ([2, 9], (6, 8))}
    for name, (channels, (above, below)) in pieces.items():
        track = mido.MidiTrack()
        track.append(mido.MetaMessage("time_signature", numerator=above, denominator=below))
        track.append(mido.Message("program_change", channel=2, program=40))
        track.append(mido.Message("program_change", channel=9, program=48))
        for channel in channels:
            track.append(mido.Message("note_on", channel=channel, note=60, velocity=9))
            track.append(mido.Message("note_off", channel=channel, note=60, time=480))
        file = mido.MidiFile()
        file.tracks.append(track)
        file.save(run.folder / f"{name}.mid")
    done = run.shell(f"midi2tok --tokenizer events *.mid | tokfilter {option}")
    assert {record["src"].removesuffix(".mid") for record in records_of(done.out)} == passed


def test_pieces_survive_the_way_there_and_back(run: Runner, tunes: Path) -> None:
    done = run.shell(
        f"midi2tok --tokenizer events {tunes} | tee a | tok2midi -o 'out/{{src}}.mid' 2>&1"
        " && midi2tok --tokenizer events out > b"
    )
    assert b"repaired" not in done.out
    for first, second in zip(
        *(records_of((run.folder / name).read_bytes()) for name in "ab"), strict=True
    ):
        assert first["group"] == second["group"]
        assert first["n"]["notes"] == second["n"]["notes"]


def test_samples_have_the_tokens_that_are_asked_for(run: Runner, trained: Path) -> None:
    made = run("toksample", "-m", trained / "m", "-n", "2", "--tokens", "403", "--seed", "5")
    for record in records_of(made.out):
        assert len(record["ids"]) == 400
        assert EVENTS.decode([record["ids"]]).repairs == {}
    done = run("tok2midi", "-o", "out/{n}.mid", stdin=made.out)
    assert "2 files" in done.err and "repaired" not in done.err
    assert len([Score(path) for path in sorted((run.folder / "out").iterdir())]) == 2


def test_samples_have_the_bars_that_are_asked_for(run: Runner, trained: Path) -> None:
    made = run("toksample", "-m", trained / "m", "-n", "2", "--bars", "3", "--seed", "5")
    for record in records_of(made.out):
        ids = np.array(record["ids"])
        assert len(ids) % 8 == 0
        assert len(EVENTS.bar_starts(ids)) == 3


def test_a_continuation_begins_with_its_prompt(run: Runner, trained: Path) -> None:
    prompt = (trained / "tunes.jsonl").read_bytes().splitlines(keepends=True)[0]
    options = ("-m", trained / "m", "--continue", "--bars", "2", "--seed", "3")
    (record,) = records_of(run("toksample", *options, stdin=prompt).out)
    ids = json.loads(prompt)["ids"]
    assert record["ids"][: len(ids)] == ids
    before, after = (len(EVENTS.bar_starts(np.array(i))) for i in (ids, record["ids"]))
    assert after == before + 2
    assert EVENTS.decode([record["ids"]]).repairs == {}


def test_losses_are_told_by_note_and_by_bar(run: Runner, trained: Path) -> None:
    *lines, total = records_of(run("tokeval", "-m", trained / "m", trained / "tunes.jsonl").out)
    assert total["loss_note"] > 0 and total["loss_bar"] > 0
    assert all(line["tokens"] % 8 == 1 for line in lines if "id" in line)


def test_merges_are_refused_as_events_are_of_fixed_size(run: Runner, trained: Path) -> None:
    tunes = trained / "tunes.jsonl"
    done = run.shell(f"toktrain {TINY} --bpe 20 -o m {tunes}", code=2)
    assert "--bpe does not go with events" in done.err

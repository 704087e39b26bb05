"""`pitch` through the installed commands, from files to files."""

import json
from pathlib import Path
from typing import Any

from conftest import Runner
from midigen_pitch import Pitch
from symusic import Score

TINY = "--steps 4 --preset tiny --batch 512 --eval-tokens 512 --device cpu"


def records_of(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.splitlines()]


def test_a_model_of_pitch_strings_is_trained_and_sampled(run: Runner, tunes: Path) -> None:
    run.shell(
        f"midi2tok --tokenizer pitch {tunes} | tokaug --shift 2 | toktrain --bpe 20 {TINY} -o m"
    )
    made = run("toksample", "-m", "m", "-n", "3", "--bars", "4", "--seed", "1")
    for record in records_of(made.out):
        assert record["tok"] == f"pitch#{Pitch().vocab.fingerprint}"
        assert len(record["ids"]) == 32 and record["n"]["bars"] == 4
    done = run("tok2midi", "-o", "out/{n}.mid", stdin=made.out)
    assert "3 files" in done.err and "repaired" not in done.err
    for path, record in zip(
        sorted((run.folder / "out").iterdir()), records_of(made.out), strict=True
    ):
        score = Score(path)
        assert score.note_num() == record["n"]["notes"] >= 32
        assert {note.time % (score.tpq // 2) for note in score.tracks[0].notes} == {0}


def test_copies_move_notes_and_chords(run: Runner, tunes: Path) -> None:
    line = f"midi2tok --tokenizer pitch {tunes}/old_hundredth.mid | tokaug --shift 1 --copies all"
    original, down, up = records_of(run.shell(line).out)
    tokens = Pitch().vocab.tokens
    first = [tokens[record["ids"][0]] for record in (down, original, up)]
    assert len(set(first)) == 3
    assert [down["aug"], up["aug"]] == [{"shift": -1}, {"shift": 1}]
    assert len(down["ids"]) == len(original["ids"]) == len(up["ids"])


def test_a_learned_vocabulary_goes_with_its_records_and_its_model(run: Runner, tunes: Path) -> None:
    run.shell(
        f"midigen learn --tokenizer pitch:chords=sets --shift 1 -o chords.tok.json {tunes}"
        f" && midi2tok --tokenizer chords.tok.json {tunes} > tunes.jsonl"
        f" && tokaug --shift 1 tunes.jsonl | toktrain {TINY} -o m"
    )
    definition = json.loads((run.folder / "chords.tok.json").read_text())
    fingerprint = Pitch.from_definition(definition).vocab.fingerprint
    records = records_of((run.folder / "tunes.jsonl").read_bytes())
    assert {record["tok"] for record in records} == {f"pitch:@#{fingerprint}"}

    # The model knows its vocabulary; what it has written does not, away from the file.
    (run.folder / "chords.tok.json").rename(run.folder / "elsewhere.json")
    made = run("toksample", "-m", "m", "-n", "2", "--bars", "2", "--seed", "1")
    assert all(len(record["ids"]) == 16 for record in records_of(made.out))
    lost = run("tok2midi", "-o", "out/{n}.mid", stdin=made.out, code=1)
    assert "this vocabulary was learned and lies in a file" in lost.err
    done = run("tok2midi", "--tokenizer", "elsewhere.json", "-o", "out/{n}.mid", stdin=made.out)
    assert "2 files" in done.err and "repaired" not in done.err


def test_a_file_that_holds_no_vocabulary_is_an_error_that_says_why(
    run: Runner, tunes: Path
) -> None:
    (run.folder / "bad.tok.json").write_text('{"midigen": "pitch", "chords": "sets"}')
    result = run("midi2tok", "--tokenizer", "bad.tok.json", tunes, code=1)
    assert "chords, step and vocabulary" in result.err and result.err.count("\n") == 1

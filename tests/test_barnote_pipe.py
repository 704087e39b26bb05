"""`barnote` through the installed commands, from files to files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Runner
from midigen_barnote import BarNote
from symusic import Score

BARNOTE = BarNote()
TINY = "--steps 4 --preset tiny --batch 512 --eval-tokens 512 --device cpu"


def records_of(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.splitlines()]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, bin_dir: Path, tunes: Path) -> Path:
    """A folder with the records of the tunes, and a model with merges that read their copies."""
    run = Runner(tmp_path_factory.mktemp("barnote"), bin_dir)
    run.shell(
        f"midi2tok --tokenizer barnote {tunes} > tunes.jsonl"
        f" && tokaug --shift 2 tunes.jsonl | toktrain --bpe 40 {TINY} -o m"
    )
    return run.folder


def test_records_say_what_encoding_says(run: Runner, tunes: Path) -> None:
    done = run("midi2tok", "--tokenizer", "barnote", tunes)
    paths = sorted(tunes.glob("*.mid"))
    for record, path in zip(records_of(done.out), paths, strict=True):
        assert record["tok"] == f"barnote#{BARNOTE.vocab.fingerprint}"
        result = BARNOTE.encode(Score(path))
        assert record["ids"] == result.parts[0].tolist()
        assert record["meta"] == ({"lossy": list(result.lossy)} if result.lossy else {})


def test_what_cannot_be_encoded_is_listed_and_the_parameters_help(run: Runner, tunes: Path) -> None:
    score = Score(tunes / "sakura.mid")
    score.time_signatures = []
    score.dump_midi(run.folder / "plain.mid")
    done = run("midi2tok", "--tokenizer", "barnote", "plain.mid", "--rejects", "bad", code=1)
    assert "1 rejected (1 tokenizer)" in done.err
    assert "barnote:meter=4/4" in (run.folder / "bad").read_text()
    (record,) = records_of(run("midi2tok", "--tokenizer", "barnote:meter=4/4", "plain.mid").out)
    assert record["tok"].startswith("barnote:meter=4/4#")
    assert run("tok2midi", stdin=json.dumps(record).encode() + b"\n").out.startswith(b"MThd")


def test_copies_move_every_note_also_those_of_drums(run: Runner, tunes: Path) -> None:
    line = f"midi2tok --tokenizer barnote {tunes}/rock_beat.mid | tokaug --shift 5 --copies all"
    original, *copies = records_of(run.shell(line).out)
    ids = np.array(original["ids"])
    pitched = (ids >= 33) & (ids <= 120)
    assert len(copies) == 10
    for copy in copies:
        assert copy["ids"] == (ids + pitched * copy["aug"]["shift"]).tolist()


def test_samples_have_the_bars_that_are_asked_for(run: Runner, trained: Path) -> None:
    made = run("toksample", "-m", trained / "m", "-n", "2", "--bars", "3", "--seed", "5")
    for record in records_of(made.out):
        ids = np.array(record["ids"])
        assert len(BARNOTE.bar_starts(ids)) == record["n"]["bars"] == 3
        assert BARNOTE.decode([ids]).repairs == {}
    done = run("tok2midi", "-o", "out/{n}.mid", stdin=made.out)
    assert "2 files" in done.err and "repaired" not in done.err
    scores = [Score(path) for path in sorted((run.folder / "out").iterdir())]
    counted = [record["n"]["notes"] for record in records_of(made.out)]
    assert [score.note_num() for score in scores] == counted
    assert sum(counted) > 20


def test_a_continuation_begins_with_the_bar_behind_its_prompt(run: Runner, trained: Path) -> None:
    prompts = records_of((trained / "tunes.jsonl").read_bytes())[:2]
    stdin = b"".join(json.dumps(record).encode() + b"\n" for record in prompts)
    options = ("-m", trained / "m", "--prompt-bars", "2", "--bars", "1", "--seed", "1")
    whole = records_of(run("toksample", "--continue", *options, stdin=stdin).out)
    alone = records_of(run("toksample", "--only-new", *options, stdin=stdin).out)
    for prompt, record, new in zip(prompts, whole, alone, strict=True):
        cut = int(BARNOTE.bar_starts(np.array(prompt["ids"]))[2])
        assert record["ids"][:cut] == prompt["ids"][:cut]
        assert record["ids"][cut:] == new["ids"]
        assert record["n"]["bars"] == 3 and new["n"]["bars"] == 1
        assert BARNOTE.decode([new["ids"]]).repairs == {}

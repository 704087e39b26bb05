"""Damaged files through midi2tok: none crashes it, hangs it or goes uncounted.

A small share of ``tests/oracle/check_mutations.py``.
"""

import json
from functools import cache
from pathlib import Path

import pytest
from conftest import Runner
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import MUTATIONS, mutate
from tune_reader import read_tune

from midigen.encoding import FileEncoder
from midigen.errors import Reject
from midigen.ingest import Ingested, ingest, parse
from midigen.reasons import REASONS

NOBODYS_FAULT = {"not_midi", "broken", "no_notes", "empty", "too_long", "too_big"}
"""What may become of a damaged file; the other reasons would be a fault of the program."""


@cache
def encoder() -> FileEncoder:
    return FileEncoder("remi", {}, check=True)


@cache
def tunes() -> list[bytes]:
    return [read_tune(path) for path in sorted((Path(__file__).parent / "tunes").glob("*.abc"))]


def tune(number: int) -> bytes:
    return tunes()[number % len(tunes())]


def test_damage_is_a_function_of_the_seed_and_every_kind_occurs() -> None:
    done = [mutate(tune(seed), seed) for seed in range(300)]
    assert done[:30] == [mutate(tune(seed), seed) for seed in range(30)]
    kinds = {kind for name, _ in done for kind in name.split("+")}
    assert kinds == {mutation.__name__ for mutation in MUTATIONS}
    assert sum(data != tune(seed) for seed, (_, data) in enumerate(done)) > 250


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.integers(0, 2**40))
def test_damaged_file_gives_records_or_a_reject(seed: int) -> None:
    kind, data = mutate(tune(seed), seed)
    lines = encoder()([data])
    assert lines.files + len(lines.rejects) == 1, kind
    for _, reason, detail in lines.rejects:
        assert reason in NOBODYS_FAULT, (kind, reason, detail)
    for line in lines.data.splitlines():
        record = json.loads(line)
        assert record["ids"] and record["n"]["notes"] > 0
        assert record["meta"].get("ingest") in (None, "sanitised", "salvaged")


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.integers(0, 2**40))
def test_what_was_mended_needs_no_mending(seed: int) -> None:
    _, data = mutate(tune(seed), seed)
    try:
        found = ingest(data)
    except Reject as reject:
        assert reject.reason in REASONS
    else:
        assert ingest(found.midi) == Ingested(parse(found.midi), found.midi)


@pytest.mark.parametrize("jobs", ["-j1", "-j3"])
def test_every_damaged_file_of_a_batch_is_counted(run: Runner, jobs: str) -> None:
    names = []
    (run.folder / "in").mkdir()
    for seed in range(250):
        kind, data = mutate(tune(seed), seed)
        names.append(f"in/{seed:03}-{kind}.mid")
        (run.folder / names[-1]).write_bytes(data)
    result = run("midi2tok", jobs, "--timeout", "30", "--rejects", "bad.jsonl", "in")
    saved = [json.loads(line)["src"] for line in result.lines]
    bad = (run.folder / "bad.jsonl").read_text().splitlines()
    rejects = {reject["src"]: reject["reason"] for reject in map(json.loads, bad)}
    assert sorted([*saved, *rejects]) == sorted(names)
    assert set(rejects.values()) <= NOBODYS_FAULT
    assert len(saved) > 200
    assert "Traceback" not in result.err
    assert f"{len(saved)} files" in result.err and f"{len(rejects)} rejected" in result.err

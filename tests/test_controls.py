"""What samples may hold is what they hold: programs, pitches, key, tempo."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from conftest import Runner
from tiny_model import save_tiny, some_merges, tiny_vocab

from midigen.controls import Controls, read_control_key, read_pitch_range, read_tempo
from midigen.draft import Draft
from midigen.errors import MidigenError, UsageError
from midigen.keys import Key
from midigen.modelfolder import Loaded, load
from midigen.plan import Limits
from midigen.prompts import unprompted
from midigen.record import Record
from midigen.sampled import Request, Samples
from midigen.sampler import Settings
from midigen.tokenizers import tokenizer_of

SPECS = ("remi", "barnote", "miditok:class=TSD", "pitch")


@pytest.fixture(scope="module", params=["remi", "merged", *SPECS[1:]])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    spec = "remi" if request.param == "merged" else request.param
    merges = some_merges("remi") if request.param == "merged" else ()
    folder = tmp_path_factory.mktemp("controls") / "m"
    return load(save_tiny(folder, tiny_vocab(spec, merges)))


def made(model: Loaded, controls: Controls, count: int = 4, **options: Any) -> list[Record]:
    limits = options.pop("limits", Limits(tokens=150))
    request = Request(11, count, controls=controls, limits=limits, **options)
    return list(Samples(model, request).from_nothing())


def notes_of(model: Loaded, records: list[Record]) -> Counter[tuple[int, int]]:
    """Return how often each (program, pitch) is heard, -1 for drums."""
    found: Counter[tuple[int, int]] = Counter()
    for record in records:
        decoded = tokenizer_of(model.vocab.tok).decode([record["ids"]])
        assert not decoded.repairs
        for track in decoded.value.tracks:
            program = -1 if track.is_drum else track.program
            found.update((program, int(note.pitch)) for note in track.notes)
    assert found
    return found


def test_pitches_stay_in_their_range_and_key(model: Loaded) -> None:
    low, high = (0, 127) if model.vocab.tok.startswith("pitch") else (50, 70)
    controls = Controls(pitches=(low, high) if low else None, key=Key(3, True))
    if not low:
        with pytest.raises(MidigenError, match="no --pitch-range"):
            made(model, Controls(pitches=(50, 70)))
    scale = {(3 + step) % 12 for step in (0, 2, 3, 5, 7, 8, 10, 11)}
    records = made(model, controls)
    for program, pitch in notes_of(model, records):
        assert program == -1 or (low <= pitch <= high and pitch % 12 in scale)
    assert records[0]["gen"]["settings"]["key"] == "Ebm"


def test_only_the_programs_asked_for_play(model: Loaded) -> None:
    controls = Controls(programs=frozenset((-1, 40, 41)))
    if "Program" not in model.vocab.base.types:
        with pytest.raises(MidigenError, match="no tokens that say the program"):
            made(model, controls)
        return
    assert {program for program, _ in notes_of(model, made(model, controls))} <= {-1, 40, 41}


def test_the_tempo_is_said_first_and_stays(model: Loaded) -> None:
    if "Tempo" not in model.vocab.base.types:
        with pytest.raises(MidigenError, match="no tokens of tempo"):
            made(model, Controls(tempo=90.0))
        return
    vocab, settings = model.vocab.base, Settings(temperature=1.5)
    tempos = {i: float(vocab.values[i]) for i in vocab.ids_of("Tempo").tolist()}
    nearest = min(tempos.values(), key=lambda tempo: abs(tempo - 90.0))
    for record in made(model, Controls(tempo=90.0), settings=settings):
        said = [tempos[id] for id in record["ids"] if id in tempos]
        assert said and set(said) == {nearest}
        if vocab.types[record["ids"][0]] == "Bar":
            score = tokenizer_of(model.vocab.tok).decode([record["ids"]]).value
            assert score.tempos[0].time == 0
            assert score.tempos[0].qpm == pytest.approx(nearest, abs=0.01)


def test_repetition_penalty_is_the_formula_of_transformers(model: Loaded) -> None:
    from midigen.sampling_rules import repetition

    logits = np.array([[2.0, -1.0, 0.5, 3.0], [1.0, 1.0, -4.0, 0.0]])
    seen = [np.array([0, 1]), np.array([2])]
    found = repetition(logits, seen, 2.0)
    assert found.tolist() == [[1.0, -2.0, 0.5, 3.0], [1.0, 1.0, -8.0, 0.0]]
    assert logits[0, 0] == 2.0
    for penalty in (1.0, 5.0):
        settings = Settings(temperature=0.3, repetition=penalty)
        (record, _) = made(model, Controls(), settings=settings, count=2)
        assert record["gen"]["settings"]["repetition"] == penalty
        assert notes_of(model, [record])


def test_penalty_falls_on_what_was_read(model: Loaded) -> None:
    vocab = model.vocab
    plan = Samples(model, Request(0, limits=Limits(tokens=60))).plan
    (draft,) = (Draft(plan, unprompted(plan, {}), 0),)
    ids = np.flatnonzero(plan.sounding & draft.allowed())
    if not len(ids):
        draft.context += np.flatnonzero(plan.sounding)[:2].tolist() * 2
    else:
        draft.accept(int(ids[0]))
    read = draft.notes_read().tolist()
    assert read == sorted(set(read)) and read
    assert all(vocab.expansion(id) for id in read)


def test_texts_of_the_options() -> None:
    assert read_pitch_range("C3:C6") == (48, 84)
    assert read_pitch_range("48:") == (48, 127)
    assert read_pitch_range(":c4") == (0, 60)
    assert read_control_key("f# minor") == Key(6, True)
    assert read_tempo(120.0) == 120.0
    for wrong in ("C3", ":", "H3:C4", "84:48", "0:128"):
        with pytest.raises(UsageError, match="--pitch-range"):
            read_pitch_range(wrong)
    with pytest.raises(UsageError, match="--key"):
        read_control_key("H")
    with pytest.raises(UsageError, match="not in 10"):
        read_tempo(5.0)


def test_options(run: Runner) -> None:
    save_tiny(run.folder / "m", tiny_vocab(conditions={"density": {"..2": 9, "2..4": 9, "4..": 9}}))
    env = {"OMP_NUM_THREADS": "1"}
    options = ("--tokens", "60", "--key", "D", "--tempo", "80", "--program", "piano")
    assert run("toksample", "-m", "m", *options, "--density", "3", env=env).out
    refused = run("toksample", "-m", "m", "--genre", "pop", code=1)
    assert "it knows density" in refused.err
    for wrong in (("--key", "X"), ("--tempo", "2"), ("--pitch-range", "9"), ("--program", "qqq")):
        assert run("toksample", "-m", "m", *wrong, code=2).err

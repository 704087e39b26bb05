"""Filling in: arranged windows, holes between bars, voices beside given ones."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Runner
from hand_records import bar_words, lines_of, record_of, tok_of, words_of
from tiny_model import save_tiny, some_merges
from training_data import corpus_of, pieces, prefixes_of

from midigen.errors import UsageError
from midigen.infill import Arranger, ByProgram, around
from midigen.jsonl import RecordReader
from midigen.modelfolder import Loaded, load
from midigen.modelvocab import ModelVocab
from midigen.prompts import Task
from midigen.record import Record
from midigen.registry import tokenizer
from midigen.rejects import Rejects
from midigen.sampled import Request, Samples
from midigen.tokenizers import tokenizer_of
from midigen.windows import IGNORE, Windows


def vocab_with(
    spec: str = "remi", *, merged: bool = False, suffix_first: bool = True
) -> ModelVocab:
    return ModelVocab(
        tokenizer(spec).vocab,
        tok_of(spec),
        merges=some_merges(spec) if merged else (),
        conditions={"genre": {"pop": 9, "jazz": 9}},
        infill=True,
        suffix_first=suffix_first,
    )


def song(bars: int = 12, programs: tuple[int, ...] = (0, 33, -1)) -> Record:
    words = []
    for bar in range(bars):
        notes = [(p, 36 + (7 * bar + 5 * i) % 40) for i in range(3) for p in programs]
        words += bar_words(notes, "3/4" if bar % 5 == 4 else "4/4")
    return record_of(words, name=f"song{bars}{programs}")


def windows_of(vocab: ModelVocab, size: int) -> Iterator[np.ndarray]:
    ids = vocab.encode(song(40)["ids"])
    for start in range(0, len(ids) - size, size // 3):
        yield ids[start : start + size]


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("suffix_first", [False, True])
def test_bars_come_behind_what_is_around_them(merged: bool, suffix_first: bool) -> None:
    vocab = vocab_with(merged=merged, suffix_first=suffix_first)
    assert vocab.infill is not None
    hole, fill, end = vocab.infill
    arranger, found = Arranger(vocab, 1.0), 0
    bar = vocab.base.index["Bar_None"]
    for number, ids in enumerate(windows_of(vocab, 200)):
        arranged = arranger(ids, number * 7919)
        if arranged is None or hole not in arranged.ids:
            continue
        found += 1
        assert len(arranged.ids) <= len(ids)
        at = int(np.flatnonzero(arranged.ids == fill)[0])
        holes = np.flatnonzero(arranged.ids == hole)
        if suffix_first:
            assert holes[0] == 0 and arranged.anew
            middle = int(np.flatnonzero(arranged.ids == end)[0])
            behind, before = arranged.ids[holes[-1] + 1 : middle], arranged.ids[middle + 1 : at]
        else:
            before, behind = arranged.ids[: holes[0]], arranged.ids[holes[-1] + 1 : at]
        missing = arranged.ids[at + 1 :]
        missing, last = (missing[:-1], missing[-1]) if missing[-1] == end else (missing, None)
        restored = np.concatenate((before, missing, behind))
        if last is not None:
            assert np.array_equal(restored, ids[: len(restored)])
            bars = vocab.expand(missing)
            assert bars[0] == bar
            assert (bars == bar).sum() == len(holes)
        silent = arranged.ids[np.flatnonzero(arranged.silent)].tolist()
        assert sorted(silent) == sorted([*[hole] * len(holes), fill, *[end] * suffix_first])
    assert found >= 4


@pytest.mark.parametrize("merged", [False, True])
def test_programs_come_behind_all_others_bar_by_bar(merged: bool) -> None:
    vocab = vocab_with(merged=merged)
    assert vocab.infill is not None
    arranger, found = Arranger(vocab, 1.0), 0
    split, tokenizer_ = ByProgram(vocab.base), tokenizer_of(vocab.tok)
    for number, ids in enumerate(windows_of(vocab, 300)):
        arranged = arranger(ids, number * 104729)
        if arranged is None or vocab.infill.hole in arranged.ids:
            continue
        found += 1
        assert len(arranged.ids) <= len(ids)
        at = int(np.flatnonzero(arranged.ids == vocab.infill.fill)[0])
        kept, gone = vocab.expand(arranged.ids[:at]), vocab.expand(arranged.ids[at + 1 : -1])
        assert arranged.ids[-1] == vocab.infill.end
        assert not set(split.programs(kept)) & set(split.programs(gone))
        starts = [tokenizer_.bar_starts(part) for part in (kept, gone)]
        assert len(starts[0]) == len(starts[1])
        notes = [note_set(part.tolist()) for part in (kept, gone)]
        whole = vocab.expand(ids)
        first = tokenizer_.bar_starts(whole)
        played = note_set(whole[first[0] : first[len(starts[0])]].tolist())
        assert notes[0] | notes[1] == played and not notes[0] & notes[1]
    assert found >= 4


def note_set(ids: list[int]) -> set[tuple[int, int, int]]:
    decoded = tokenizer_of(tok_of("remi")).decode([ids])
    assert not decoded.repairs
    return {
        (-1 if track.is_drum else track.program, note.time, note.pitch)
        for track in decoded.value.tracks
        for note in track.notes
    }


def test_notes_that_do_not_say_their_program_stay_where_they_are() -> None:
    vocab = vocab_with()
    assert vocab.infill is not None
    index = vocab.base.index
    words = ["Bar_None", "TimeSig_4/4"]
    for bar in range(12):
        words += ["Bar_None", "TimeSig_4/4", "Position_0", f"Program_{40 * (bar % 2)}"]
        for place in range(4):
            words += [f"Position_{4 * place + 1}", "Pitch_60", "Velocity_63", "Duration_1.0.8"]
    ids = np.array([index[word] for word in words])
    arranged = [Arranger(vocab, 1.0)(ids, number * 7919) for number in range(40)]
    assert any(found is not None for found in arranged)
    assert all(found is None or vocab.infill.hole in found.ids for found in arranged)


def test_training_windows_are_arranged_at_the_rate_asked_for(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path, pieces(60))
    vocab = ModelVocab(tokenizer("remi").vocab, corpus.store.tok, infill=True)
    assert vocab.infill is not None

    def share(rate: float) -> float:
        windows = Windows(corpus.train, prefixes_of(corpus, vocab), vocab, 128, 0, infill=rate)
        batches = windows.batches(16)
        arranged = scored = 0
        for _ in range(12):
            batch = next(batches)
            arranged += int((batch.ids == vocab.infill.fill).sum())
            scored += batch.scored
            wanted = (batch.targets == vocab.infill.hole) | (batch.targets == vocab.infill.fill)
            assert not wanted.any() and (batch.targets != IGNORE).any()
        return arranged / scored

    assert share(0.0) == 0.0
    assert 0.0 < share(0.3) < share(1.0)


def test_arrangement_is_refused_without_bars() -> None:
    for spec in ("events", "text", "barnote"):
        vocab = ModelVocab(tokenizer(spec).vocab, tok_of(spec), infill=True)
        with pytest.raises(UsageError, match="no token that begins a bar"):
            Arranger(vocab, 0.5)


def test_ids_to_fill_in_with_come_last_where_weights_are_older() -> None:
    old = ModelVocab(tokenizer("remi").vocab, tok_of("remi"), conditions={"genre": {"pop": 9}})
    new = old.extended({"genre": {"pop": 9, "jazz": 7}}, infill=True)
    assert new.infill == (len(old), len(old) + 1, len(old) + 2)
    assert new.conditions["genre"] == {"pop": len(old) - 1, "jazz": len(old) + 3}
    again = ModelVocab.from_json(json.loads(json.dumps(new.to_json())))
    assert again.infill == new.infill and len(again) == len(new) == len(old) + 4
    assert [again.token(id) for id in again.infill] == ["Infill_Hole", "Infill_Fill", "Infill_End"]
    assert again.expand(list(again.infill)).tolist() == []
    assert again.extended({}, infill=True).infill == new.infill


def test_a_model_keeps_the_order_that_it_learned() -> None:
    old = vocab_with(suffix_first=False)
    data = old.to_json()
    assert "suffix_first" not in data  # As they were written before there was another order.
    assert not ModelVocab.from_json(data).suffix_first
    assert not old.extended({"genre": {"folk": 9}}).suffix_first
    new = old.extended({}, infill=True)
    assert new.infill == old.infill and new.suffix_first
    assert ModelVocab.from_json(new.to_json()).suffix_first
    assert new.infill is not None and new.bos is not None
    hole, fill, end = new.infill
    before, behind = [new.bos, 5, 6], [7, 8]
    assert around(old, before, 2, behind) == [new.bos, 5, 6, hole, hole, 7, 8, fill]
    assert around(new, before, 2, behind) == [new.bos, hole, hole, 7, 8, end, 5, 6, fill]
    assert around(new, before[1:], 1, []) == [hole, end, 5, 6, fill]


@pytest.fixture(scope="module", params=["remi", "merged", "older"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """An untrained model whose window pieces outgrow."""
    vocab = vocab_with(merged=request.param == "merged", suffix_first=request.param != "older")
    return load(save_tiny(tmp_path_factory.mktemp(request.param) / "m", vocab))


def filled(model: Loaded, folder: Path, records: list[Record], **options: Any) -> list[Record]:
    path, rejects = folder / "in.jsonl", Rejects()
    path.write_bytes(lines_of(records))
    made = list(
        Samples(model, Request(**options)).from_prompts(RecordReader([str(path)], rejects), rejects)
    )
    assert not rejects.total
    return made


@pytest.mark.parametrize("hole", [(1, 2), (5, 8), (3, 3), (11, 12), (2, None)])
def test_infill_keeps_the_ids_around_it(
    model: Loaded, tmp_path: Path, hole: tuple[int, int | None]
) -> None:
    record = song(12)
    tokenizer_ = tokenizer_of(model.vocab.tok)
    starts = [*tokenizer_.bar_starts(np.array(record["ids"])).tolist(), len(record["ids"])]
    first, last = hole[0], hole[1] or 12
    made = filled(model, tmp_path, [record], seed=3, count=4, task=Task(hole))
    assert len({tuple(sample["ids"]) for sample in made}) == 4
    for sample in made:
        before = record["ids"][: starts[first - 1]]
        behind = record["ids"][starts[last] :]
        assert sample["ids"][: len(before)] == before
        assert not behind or sample["ids"][-len(behind) :] == behind
        new = sample["ids"][len(before) : len(sample["ids"]) - len(behind)]
        assert len(tokenizer_.bar_starts(np.array(new))) == last - first + 1
        assert not tokenizer_.decode([sample["ids"]]).repairs
        assert sample["group"] == record["group"]
        assert sample["gen"]["settings"]["infill"] == list(hole)


def test_only_new_gives_the_hole_alone(model: Loaded, tmp_path: Path) -> None:
    (made,) = filled(model, tmp_path, [song(9)], seed=1, task=Task((4, 5)), only_new=True)
    tokenizer_ = tokenizer_of(model.vocab.tok)
    assert len(tokenizer_.bar_starts(np.array(made["ids"]))) == 2
    assert not tokenizer_.decode([made["ids"]]).repairs


@pytest.mark.parametrize("bars", [1, 4, 20])
def test_voices_are_new_and_the_piece_stays(model: Loaded, tmp_path: Path, bars: int) -> None:
    record = song(bars, (0, 40))
    made = filled(model, tmp_path, [record], seed=5, count=3, task=Task(voices=True))
    for sample in made:
        own, all_ = note_set(record["ids"]), note_set(sample["ids"])
        assert own < all_
        assert all(program not in (0, 40) for program, _, _ in all_ - own)
    (alone,) = filled(model, tmp_path, [record], seed=5, task=Task(voices=True), only_new=True)
    given = [word for word in words_of(record) if word.startswith("TimeSig")]
    assert [word for word in words_of(alone) if word.startswith("TimeSig")] == given


def test_context_never_outgrows_the_window_and_holds_what_is_around(
    model: Loaded, tmp_path: Path
) -> None:
    from midigen.draft import Draft
    from midigen.prompts import read_prompts
    from midigen.sampler import Settings, sample

    path, rejects = tmp_path / "in.jsonl", Rejects()
    path.write_bytes(lines_of([song(30)]))
    plan = Samples(model, Request(0, task=Task((14, 17)))).plan
    (prompt,) = read_prompts(
        plan, RecordReader([str(path)], rejects), rejects, {}, None, Task((14, 17))
    )
    draft = Draft(plan, prompt, 0)
    infill = model.vocab.infill
    assert infill is not None
    hole, fill, end = infill
    assert draft.context.count(hole) == 4 and draft.context[-1] == fill
    at = draft.context.index(end if model.vocab.suffix_first else hole)
    assert at > 10 and len(draft.context) - at > 15
    (done,) = sample(model.model, plan.window, [draft], Settings(), 1)
    assert len(done.context) <= plan.window and len(done.bars) == 4


@pytest.mark.parametrize(("hole", "least"), [((30, 30), 0.6), ((10, 50), 0.4)])
def test_what_is_around_fills_the_window_as_far_as_the_hole_leaves_it(
    model: Loaded, hole: tuple[int, int], least: float
) -> None:
    """Half of the window is left for a long hole, less for a short one."""
    from midigen.draft import Draft
    from midigen.prompts import fill_prompt, make_prompt

    task, record = Task(hole), song(60, (0,))
    plan = Samples(model, Request(0, task=task)).plan
    draft = Draft(plan, fill_prompt(plan, make_prompt(plan, record, {}, None), task), 0)
    missing = hole[1] - hole[0] + 1
    assert model.vocab.infill is not None
    assert draft.context.count(model.vocab.infill.hole) == missing
    assert least <= len(draft.context) / plan.window <= (0.9 if missing == 1 else 0.5)


def test_commands(run: Runner) -> None:
    save_tiny(run.folder / "m", vocab_with())
    (run.folder / "in.jsonl").write_bytes(lines_of([song(6), song(2)]))
    env = {"OMP_NUM_THREADS": "1"}
    done = run("toksample", "-m", "m", "--infill", "3:4", "--seed", "1", "in.jsonl", env=env)
    (sample,) = [json.loads(line) for line in done.out.splitlines()]
    assert (sample["id"] != song(6)["id"] and "it has 2 bars, --infill names 3:4" in done.err) or (
        "1 bars" in done.err
    )
    options = ("--keep-tracks", "--program", "bass,drums", "--seed", "1")
    (run.folder / "two.jsonl").write_bytes(lines_of([song(3, (0, 40))]))
    done = run("toksample", "-m", "m", *options, "two.jsonl", env=env)
    (sample,) = [json.loads(line) for line in done.out.splitlines()]
    new = {program for program, _, _ in note_set(sample["ids"])} - {0, 40}
    assert new and new <= {-1, *range(32, 40)}
    for wrong in (
        ("--infill", "3:4", "--bars", "2"),
        ("--infill", "x"),
        ("--keep-tracks", "--tempo", "90"),
        ("--infill", "4:3"),
    ):
        assert run("toksample", "-m", "m", *wrong, "in.jsonl", code=2).err
    save_tiny(run.folder / "plain", ModelVocab(tokenizer("remi").vocab, tok_of("remi")))
    refused = run("toksample", "-m", "plain", "--infill", "1:2", "in.jsonl", code=1)
    assert "has not learned to fill in" in refused.err

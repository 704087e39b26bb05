"""Language models: trained on text, sampled, scored, all by the commands that are for music too."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from book import write_book
from conftest import Runner
from hand_records import lines_of
from tiny_model import Fixed, save_tiny, tiny_vocab, tok_of
from training_data import store_of

from midigen.constrain import Lifted
from midigen.context import context
from midigen.corpus import divide
from midigen.errors import MidigenError, Reject
from midigen.evaluate import Evaluation
from midigen.jsonl import RecordReader
from midigen.merges import learn
from midigen.modelfolder import Loaded, load
from midigen.modelvocab import ModelVocab
from midigen.plan import DEFAULT_TOKENS, Limits, Plan
from midigen.prompts import make_prompt
from midigen.record import complete
from midigen.registry import tokenizer
from midigen.rejects import Rejects
from midigen.sampled import Request, Samples
from midigen.sampler import Settings
from midigen.split import SplitRule

TEXT = tokenizer("text")
TINY = (
    *("--model", "llama:width=16,layers=1,head=8", "--preset", "tiny", "--window", "32"),
    *("--batch", "128", "--eval-tokens", "300", "--evals", "3", "--device", "cpu"),
)


def record(data: bytes, **keys: Any) -> dict[str, Any]:
    made = {"id": f"{len(data):x}", "tok": tok_of("text"), "ids": list(data)}
    return complete(made | {"n": {"bytes": len(data)}} | keys)


def merges(count: int = 150) -> list[tuple[int, int]]:
    ids = np.frombuffer(write_book(30_000), np.uint8)
    return learn([(ids, TEXT.word_starts(ids))], 256, count)


@pytest.fixture(scope="module", params=["plain", "merged"])
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """An untrained model without and with merges, of a window that samples outgrow."""
    learned = merges() if request.param == "merged" else []
    return load(save_tiny(tmp_path_factory.mktemp("tiny"), tiny_vocab("text", learned)))


def plan_for(vocab: ModelVocab, limits: Limits, window: int = 64) -> Plan:
    return Plan(vocab, TEXT, Lifted(TEXT.grammar(), vocab.expansions), limits, window, 0)


@pytest.mark.parametrize("settings", [Settings(), Settings(temperature=2.0), Settings(top_k=1)])
def test_samples_are_utf8_of_the_length_that_was_asked(tiny: Loaded, settings: Settings) -> None:
    request = Request(3, 40, limits=Limits(tokens=200), settings=settings, batch=20)
    for made in Samples(tiny, request).from_nothing():
        data = TEXT.decode([made["ids"]]).value
        assert data.decode() and len(data) == 200
        assert made["n"] == {"bytes": 200} and made["tok"] == tok_of("text")


def test_without_a_length_the_model_ends_within_a_thousand_bytes(tiny: Loaded) -> None:
    (made,) = Samples(tiny, Request(1)).from_nothing()
    assert 0 < len(made["ids"]) <= DEFAULT_TOKENS == 1024


def test_a_character_is_never_left_open_at_the_limit() -> None:
    vocab = tiny_vocab("text")
    logits = torch.zeros(len(vocab))
    logits[0xF0] = 60.0
    for id in range(0x80, 0xC0):
        logits[id] = 50.0
    model = Fixed(logits)
    loaded = Loaded(model, {}, vocab, SplitRule(), 64, Path("m"), "0" * 16)
    for tokens in range(1, 10):
        (made,) = Samples(loaded, Request(0, limits=Limits(tokens=tokens))).from_nothing()
        data = bytes(made["ids"])
        assert len(data) == tokens and len(data.decode()) >= -(-tokens // 4)


def test_bars_are_refused_and_prompts_too(tiny: Loaded) -> None:
    for limits in (Limits(bars=2), Limits(seconds=3.0)):
        with pytest.raises(MidigenError, match="has no bars to count; use --tokens"):
            Samples(tiny, Request(0, limits=limits))
    samples = Samples(tiny, Request(0, prompt_bars=2))
    with pytest.raises(MidigenError, match="no --prompt-bars"):
        samples.from_prompts(RecordReader([], Rejects()), Rejects())


def test_a_prompt_goes_on_where_it_ends_and_only_its_own_character_is_cut(tiny: Loaded) -> None:
    vocab = tiny.vocab
    plan = plan_for(vocab, Limits(tokens=20))
    prompt = make_prompt(plan, record("Two cafés".encode()[:-2]), {}, None)
    assert bytes(prompt.ids) == b"Two caf"
    with pytest.raises(Reject, match="Byte_32 cannot stand at place 4"):
        make_prompt(plan, record("café x".encode("latin-1")), {}, None)


def test_what_is_read_of_a_long_text_are_its_last_words(tiny: Loaded) -> None:
    vocab = tiny.vocab
    plan = plan_for(vocab, Limits(tokens=20))
    data = write_book(3_000)
    found = context(plan, [], list(data))
    read = bytes(vocab.expand(found).tolist())
    assert 16 < len(found) <= 32
    assert data.endswith(read)
    assert len(data) - len(read) in TEXT.word_starts(np.frombuffer(data, np.uint8))
    assert context(plan, [], list(b"short")) == [vocab.bos, *vocab.encode(list(b"short"))]
    endless = context(plan, [], list(b"a" * 500))
    assert 0 < len(endless) <= 32 and set(vocab.expand(endless).tolist()) == {ord("a")}


def test_a_single_text_holds_its_last_words_out(tmp_path: Path) -> None:
    data = write_book(5_000)
    store = store_of(tmp_path, [record(data)])
    corpus = divide(store, TEXT)
    assert corpus.rule.kind == "tail"
    head, tail = (bytes(span.piece(0).tolist()) for span in (corpus.train, corpus.val))
    assert head + tail == data
    words = TEXT.word_starts(np.frombuffer(data, np.uint8))
    assert len(head) == words[-(len(words) // 10)]


def test_losses_are_told_a_byte(tiny: Loaded, tmp_path: Path) -> None:
    data = "A short text, café.".encode()
    (tmp_path / "in.jsonl").write_bytes(lines_of([record(data, meta={"split": "test"})]))
    evaluation = Evaluation(tiny, "cpu")
    rejects = Rejects(strict=True)
    (line,) = evaluation.lines(RecordReader([str(tmp_path / "in.jsonl")], rejects), rejects)
    ids = [tiny.vocab.bos, *tiny.vocab.encode(list(data)).tolist(), tiny.vocab.eos]
    chances = tiny.model(torch.tensor([ids[:-1]])).log_softmax(-1)[0]
    nats = -sum(float(chances[place, id]) for place, id in enumerate(ids[1:]))
    assert line == {
        "id": f"{len(data):x}", "src": "", "split": "test",
        "tokens": len(ids) - 1, "bytes": len(data),
        "loss": pytest.approx(nats / (len(ids) - 1), abs=1e-4),
        "ppl": pytest.approx(math.exp(nats / (len(ids) - 1)), rel=1e-3),
        "loss_byte": pytest.approx(nats / len(data), abs=1e-4),
        "bits_byte": pytest.approx(nats / len(data) / math.log(2), abs=1e-4),
    }  # fmt: skip
    (total,) = evaluation.total_lines()
    assert total["bytes"] == len(data) and "notes" not in total


def test_of_a_tail_the_bytes_that_were_scored_are_counted(tmp_path: Path) -> None:
    rule = SplitRule("tail", frozenset("g"), frozenset("g"))
    loaded = load(save_tiny(tmp_path / "m", tiny_vocab("text", merges()), rule=rule))
    data = write_book(2_000)
    (tmp_path / "in.jsonl").write_bytes(lines_of([record(data, group="g")]))
    rejects = Rejects(strict=True)
    reader = RecordReader([str(tmp_path / "in.jsonl")], rejects)
    (line,) = Evaluation(loaded, "cpu").lines(reader, rejects)
    words = TEXT.word_starts(np.frombuffer(data, np.uint8))
    tail = data[words[-(len(words) // 10)] :]
    # Nothing stands before the first token.
    first = loaded.vocab.expansion(int(loaded.vocab.encode(list(tail))[0]))
    assert line["bytes"] == len(tail) - len(first)


def final(out: bytes) -> dict[str, Any]:
    return next(line for line in map(json.loads, out.splitlines()) if line["event"] == "final")


def test_a_book_becomes_a_model_that_prints_text(run: Runner, short_training: None) -> None:
    (run.folder / "book.txt").write_bytes(write_book(30_000))
    line = (
        "text2tok book.txt | toktrain --bpe 512 -o t.model >log && toksample -m t.model | tok2text"
    )
    done = run.shell(line)
    assert done.out.decode().strip() and done.out.endswith(b"\n")
    assert "1 records, " in done.err and " bytes, seed " in done.err
    card = (run.folder / "t.model/README.md").read_text()
    assert "a single piece: its last tenth is held out" in card
    assert "| pieces | number | a token | a byte | bits a byte |" in card and "note" not in card
    found = final((run.folder / "log").read_bytes())
    assert f"| test | 1 | {found['test']['loss']:.4f} | " in card
    assert found["test"]["bits_byte"] == pytest.approx(
        found["test"]["loss_byte"] / math.log(2), abs=1e-4
    )
    scored = run.shell("text2tok book.txt | tokeval -m t.model | tail -n 1")
    total = json.loads(scored.out)
    assert total["bytes"] == found["test"]["bytes"]
    assert total["loss_byte"] == pytest.approx(found["test"]["loss_byte"], rel=0.02)
    assert " a byte; bits: " in scored.err


def test_pieces_of_a_book_train_and_validate_and_genres_are_conditions(run: Runner) -> None:
    (run.folder / "a.txt").write_bytes(write_book(40_000))
    (run.folder / "b.txt").write_bytes(write_book(40_000, seed=1))
    run.shell(
        "text2tok --per 2k --set genre=novel a.txt > in.jsonl;"
        " text2tok --per 2k --set genre=letters b.txt >> in.jsonl"
    )
    argv = ("--bpe", "60", "--steps", "4", *TINY)
    found = final(run("toktrain", "in.jsonl", "-o", "m", *argv).out)
    assert found["val"]["pieces"] > 1 and set(found["val"]["genres"]) <= {"novel", "letters"}
    assert found["val"]["bytes"] == sum(t["bytes"] for t in found["val"]["genres"].values())
    prompt = "printf 'The old café' | text2tok -q | toksample -q -m m --tokens 30"
    (run.folder / "whole").write_bytes(run.shell(f"{prompt} --genre Novel --seed 2 --continue").out)
    made = json.loads((run.folder / "whole").read_bytes())
    assert made["meta"] == {"genre": "novel"}
    whole = run("tok2text", "whole").out
    new = run.shell(f"{prompt} --genre novel --seed 2 --only-new | tok2text -q").out
    assert whole == "The old café".encode() + new and len(bytes(made["ids"]).decode()) <= 42

"""toktrain --overfit-one: a sound model learns a piece by heart; a broken one is told apart."""

import copy
import json
from typing import Any

import pytest
import torch
from conftest import Runner
from hand_records import lines_of, piece

from midigen import selftest
from midigen.registry import load
from midigen.selftest import overfit
from midigen.settings import Settings

TINY = {"model": "llama:width=64,layers=2,head=16", "window": 64, "lr": 3e-3}


def learn(**changes: Any) -> selftest.Outcome:
    settings = Settings(**TINY | changes, batch=4096)  # type: ignore[arg-type]
    return overfit(piece(3), settings, "cpu", lambda step, loss: None)


@pytest.mark.parametrize("changes", [{}, {"bpe": 20}, {"specials": False}, {"optimizer": "muon"}])
def test_a_piece_is_learned_by_heart_and_written_again(changes: dict[str, Any]) -> None:
    outcome = learn(**changes)
    assert outcome.passed
    assert 40 < outcome.same == outcome.length <= 64 * (3 if changes.get("bpe") else 1)
    assert "learned by heart" in outcome.sentence() and "NOT" not in outcome.sentence()


def test_a_model_that_cannot_see_order_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its attention the model knows the last token alone."""
    plugin = load("models", "llama")

    class Blind:
        Config = plugin.Config
        PRESETS = plugin.PRESETS

        @staticmethod
        def build(config: Any, size: int) -> torch.nn.Module:
            model: torch.nn.Module = plugin.build(config, size)
            for block in model.model.layers:
                block.self_attn.forward = lambda x, *rest: torch.zeros_like(x)
            return model

    def blind(name: str, config: Any, size: int, seed: int) -> torch.nn.Module:
        return Blind.build(config, size)

    monkeypatch.setattr(selftest, "build_model", blind)
    monkeypatch.setattr(selftest, "MOST_STEPS", 60)
    monkeypatch.setattr(copy, "deepcopy", lambda model: model)
    outcome = learn(dtype="fp32")
    assert not outcome.passed and outcome.loss > 0.1
    assert "NOT learned by heart" in outcome.sentence()


def test_the_command_says_how_it_went_and_writes_nothing(run: Runner) -> None:
    (run.folder / "in.jsonl").write_bytes(lines_of([piece(3)]))
    model = ("--model", TINY["model"], "--window", "64", "--lr", "3e-3")
    done = run("toktrain", "--overfit-one", *model, "in.jsonl", env={"OMP_NUM_THREADS": "1"})
    assert "learned by heart" in done.err
    found = json.loads(done.out)
    assert found["event"] == "selftest" and found["same"] == found["length"]
    assert [path.name for path in run.folder.iterdir()] == ["in.jsonl"]


def test_a_record_that_cannot_be_learned_is_told(run: Runner) -> None:
    cases = {"ids": [99999] * 9, "grammar": [200] * 9}
    for words, ids in cases.items():
        (run.folder / "in.jsonl").write_bytes(lines_of([piece(3) | {"ids": ids}]))
        done = run("toktrain", "--overfit-one", "in.jsonl", code=1, env={"OMP_NUM_THREADS": "1"})
        assert "Traceback" not in done.err
        assert ("99999" if words == "ids" else "too little that is valid") in done.err

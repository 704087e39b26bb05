"""The learning rate over a run, and the settings that make it."""

from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import ExponentialLR, ReduceLROnPlateau

from midigen.checkpointing import Progress
from midigen.errors import MidigenError, UsageError
from midigen.preparation import model_config
from midigen.schedule import (
    Schedule,
    default_decay,
    default_rate,
    most_steps,
    risen_dropout,
)
from midigen.settings import Settings


def test_rises_then_falls_to_nothing_over_steps() -> None:
    schedule = Schedule(1.0, 1000)
    rates = [schedule.rate(step, schedule.progress(step, 0.0)) for step in range(1000)]
    peak = rates.index(max(rates))
    assert 20 < peak < 40 and max(rates) > 0.99
    assert rates[:peak] == sorted(rates[:peak]) and rates[peak:] == sorted(
        rates[peak:], reverse=True
    )
    assert 0 < rates[0] < 0.05 and rates[-1] < 1e-5


def test_rises_then_falls_over_time_however_fast_steps_are() -> None:
    schedule = Schedule(1.0, None, 100.0)
    for steps_a_second in (1, 50):
        rates = [
            schedule.rate(k, schedule.progress(k, k / steps_a_second))
            for k in range(100 * steps_a_second)
        ]
        assert 0 < rates[0] < 0.01 and max(rates) > 0.98 and rates[-1] < 1e-3
    assert schedule.progress(5, 250.0) == 1.0


def stepped(make: Callable[[Any], Any], losses: list[float | None], epochs: int) -> list[float]:
    """Return the rates that one of torch's schedulers gives, an epoch each."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = make(optimizer)
    rates = []
    for epoch in range(epochs):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step(*([] if losses[epoch] is None else [losses[epoch]]))
    return rates


def test_an_exponential_schedule_is_torchs_an_epoch_and_stays_above_its_floor() -> None:
    wanted = stepped(lambda o: ExponentialLR(o, 0.9), [None] * 20, 20)
    schedule = Schedule(
        1.0, 200, kind="exponential", warmup=0.0, floor=0.3, factor=0.9, steps_an_epoch=10.0
    )
    found = [schedule.rate(step, step / 200) for step in range(200)]
    assert found[5::10] == pytest.approx([max(0.3, rate) for rate in wanted])


def test_a_constant_schedule_rises_for_so_many_steps() -> None:
    schedule = Schedule(2.0, 1000, kind="constant", warmup=4)
    assert [schedule.rate(k, k / 1000) for k in range(6)] == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0]


def test_a_cosine_falls_to_its_floor() -> None:
    assert Schedule(1.0, 1000, floor=0.1).rate(999, 1.0) == pytest.approx(0.1)


def test_a_plateau_lowers_the_rate_as_torch_does() -> None:
    losses = [3.0, 2.0, 2.0, 1.99999, 2.1, 2.0, 1.5, 1.6, 1.7, 1.8, 1.4, 1.5, 1.5, 1.5, 1.5]
    wanted = stepped(
        lambda o: ReduceLROnPlateau(o, factor=0.5, patience=2, min_lr=0.2), [*losses], len(losses)
    )
    schedule = Schedule(1.0, 1000, kind="plateau", warmup=0.0, floor=0.2, factor=0.5)
    progress = Progress()
    found = []
    for loss in losses:
        found.append(schedule.rate(5, 0.5, progress.reductions))
        progress.watch(loss, 2)
    assert found == wanted


def test_windows_double_from_an_eighth_over_a_share_of_the_run() -> None:
    schedule = Schedule(1.0, 1000, growth=0.6)
    parts = [schedule.parts(step / 1000) for step in range(1001)]
    assert [len(list(run)) for _, run in groupby(parts)] == [200, 200, 200, 401]
    assert sorted(set(parts)) == [1, 2, 4, 8] and parts == sorted(parts, reverse=True)
    assert {Schedule(1.0, 10).parts(k / 10) for k in range(11)} == {1}
    with pytest.raises(UsageError, match="an eighth of --window; 100 has none"):
        Settings(window=100, window_growth=0.5)


def test_larger_models_learn_slower() -> None:
    for name in ("muon", "adamw", "adamax"):
        rates = [default_rate(n, name) for n in (10**6, 3 * 10**7, 10**8, 10**9)]
        assert rates == sorted(rates, reverse=True) and len(set(rates)) == 4


def test_the_optimiser_is_muon_where_it_can_be() -> None:
    assert Settings().chosen().optimizer == "muon"
    assert Settings(lora=4).chosen().optimizer == Settings().chosen(shard=True).optimizer == "adamw"
    assert Settings(optimizer="adamax").chosen().optimizer == "adamax"
    with pytest.raises(UsageError, match="--shard"):
        Settings(optimizer="muon").chosen(shard=True)


def test_settings_come_back_and_another_version_is_refused(tmp_path: Path) -> None:
    settings = Settings(lr=0.1, unit="epochs", amount=2.5, condition=("era",))
    settings.save(tmp_path / "settings.json")
    assert Settings.read(tmp_path / "settings.json") == settings
    (tmp_path / "settings.json").write_text('{"version": 1, "lr": 0.1}')
    with pytest.raises(MidigenError, match="another version"):
        Settings.read(tmp_path / "settings.json")


def test_a_resumed_run_may_be_longer_and_no_other() -> None:
    settings = Settings(seed=4)
    longer = settings.resumed({"unit": "steps", "amount": 9.0, "seed": 4})
    assert (longer.unit, longer.amount, longer.seed) == ("steps", 9.0, 4)
    with pytest.raises(UsageError, match="window 512, not 64"):
        settings.resumed({"window": 64})


def test_a_model_spec_changes_its_preset() -> None:
    name, config = model_config(Settings(model="llama:layers=3,tied=0", preset="tiny"))
    assert name == "llama"
    assert (config.layers, config.tied, config.width) == (3, False, 128)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (Settings(model="musicgpt", window=1024), "sees 576 ids at most"),
        (Settings(model="lstm", preset="tiny"), "lstm has no presets"),
        (Settings(model="llama", preset="huge"), "not one of"),
    ],
)
def test_a_model_that_cannot_be_is_refused_before_anything_is_read(
    settings: Settings, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        model_config(settings)


def test_little_data_decay_more_are_read_less_and_drop_out() -> None:
    decays = [default_decay(5e-3, 4096, tokens) for tokens in (1, 370_000, 2_200_000, 10**9)]
    assert decays == [2.0, 1.8, 0.31, 0.1]
    # 40 epochs over 370,000 tokens and their copies; without copies a quarter; never too few steps.
    assert most_steps(40.0, 4096, 370_000, 370_000 * 12) == round(40 * 370_000 / 4096)
    assert most_steps(40.0, 400, 370_000, 370_000) == round(10 * 370_000 / 400)
    assert most_steps(40.0, 4096, 1000, 1000) == 1000 and most_steps(0.0, 4096, 1000, 1000) == 0
    rates = [risen_dropout(0.005, epochs) for epochs in (0.0, 1.9, 2.0, 28.0, 40.0, 1000.0)]
    assert rates == pytest.approx([0.0, 0.0, 0.01, 0.14, 0.2, 0.2])
    assert risen_dropout(0.0, 1e6) == 0.0


def test_a_run_of_minutes_ends_after_the_most_steps() -> None:
    schedule = Schedule(1.0, None, 100.0, most=50)
    assert schedule.progress(25, 10.0) == 0.5 and schedule.progress(25, 80.0) == 0.8
    assert schedule.progress(50, 10.0) == 1.0 and schedule.cut_short(10.0)
    assert not schedule.cut_short(100.0) and not Schedule(1.0, 50).cut_short(1.0)
    assert Schedule(1.0, None, 100.0).progress(10**6, 10.0) == 0.1


def test_a_continued_run_may_be_allowed_more_epochs() -> None:
    settings = Settings(unit="minutes", amount=5.0)
    longer = settings.resumed({"unit": "minutes", "amount": 9.0, "most_epochs": 0.0})
    assert (longer.amount, longer.most_epochs) == (9.0, 0.0)
    with pytest.raises(UsageError, match="goes on with dropout rise"):
        settings.resumed({"dropout_rise": 0.5})

"""The learning rate over a run, and the settings that make it."""

from pathlib import Path

import pytest

from midigen.errors import MidigenError, UsageError
from midigen.preparation import model_config
from midigen.schedule import Schedule, default_rate
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


def test_larger_models_learn_slower() -> None:
    rates = [default_rate(n) for n in (10**6, 3 * 10**7, 10**8, 10**9)]
    assert rates == sorted(rates, reverse=True) and len(set(rates)) == 4


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

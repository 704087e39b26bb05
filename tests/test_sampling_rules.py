"""Sampling rules on logits: what survives, and with which chance it is drawn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from midigen import sampling_rules as rules

LOGITS = arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(2, 40)),
                elements=st.floats(-30, 30, width=32))  # fmt: skip


def survivors(logits: np.ndarray) -> list[int]:
    return np.flatnonzero(logits > rules.NEVER).tolist()


def test_mask_forbids_what_is_not_allowed() -> None:
    masked = rules.mask(np.array([1.0, 2.0, 3.0]), np.array([True, False, True]))
    assert masked.tolist() == [1.0, rules.NEVER, 3.0]


def test_top_k_keeps_the_k_highest() -> None:
    assert survivors(rules.top_k(np.array([0.1, 3.0, -1.0, 2.0]), 2)) == [1, 3]


def test_top_k_keeps_ties_at_its_edge() -> None:
    assert survivors(rules.top_k(np.array([1.0, 1.0, 0.0, 2.0]), 2)) == [0, 1, 3]


def test_top_k_larger_than_what_is_allowed_brings_nothing_back() -> None:
    masked = np.array([1.0, rules.NEVER, rules.NEVER])
    assert survivors(rules.top_k(masked, 2)) == [0]


def test_top_p_keeps_the_fewest_that_reach_p() -> None:
    logits = np.log([0.5, 0.3, 0.15, 0.05])
    assert survivors(rules.top_p(logits, 0.79)) == [0, 1]
    assert survivors(rules.top_p(logits, 0.81)) == [0, 1, 2]
    assert survivors(rules.top_p(logits, 0.01)) == [0]


def test_min_p_is_relative_to_the_likeliest() -> None:
    logits = np.log([0.5, 0.3, 0.15, 0.05])
    assert survivors(rules.min_p(logits, 0.29)) == [0, 1, 2]
    assert survivors(rules.min_p(logits, 1.0)) == [0]


def test_rules_that_are_off_change_nothing() -> None:
    logits = np.array([[1.0, rules.NEVER, -2.0]])
    for same in (rules.top_k(logits, 0), rules.top_p(logits, 1.0), rules.min_p(logits, 0.0)):
        assert np.array_equal(same, logits)


@given(LOGITS, st.integers(1, 50), st.floats(0.01, 1), st.floats(0, 1), st.floats(1e-3, 2))
def test_the_likeliest_survives_every_rule_in_every_row(
    logits: np.ndarray, k: int, p: float, least: float, heat: float
) -> None:
    out = rules.temperature(logits, heat)
    out = rules.min_p(rules.top_p(rules.top_k(out, k), p), least)
    assert not np.isnan(out).any()
    best = logits.argmax(axis=-1)
    assert (np.take_along_axis(out, best[:, None], axis=-1) > rules.NEVER).all()


@given(LOGITS, st.integers(1, 50), st.floats(0.01, 1), st.floats(0, 1))
def test_rows_do_not_depend_on_their_neighbours(
    logits: np.ndarray, k: int, p: float, least: float
) -> None:
    together = rules.min_p(rules.top_p(rules.top_k(logits, k), p), least)
    for row, alone in zip(together, logits, strict=True):
        expected = rules.min_p(rules.top_p(rules.top_k(alone, k), p), least)
        assert np.array_equal(row, expected)


@given(LOGITS, st.floats(0.01, 1))
def test_what_top_p_keeps_reaches_p_and_would_not_without_its_last(
    logits: np.ndarray, p: float
) -> None:
    chances = rules.softmax(logits)
    for row, kept in zip(chances, rules.top_p(logits, p) > rules.NEVER, strict=True):
        assert row[kept].sum() >= p - 1e-9
        assert row[kept].sum() - row[kept].min() < p + 1e-9


def test_a_tiny_temperature_leaves_the_likeliest_alone_and_no_nan() -> None:
    out = rules.temperature(np.array([700.0, 699.0, rules.NEVER]), 1e-310)
    assert out.tolist() == [0.0, rules.NEVER, rules.NEVER]


@pytest.mark.parametrize("heat", [0.5, 1.0, 2.0])
def test_the_highest_of_logits_and_noise_is_a_draw_by_chance(heat: float) -> None:
    logits = rules.temperature(np.log([0.6, 0.3, 0.1]), heat)
    uniform = np.random.default_rng(0).random((40_000, 3))
    drawn = (logits + rules.gumbel(uniform)).argmax(axis=-1)
    share = np.bincount(drawn, minlength=3) / len(drawn)
    assert np.allclose(share, rules.softmax(logits), atol=0.01)


def test_noise_is_finite_at_both_ends_of_its_range() -> None:
    assert np.isfinite(rules.gumbel(np.array([0.0, np.nextafter(1, 0)]))).all()

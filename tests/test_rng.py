"""Random numbers belong to (seed, id, aug, stage) and to nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midigen.rng import generator, key, sample, uniform

KEY = (7, "a3f0", {"shift": 2}, "sample")


def test_same_purpose_same_numbers() -> None:
    assert uniform(*KEY) == uniform(*KEY)
    assert sample(range(100), 5, *KEY) == sample(range(100), 5, *KEY)
    assert generator(*KEY).random(4).tolist() == generator(*KEY).random(4).tolist()


@pytest.mark.parametrize(
    "other",
    [
        (8, "a3f0", {"shift": 2}, "sample"),
        (7, "a3f1", {"shift": 2}, "sample"),
        (7, "a3f0", {"shift": 3}, "sample"),
        (7, "a3f0", {}, "sample"),
        (7, "a3f0", {"shift": 2, "velocity": 1}, "sample"),
        (7, "a3f0", {"shift": 2}, "velocity"),
    ],
)
def test_each_part_of_the_purpose_counts(other: tuple[int, str, dict[str, float], str]) -> None:
    assert key(*other) != key(*KEY)
    assert uniform(*other) != uniform(*KEY)
    assert generator(*other).random() != generator(*KEY).random()


def test_order_of_aug_does_not_count() -> None:
    one, two = {"shift": 1, "velocity": 2}, {"velocity": 2, "shift": 1}
    assert key(1, "a", one, "s") == key(1, "a", two, "s")


def test_id_that_is_no_text_in_utf8_has_its_numbers_too() -> None:
    assert 0 <= uniform(1, "\udcff", {}, "s") < 1


def test_uniform_is_uniform() -> None:
    values = np.array([uniform(1, str(n), {}, "s") for n in range(4000)])
    assert values.min() >= 0 and values.max() < 1
    counts, _ = np.histogram(values, 10, (0, 1))
    assert np.abs(counts - 400).max() < 100
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.05


@given(st.lists(st.integers(), max_size=30), st.integers(0, 40), st.integers(0, 999))
def test_sample_draws_distinct_places(items: list[int], k: int, seed: int) -> None:
    places = list(enumerate(items))
    drawn = sample(places, k, seed, "a", {}, "s")
    assert len(drawn) == min(k, len(items))
    assert len(set(drawn)) == len(drawn) and set(drawn) <= set(places)


def test_every_place_is_drawn_as_often() -> None:
    counts = np.zeros(6)
    for n in range(3000):
        for place in sample(range(6), 2, 1, str(n), {}, "s"):
            counts[place] += 1
    assert np.abs(counts - 1000).max() < 120
    first = [sample(range(6), 2, 1, str(n), {}, "s")[0] for n in range(3000)]
    assert np.abs(np.bincount(first) - 500).max() < 100

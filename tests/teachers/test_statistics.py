from __future__ import annotations

import numpy as np
import pytest

from lvlm2p.teachers.statistics import bootstrap


def test_the_interval_of_a_mean_is_the_one_of_theory() -> None:
    values = np.random.default_rng(0).normal(size=400)
    low, high = bootstrap(values, resamples=4000)
    half = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - half, abs=0.01)
    assert high == pytest.approx(values.mean() + half, abs=0.01)


def test_whole_cases_are_drawn_and_the_seed_decides_which() -> None:
    rows = np.array([[0.0, 1.0], [1.0, 0.0]])
    # the mean of two drawn rows is 0, 1/2 or 1 with probabilities 1/4, 1/2, 1/4
    low, high = bootstrap(rows)
    assert low.tolist() == [0, 0] and high.tolist() == [1, 1]
    # a column more is drawn with the same rows: the sum of both is always 1
    low, high = bootstrap(rows, lambda samples: samples.sum(axis=2).mean(axis=1))
    assert low == high == 1
    nine = np.arange(9.0)
    assert bootstrap(nine, resamples=100, seed=7) == bootstrap(nine, resamples=100, seed=7)
    assert bootstrap(nine, resamples=100, seed=7) != bootstrap(nine, resamples=100, seed=8)

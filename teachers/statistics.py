"""The confidence interval of every number here that is not a proportion: one bootstrap for all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
"""Confidence level of all intervals."""

RESAMPLES = 1_000

Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""From (resamples, n, ...) to (resamples, ...): computed for all resamples at once."""


def mean(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over cases: from (resamples, n, ...) to (resamples, ...)."""
    return np.asarray(samples.mean(axis=1))


def bootstrap(
    values: NDArray[np.float64],
    statistic: Statistic = mean,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The percentile-bootstrap interval (Efron, 1979) of a statistic of ``values`` (n, ...).

    Whole cases are drawn with replacement, n at a time; the same seed gives the same interval.

    Returns:
        Lower and upper end, each of the statistic's own shape.
    """
    n = len(values)
    draws = np.random.default_rng(seed).integers(n, size=(resamples, n))
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(statistic(values[draws]), [tail, 1 - tail], axis=0)
    return low, high

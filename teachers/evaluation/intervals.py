"""Numbers with their 95% interval.

Proportions get Wilson's score interval, which stays honest near 0 and 1; everything else gets a
percentile bootstrap over states or episodes with a fixed seed, so that a report is reproducible.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lvlm2p.teachers.evaluation.results import Estimate

Z = 1.959963984540054
"""The 97.5% point of the normal distribution."""

RESAMPLES = 1_000


def wilson(successes: float, n: int) -> Estimate | None:
    """A proportion with Wilson's score interval (1927); None of nothing.

    The interval is centred on (p + z²/2n) / (1 + z²/n), so it never leaves [0, 1] and has width
    even where all or none succeeded. A fractional success (a tie) counts in part.
    """
    if n == 0:
        return None
    p = min(1.0, max(0.0, successes / n))
    scale = 1 + Z * Z / n
    centre = (p + Z * Z / (2 * n)) / scale
    half = Z * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n)) / scale
    low = centre - half if p > 1e-9 else 0.0
    high = centre + half if p < 1 - 1e-9 else 1.0  # exactly 0 and 1, whatever rounding does
    return Estimate(value=p, low=max(0.0, low), high=min(1.0, high), n=n)


def proportion(hits: NDArray[np.bool_] | NDArray[np.float64]) -> Estimate | None:
    """:func:`wilson` of a vector (n,) of yes and no, or of shares from 0 to 1."""
    return wilson(float(hits.sum()), len(hits))


def mean(values: NDArray[np.float64]) -> Estimate | None:
    """A mean over ``values`` (n,) with its bootstrap interval; None of nothing."""
    return bootstrap(values, lambda sample: sample.mean(axis=-1))


def bootstrap(
    values: NDArray[np.float64],
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> Estimate | None:
    """A statistic with its percentile-bootstrap interval (Efron 1979); None of nothing.

    Args:
        values: (n,), or (n, k) where a statistic needs k numbers of each case.
        statistic: from (..., n) or (..., n, k) to (...): called once for all resamples.
    """
    n = len(values)
    if n == 0:
        return None
    value = float(statistic(values[None])[0])
    draws = np.random.default_rng(0).integers(n, size=(RESAMPLES, n))
    low, high = np.quantile(statistic(values[draws]), [0.025, 0.975])
    return Estimate(value=value, low=float(low), high=float(high), n=n)

"""Numbers with their 95% interval.

Proportions get Wilson's score interval, which stays honest near 0 and 1; everything else gets a
percentile bootstrap over states or episodes with a fixed seed, so that a report is reproducible.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lvlm2p.teachers import statistics
from lvlm2p.teachers.evaluation.results import Interval

Z = 1.959963984540054
"""The 97.5% point of the normal distribution."""


def wilson(successes: float, n: int) -> Interval | None:
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
    return Interval(value=p, low=max(0.0, low), high=min(1.0, high), n=n)


def proportion(hits: NDArray[np.bool_] | NDArray[np.float64]) -> Interval | None:
    """:func:`wilson` of a vector (n,) of yes and no, or of shares from 0 to 1."""
    return wilson(float(hits.sum()), len(hits))


def mean(values: NDArray[np.float64]) -> Interval | None:
    """A mean over ``values`` (n,) with its bootstrap interval; None of nothing."""
    return bootstrap(values, statistics.mean)


def bootstrap(values: NDArray[np.float64], statistic: statistics.Statistic) -> Interval | None:
    """A statistic of ``values`` (n, ...) with its bootstrap interval; None of nothing.

    The statistic is one number: from (resamples, n, ...) to (resamples,).
    """
    n = len(values)
    if n == 0:
        return None
    low, high = statistics.bootstrap(values, statistic)
    value = float(statistic(values[None])[0])
    return Interval(value=value, low=float(low), high=float(high), n=n)

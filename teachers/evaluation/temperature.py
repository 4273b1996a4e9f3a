"""Which temperature makes a teacher's probabilities fit the optimal sets best."""

from __future__ import annotations

import numpy as np

from lvlm2p.teachers.evaluation.measures import Bools, Floats, nll
from lvlm2p.teachers.evaluation.results import Temperature
from lvlm2p.teachers.wrappers.calibrated import temper

LOWEST, HIGHEST = 0.1, 10.0
MINIMUM = 20
"""Fewer answers than this fit nothing."""


def fit_temperature(p: Floats, optimal: Bools) -> Temperature | None:
    """The temperature in [0.1, 10] with the least mean NLL; None for fewer than 20 answers.

    A grid of 400 logarithmic steps (about 1% apart) and no optimiser: with sets of optimal actions
    the NLL need not have one minimum, and a grid can't be fooled. Of equals (uniform answers stay
    uniform) the nearest to 1.
    """
    if len(p) < MINIMUM:
        return None
    grid = np.geomspace(LOWEST, HIGHEST, 401)
    scores = np.array([nll(temper(p, float(t)), optimal).mean() for t in grid])
    equals = np.flatnonzero(scores <= scores.min() + 1e-9)
    best = int(equals[np.abs(np.log(grid[equals])).argmin()])
    return Temperature(
        value=float(grid[best]),
        nll_before=float(nll(p, optimal).mean()),
        nll_after=float(scores[best]),
        at_bound=best in (0, len(grid) - 1),
    )

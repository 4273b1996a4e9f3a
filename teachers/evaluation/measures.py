"""The measures, as pure functions of stated probabilities and optimal sets.

Shapes throughout: ``p`` (n, actions) float, rows sum to 1; ``optimal`` (n, actions) bool, the *set*
of actions that are best in each state. Ties are common on a grid, so a teacher is never held
against one arbitrary member of that set.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lvlm2p.teachers.evaluation.results import Bin
from lvlm2p.teachers.wrappers.calibrated import FLOOR

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

BINS = 10


def choice(p: Floats) -> Floats:
    """(n, actions) 1 for the most probable action; shared out where several are equally so.

    What stands first among equals is an accident of the task's order and says nothing about a
    teacher: uniform probabilities would otherwise mean "always the first action".
    """
    top = p >= p.max(axis=1, keepdims=True) - 1e-9
    return np.asarray(top / top.sum(axis=1, keepdims=True), dtype=np.float64)


def top1(p: Floats, optimal: Bools) -> Floats:
    """(n,) 1 where the most probable action is optimal, a fraction where only some equals are."""
    return np.asarray((choice(p) * optimal).sum(axis=1), dtype=np.float64)


def mass(p: Floats, optimal: Bools) -> Floats:
    """(n,) probability on the optimal actions."""
    return np.asarray((p * optimal).sum(axis=1), dtype=np.float64)


def nll(p: Floats, optimal: Bools) -> Floats:
    """(n,) -log of the mass on the optimal set, in nats.

    The mass is floored (``calibrated.FLOOR``): a stated 0 costs 6.9 nats, not infinity,
    since models state 0 where they mean "hardly".
    """
    return np.asarray(-np.log(np.clip(mass(p, optimal), FLOOR, 1.0)), dtype=np.float64)


def brier(p: Floats, optimal: Bools) -> Floats:
    """(n,) squared distance from ``p`` to the nearest distribution that is optimal.

    With mass m on the k optimal actions, that distribution adds (1 - m) / k to each of them and
    takes all else away: sum over the others of p², plus (1 - m)² / k. With one optimal action this
    is Brier's score (1950), 0 to 2.
    """
    missing = 1 - mass(p, optimal)
    others = np.square(np.where(optimal, 0.0, p)).sum(axis=1)
    return np.asarray(others + np.square(missing) / optimal.sum(axis=1), dtype=np.float64)


def _bin_of(confidence: Floats) -> NDArray[np.intp]:
    """Index of the bin, of which the last is closed: 1.0 is no bin of its own."""
    return np.minimum((confidence * BINS).astype(np.intp), BINS - 1)


def reliability(confidence: Floats, right: Floats) -> tuple[Bin, ...]:
    """The non-empty bars of a reliability diagram; both arguments are (n,)."""
    where = _bin_of(confidence)
    return tuple(
        Bin(
            low=index / BINS,
            high=(index + 1) / BINS,
            n=int(inside.sum()),
            confidence=float(confidence[inside].mean()),
            accuracy=float(right[inside].mean()),
        )
        for index in range(BINS)
        if (inside := where == index).any()
    )


def ece(confidence_right: Floats) -> Floats:
    """Expected calibration error (Naeini et al. 2015), for :func:`intervals.bootstrap`.

    Sum over bins of (share of the answers) * |mean confidence - accuracy|, which is the sum over
    bins of |sum of (confidence - right)| / n. Where several actions are optimal and a teacher
    rightly splits its probability, its confidence is low and its accuracy is not: ECE then calls a
    careful teacher underconfident.

    Args:
        confidence_right: (..., n, 2), highest probability and 1 or 0 for right or wrong.

    Returns:
        (...): one number for each sample.
    """
    confidence = confidence_right[..., 0]
    gap = confidence - confidence_right[..., 1]
    where = _bin_of(confidence)
    total = np.zeros(gap.shape[:-1])
    for index in range(BINS):
        total += np.abs(np.where(where == index, gap, 0.0).sum(axis=-1))
    return np.asarray(total / gap.shape[-1], dtype=np.float64)


def confusion(p: Floats, optimal: Bools) -> Floats:
    """(actions, actions): optimal by row, chosen by column, summing to n.

    A right choice counts in its own row; a wrong one is shared out over the optimal actions.
    """
    chosen = choice(p)
    shares = optimal / optimal.sum(axis=1, keepdims=True)
    wrong = shares.T @ np.where(optimal, 0.0, chosen)
    return np.asarray(np.diag((chosen * optimal).sum(axis=0)) + wrong, dtype=np.float64)


def same_choice(p: Floats, q: Floats) -> Floats:
    """(n,) 1 where both choose the same action, a fraction where there are ties.

    Each choice is shared out over its equally probable actions; what both have in common is the
    smaller share, summed over the actions. So the same answer twice is 1, and uniform
    probabilities have 1/4 in common with one of four actions: not 1, although they tie with all.
    """
    return np.asarray(np.minimum(choice(p), choice(q)).sum(axis=1), dtype=np.float64)


def total_variation(p: Floats, q: Floats) -> Floats:
    """(n,) half the sum of |p - q|: the probability that has to move to make them equal."""
    return np.asarray(np.abs(p - q).sum(axis=1) / 2, dtype=np.float64)

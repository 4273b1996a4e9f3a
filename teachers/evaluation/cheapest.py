"""Which teacher to pay: the cheapest that is good enough, and those that nobody beats at both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lvlm2p.teachers.evaluation.results import Evaluation, Results

GOOD_ENOUGH = ("strong", "useful")
"""Verdicts with which a student learned faster in our benchmark than alone."""


@dataclass(frozen=True)
class Offer:
    """A teacher whose accuracy and price are known, on one environment.

    Attributes:
        usd: per 1,000 labels.
        top1: share of optimal choices.
        good: whether its verdict is good enough.
        best: whether none is at least as right for no more, and better in one of the two.
    """

    teacher: str
    level: str
    usd: float
    top1: float
    good: bool
    best: bool


def offers(rows: Sequence[Evaluation]) -> list[Offer]:
    """Those of ``rows``, of one environment, whose accuracy and price are known; the cheapest
    first, of equally cheap ones the most accurate."""
    known = [
        (row, row.cost.usd_per_1000, row.top1.value)
        for row in rows
        if row.cost is not None and row.cost.usd_per_1000 is not None and row.top1 is not None
    ]
    return sorted(
        (
            Offer(
                row.teacher,
                row.verdict.level,
                usd,
                top1,
                row.verdict.level in GOOD_ENOUGH,
                not any(_beats((u, t), (usd, top1)) for _, u, t in known),
            )
            for row, usd, top1 in known
        ),
        key=lambda offer: (offer.usd, -offer.top1),
    )


def _beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether ``one`` (dollars, top-1) costs no more and is right no less often, and not both the
    same."""
    return one != other and one[0] <= other[0] and one[1] >= other[1]


def by_environment(results: Results) -> list[tuple[str, list[Offer]]]:
    """Each environment with the offers of its teachers, baselines aside."""
    rows = [row for row in results.results if not results.is_baseline(row)]
    envs = dict.fromkeys(row.env for row in rows)
    return [(env, offers([row for row in rows if row.env == env])) for env in envs]


def cheapest(found: Sequence[Offer]) -> Offer | None:
    """The cheapest that is good enough; None: none is."""
    return next((offer for offer in found if offer.good), None)

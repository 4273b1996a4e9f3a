"""Whether there are enough episodes or states to tell a teacher from uniformly random actions."""

from __future__ import annotations

from lvlm2p.teachers.evaluation.intervals import wilson
from lvlm2p.teachers.evaluation.results import Interval

MOST = 10**9
"""More are not counted."""


def above(found: Interval, uniform: Interval | None) -> bool:
    """Whether the teacher's rate is surely above that of uniformly random actions."""
    return found.low > (uniform.high if uniform else 0.0)


def below(found: Interval, uniform: Interval | None, useful: float) -> bool:
    """Whether the teacher's rate is surely below what is ``useful``.

    Where uniformly random actions are useful themselves: below halfway from theirs to always.
    """
    rate = uniform.value if uniform else 0.0
    return found.high < (useful if rate < useful else (1 + rate) / 2)


def decided(found: Interval, uniform: Interval | None, useful: float) -> bool:
    """Whether one of both is sure; where none is, there are too few episodes or states."""
    return above(found, uniform) or below(found, uniform, useful)


def needed(found: Interval, uniform: Interval | None, useful: float) -> int:
    """The least number of episodes or states that decides, should both rates stay as they are.

    Intervals of the same rate shrink with the number, so what decides once decides from there on.
    """

    def decides(n: int) -> bool:
        one = wilson(found.value * n, n)
        other = wilson(uniform.value * n, n) if uniform else None
        return one is not None and decided(one, other, useful)

    low, high = 0, MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    return high

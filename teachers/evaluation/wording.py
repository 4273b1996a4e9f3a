"""How numbers are written, the same in the terminal, in Markdown and on the page."""

from __future__ import annotations

from lvlm2p.teachers.evaluation.results import Interval


def percent(share: float) -> str:
    """97%, and one decimal where a whole number would hide the difference from 0 or 1."""
    if 0 < share < 0.01:
        return f"{max(0.1, 100 * share):.1f}%"
    return f"{min(99.9, 100 * share):.1f}%" if 0.99 < share < 1 else f"{100 * share:.0f}%"


def ranged(interval: Interval) -> str:
    """``97% (94-99%)``."""
    low, high = percent(interval.low).rstrip("%"), percent(interval.high)
    return f"{percent(interval.value)} ({low}–{high})"


def bracketed(interval: Interval | None) -> str:
    """``96% [92–98]``; a dash where nothing was measured."""
    if interval is None:
        return "–"
    low, high = (percent(end).rstrip("%") for end in (interval.low, interval.high))
    return f"{percent(interval.value)} [{low}–{high}]"


def dollars(price: float | None) -> str:
    """``$1.20``, ``free``, or a question mark where the price is not known."""
    if price is None:
        return "?"
    return "free" if price == 0 else f"${price:,.2f}"


def short(env_id: str) -> str:
    """``GoToDoor-6x6-v0``: the prefix that most environments share says nothing."""
    return env_id.removeprefix("MiniGrid-")

"""How much may be asked: dollars and calls, counted by whoever asks, shared by all of a run."""

from __future__ import annotations

import threading


class Budget:
    """A limit on dollars and on calls. Thread-safe.

    A call is admitted while neither is spent; calls already under way when the dollars run out
    are paid for, so that a run may overshoot by as many calls as it has in flight.
    """

    def __init__(self, usd: float | None = None, calls: int | None = None) -> None:
        """``usd``, ``calls``: None is no limit."""
        self.usd = usd
        self.calls = calls
        self.spent_usd = 0.0
        self.spent_calls = 0
        self.unpriced_calls = 0
        """Calls whose price is not known. One is enough to end a budget in dollars."""
        self._lock = threading.Lock()

    def refusal(self) -> str | None:
        """Why no further call may be made, in one sentence; None: one may, and is counted now."""
        with self._lock:
            why = self._why_spent()
            self.spent_calls += why is None
            return why

    def charge(self, cost_usd: float | None) -> None:
        """Count what an admitted call cost; None: its price is not known."""
        with self._lock:
            if cost_usd is None:
                self.unpriced_calls += 1
            else:
                self.spent_usd += cost_usd

    def release(self) -> None:
        """Give back an admitted call that was never answered."""
        with self._lock:
            self.spent_calls -= 1

    def _why_spent(self) -> str | None:
        if self.calls is not None and self.spent_calls >= self.calls:
            return f"the budget of {self.calls:,} calls is spent"
        if self.usd is not None and self.unpriced_calls:
            return (
                "the price of a call is not known, so a budget in dollars can't be kept: "
                "give --budget-calls instead"
            )
        if self.usd is not None and self.spent_usd >= self.usd:
            exact = f"{self.usd:,.2f}" if self.usd >= 0.01 or not self.usd else f"{self.usd:g}"
            return f"the budget of ${exact} is spent"
        return None

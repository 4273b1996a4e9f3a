"""How fast one may ask: a lane for each API key, and a gate that deals out their slots.

A lane's concurrency adapts (additive increase, multiplicative decrease, as TCP does): it doubles
with every round of answers until the provider first complains, then grows by one a round, and
halves when the provider answers 429. All of it happens in one event loop; nothing is locked.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

START = 16
"""Calls in flight for each key before anything is known of the provider."""

LONGEST_REST = 60.0
"""Seconds that a lane rests at most when the provider does not say how long."""


@dataclass
class Allowance:
    """A limit per minute, as a bucket that refills steadily.

    It holds six seconds' worth, so that a run neither opens with a minute's burst nor stutters. It
    may be overdrawn, since what a call takes is only known once it is answered.
    """

    per_minute: float
    level: float = field(init=False)
    _at: float = field(init=False)

    def __post_init__(self) -> None:
        self.level = self._most
        self._at = time.monotonic()

    @property
    def _most(self) -> float:
        return max(1.0, self.per_minute / 10)

    def wait(self, need: float) -> float:
        """Seconds until ``need`` (or a full bucket, if that is less) is there."""
        now = time.monotonic()
        self.level = min(self._most, self.level + (now - self._at) * self.per_minute / 60)
        self._at = now
        return max(0.0, (min(need, self._most) - self.level) * 60 / self.per_minute)

    def take(self, amount: float) -> None:
        """Count ``amount``; negative gives back."""
        self.level -= amount


@dataclass(eq=False)
class Lane:
    """One key's share of the traffic."""

    key: str | None = field(repr=False)
    limit: float = START
    growing: bool = True
    """Still doubling: the provider has never complained."""
    running: int = 0
    rest_until: float = 0.0
    halved_at: float = 0.0
    complaints: int = 0
    """429s in a row, with no answer between them."""
    dead: str | None = None
    """Why this key is of no more use."""
    requests: Allowance | None = None
    tokens: Allowance | None = None


class Gate:
    """Deals out slots to callers, in the order in which they came, key after key.

    Args:
        keys: one lane each; ``(None,)`` where no key is needed.
        concurrency: calls in flight at most, all keys together.
        requests_per_minute, tokens_per_minute: limits of each key; None: none known.
    """

    def __init__(
        self,
        keys: Sequence[str | None],
        concurrency: int,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
    ) -> None:
        self.concurrency = concurrency
        self.lanes = [
            Lane(
                key,
                limit=min(START, concurrency),
                requests=_allowance(requests_per_minute),
                tokens=_allowance(tokens_per_minute),
            )
            for key in keys
        ]
        self.usual_tokens = 1_000.0
        """Tokens that a call took lately: what the next one will be taken to need."""
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._turn = 0

    async def enter(self) -> Lane | None:
        """Wait for a slot; None: no key is left. Give it back with :meth:`leave`."""
        while True:
            if all(lane.dead for lane in self.lanes):
                return None
            lane, wait = self._free_lane()
            if lane is not None:
                self._occupy(lane)
                self._wake()  # where there was one slot there may be another
                return lane
            await self._wait(wait)

    def leave(self, lane: Lane, tokens: int | None = None) -> None:
        """Give a slot back. ``tokens``: what the answer took; None: there was none."""
        lane.running -= 1
        if tokens is not None:
            if lane.tokens is not None:
                lane.tokens.take(tokens - self.usual_tokens)
            self.usual_tokens += 0.1 * (tokens - self.usual_tokens)
            lane.limit += 1.0 if lane.growing else 1.0 / lane.limit
            lane.limit = min(lane.limit, float(self.concurrency))
            lane.complaints = 0
        elif lane.tokens is not None:
            lane.tokens.take(-self.usual_tokens)
        self._wake()

    def give_back(self, lane: Lane) -> None:
        """The same for a slot in which nothing was sent."""
        if lane.requests is not None:
            lane.requests.take(-1)
        self.leave(lane)

    def slow_down(self, lane: Lane, entered: float, rest: float | None) -> None:
        """The provider said 429 to a call that entered at ``entered`` (monotonic seconds).

        The lane rests for ``rest`` seconds; None, where the provider did not say: a random time
        that grows with every complaint in a row. Calls that were under way when the lane was
        halved don't halve it again.
        """
        now = time.monotonic()
        lane.growing = False
        if entered >= lane.halved_at:
            lane.limit = max(1.0, lane.limit / 2)
            lane.halved_at = now
            lane.complaints += 1
            if rest is None:
                rest = random.uniform(0.0, min(LONGEST_REST, 0.25 * 2**lane.complaints))
        lane.rest_until = max(lane.rest_until, now + (rest or 0.0))

    def bury(self, lane: Lane, reason: str) -> None:
        """Never use this key again."""
        lane.dead = reason
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    def _free_lane(self) -> tuple[Lane | None, float | None]:
        """A lane with a free slot, else the seconds until one may have (None: when one leaves)."""
        if sum(lane.running for lane in self.lanes) >= self.concurrency:
            return None, None
        now, soonest = time.monotonic(), None
        for step in range(len(self.lanes)):
            lane = self.lanes[(self._turn + step) % len(self.lanes)]
            if lane.dead or lane.running >= int(lane.limit):
                continue
            wait = lane.rest_until - now
            if lane.requests is not None:
                wait = max(wait, lane.requests.wait(1))
            if lane.tokens is not None:
                wait = max(wait, lane.tokens.wait(self.usual_tokens))
            if wait <= 0:
                self._turn += step + 1
                return lane, 0.0
            soonest = wait if soonest is None else min(soonest, wait)
        return None, soonest

    def _occupy(self, lane: Lane) -> None:
        lane.running += 1
        if lane.requests is not None:
            lane.requests.take(1)
        if lane.tokens is not None:
            lane.tokens.take(self.usual_tokens)

    async def _wait(self, seconds: float | None) -> None:
        """Until a slot was given back, or ``seconds`` are over."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            async with asyncio.timeout(seconds):
                await future
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            self._wake()  # if a slot was meant for this caller, who is gone, it is the next one's
            raise
        finally:
            self._waiting.remove(future)

    def _wake(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
                return


def _allowance(per_minute: float | None) -> Allowance | None:
    return None if per_minute is None else Allowance(per_minute)

"""How fast one may ask: a limiter for each API key, and one over all of them.

The concurrency of a key adapts (additive increase, multiplicative decrease, as TCP does): it
doubles with every round of answers until the provider's first 429, then grows by one a round, and
halves at each 429. All of it happens in one event loop; nothing is locked.
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

LONGEST_PAUSE_S = 60.0
"""For how long a key is not used, at most, when a 429 does not say how long."""


@dataclass
class TokenBucket:
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
class KeyLimiter:
    """What is known of one API key: how many calls at a time, and when the next may start.

    Attributes:
        limit: calls in flight at most.
        doubling: whether the provider has never answered 429 yet.
        running: calls in flight.
        paused_until: monotonic seconds.
        halved_at: monotonic seconds; when ``limit`` was last halved.
        consecutive_429s: with no answer between them.
        disabled_reason: why the key is not used any more; None: it is.
    """

    key: str | None = field(repr=False)
    limit: float = START
    doubling: bool = True
    running: int = 0
    paused_until: float = 0.0
    halved_at: float = 0.0
    consecutive_429s: int = 0
    disabled_reason: str | None = None
    requests: TokenBucket | None = None
    tokens: TokenBucket | None = None


class ConcurrencyLimiter:
    """Gives each call a key and a slot, first come, first served, the keys in turn.

    Args:
        keys: ``(None,)`` where no key is needed.
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
        self.keys = [
            KeyLimiter(
                key,
                limit=min(START, concurrency),
                requests=_bucket(requests_per_minute),
                tokens=_bucket(tokens_per_minute),
            )
            for key in keys
        ]
        self.usual_tokens = 1_000.0
        """Tokens that a call took lately: what the next one will be taken to need."""
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._turn = 0

    @property
    def running(self) -> int:
        """Slots that are taken, over all keys."""
        return sum(key.running for key in self.keys)

    async def acquire(self) -> KeyLimiter | None:
        """Wait for a slot; None: no key is left. Give it back with :meth:`release`."""
        while True:
            if all(key.disabled_reason for key in self.keys):
                return None
            key, wait = self._free_key()
            if key is not None:
                self._occupy(key)
                self._wake()  # where there was one slot there may be another
                return key
            await self._wait(wait)

    def release(self, key: KeyLimiter, tokens: int | None = None) -> None:
        """Give a slot back. ``tokens``: what the answer took; None: there was none."""
        key.running -= 1
        if tokens is not None:
            if key.tokens is not None:
                key.tokens.take(tokens - self.usual_tokens)
            self.usual_tokens += 0.1 * (tokens - self.usual_tokens)
            key.limit += 1.0 if key.doubling else 1.0 / key.limit
            key.limit = min(key.limit, float(self.concurrency))
            key.consecutive_429s = 0
        elif key.tokens is not None:
            key.tokens.take(-self.usual_tokens)
        self._wake()

    def release_unused(self, key: KeyLimiter) -> None:
        """The same for a slot in which nothing was sent."""
        if key.requests is not None:
            key.requests.take(-1)
        self.release(key)

    def slow_down(self, key: KeyLimiter, acquired: float, pause: float | None) -> None:
        """The provider said 429 to a call whose slot was acquired at ``acquired`` (monotonic s).

        The key is not used for ``pause`` seconds; None, where the provider did not say: a random
        time that grows with every consecutive 429. Calls that were in flight when the limit was
        halved don't halve it again.
        """
        now = time.monotonic()
        key.doubling = False
        if acquired >= key.halved_at:
            key.limit = max(1.0, key.limit / 2)
            key.halved_at = now
            key.consecutive_429s += 1
            if pause is None:
                longest = min(LONGEST_PAUSE_S, 0.25 * 2**key.consecutive_429s)
                pause = random.uniform(0.0, longest)
        key.paused_until = max(key.paused_until, now + (pause or 0.0))

    def disable(self, key: KeyLimiter, reason: str) -> None:
        """Never use this key again."""
        key.disabled_reason = reason
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    def _free_key(self) -> tuple[KeyLimiter | None, float | None]:
        """A key with a free slot, else the seconds until one may have (None: when one is freed)."""
        if self.running >= self.concurrency:
            return None, None
        now, soonest = time.monotonic(), None
        for step in range(len(self.keys)):
            key = self.keys[(self._turn + step) % len(self.keys)]
            if key.disabled_reason or key.running >= int(key.limit):
                continue
            wait = key.paused_until - now
            if key.requests is not None:
                wait = max(wait, key.requests.wait(1))
            if key.tokens is not None:
                wait = max(wait, key.tokens.wait(self.usual_tokens))
            if wait <= 0:
                self._turn += step + 1
                return key, 0.0
            soonest = wait if soonest is None else min(soonest, wait)
        return None, soonest

    def _occupy(self, key: KeyLimiter) -> None:
        key.running += 1
        if key.requests is not None:
            key.requests.take(1)
        if key.tokens is not None:
            key.tokens.take(self.usual_tokens)

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
            self._wake()  # a slot meant for this caller, who is gone, is the next one's
            raise
        finally:
            self._waiting.remove(future)

    def _wake(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
                return


def _bucket(per_minute: float | None) -> TokenBucket | None:
    return None if per_minute is None else TokenBucket(per_minute)

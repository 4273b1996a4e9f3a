"""One reply, whatever it takes: journal, budget, slot, call, back-off, next key."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from lvlm2p.envs.untrusted import MalformedDataError
from lvlm2p.teachers.budget import Budget
from lvlm2p.teachers.models.hosted import event_loop
from lvlm2p.teachers.models.hosted.provider_errors import PermanentProviderError, ProviderError
from lvlm2p.teachers.models.hosted.rate_limit import ConcurrencyLimiter, KeyLimiter
from lvlm2p.teachers.models.messages import Reply, Request
from lvlm2p.teachers.plugin import Journal
from lvlm2p.teachers.progress import say

BACK_OFF_S, LONGEST_BACK_OFF_S = 0.5, 60.0
"""Full jitter: uniform between 0 and 0.5 s, 1 s, 2 s ... 60 s."""

RATE_LIMITED_SHARE = 1 / 8
"""What a 429, which is no failure of the call's, takes of one retry."""

_REJECTED_IN_A_ROW = 3
"""This many rejected calls, and never an answer: the rest would be rejected too."""

OUTAGE_S, NEVER_UP_S = 300.0, 30.0
"""How long all wait for a provider that is down: one that has answered, one that has not."""

_LONGEST_PROBE_S = 15.0
"""A provider that is down is tried after a tenth to a fifth of the time that it has been, or this.
"""

Send = Callable[[Request, str | None], Awaitable[Reply]]


@dataclass
class Caller:
    """Gets replies. Lives in one event loop.

    A provider is *down* when many calls in a row have failed, whoever made them. Then one call at
    a time finds out whether it is back, and the others wait; that uses up no retries. Once it
    was down for too long each request is sent just once, so that the end is soon reached.

    Attributes:
        send: makes one call; raises :class:`ProviderError`.
        retries: how often one request is sent again, 429s aside.
        down_after: so many failures in a row.
        answered: replies so far.
        permanent_error: why no request will be answered any more; None: one may be.
        calls: what is in flight.
    """

    send: Send
    limiter: ConcurrencyLimiter
    retries: int
    journal: Journal | None = None
    budget: Budget | None = None
    down_after: int = 128
    answered: int = 0
    permanent_error: str | None = None
    calls: set[asyncio.Task[Reply]] = field(default_factory=set, init=False)
    _failing: int = field(default=0, init=False)
    _failing_since: float = field(default=0.0, init=False)
    _probing: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _rejected: int = field(default=0, init=False)

    async def reply(self, request: Request, name: str) -> Reply:
        """The reply to ``request``, from the journal if it was paid for before.

        Args:
            name: the reply's in the journal.

        Raises:
            ProviderError: no reply came; what to call it, and whether others may be answered.
            PermanentProviderError: none will come, to any request.
        """
        if self.journal is not None and (kept := self.journal.get_reply(name)) is not None:
            with contextlib.suppress(MalformedDataError):  # a damaged one is asked for again
                return Reply.from_json(kept)
        if self.budget is not None and (why := self.budget.spent) is not None:
            raise ProviderError("budget", why, scope="request")
        retries = RetryBudget(self.retries)
        for attempt in itertools.count():
            try:
                return await self._once(request, name)
            except ProviderError as error:
                if error.scope not in ("transient", "credential"):
                    raise
                down = self._is_down()
                if not down and (self._is_lost() or not retries.spend(error)):
                    raise
                pause = 0.0 if down else _pause(error, attempt)
            await asyncio.sleep(pause)
        raise AssertionError("the loop returns or raises")

    async def settled(self) -> None:
        """Until no call is in flight any more."""
        await asyncio.sleep(0.01)  # what was cancelled just now may still begin one
        while self.calls:
            await asyncio.wait(self.calls)

    def _is_down(self) -> bool:
        """No call is answered, and it is worth waiting."""
        longest = OUTAGE_S if self.answered else NEVER_UP_S
        silent = time.monotonic() - self._failing_since
        return self.retries > 0 and self._failing >= self.down_after and silent < longest

    def _is_lost(self) -> bool:
        """No call is answered, and it was not worth waiting."""
        return self._failing >= self.down_after and not self._is_down()

    async def _once(self, request: Request, name: str) -> Reply:
        if self._is_down():
            async with self._probing:
                if self._is_down():
                    silent = time.monotonic() - self._failing_since
                    await asyncio.sleep(min(random.uniform(0.1, 0.2) * silent, _LONGEST_PROBE_S))
                    return await self._call(request, name)
        return await self._call(request, name)

    async def _call(self, request: Request, name: str) -> Reply:
        """One call. Once it is sent it is waited for, even if its reply is not: it is paid for,
        and the journal must have it."""
        key = await self._acquire()
        call = asyncio.create_task(self._send(request, name, key), name=event_loop.CALL)
        self.calls.add(call)
        call.add_done_callback(self._ended)
        return await asyncio.shield(call)

    async def _acquire(self) -> KeyLimiter:
        """A slot, where a key and a budget are left."""
        if self.permanent_error is not None:
            raise PermanentProviderError(self.permanent_error)
        key = await self.limiter.acquire()
        if key is None:
            raise PermanentProviderError(self._no_key_left())
        why = None if self.budget is None else self.budget.refusal()
        if why is not None:
            self.limiter.release_unused(key)
            raise ProviderError("budget", why, scope="request")
        return key

    async def _send(self, request: Request, name: str, key: KeyLimiter) -> Reply:
        acquired = time.monotonic()
        reply: Reply | None = None
        try:
            reply = await self.send(request, key.key)
        except ProviderError as error:
            if self.budget is not None and error.billed:
                self.budget.charge(error.cost_usd)
            elif self.budget is not None:
                self.budget.release()
            self._learn(error, key, acquired)
            raise
        finally:
            self.limiter.release(key, None if reply is None else reply.tokens)
        self.answered += 1
        self._failing = self._rejected = 0
        if self.budget is not None:
            self.budget.charge(reply.cost_usd)
        if self.journal is not None:
            self.journal.put_reply(name, reply.to_json())
        return reply

    def _learn(self, error: ProviderError, key: KeyLimiter, acquired: float) -> None:
        """What a call that failed says about the key, the model, the provider."""
        if error.kind == "rate_limited":
            self.limiter.slow_down(key, acquired, error.wait)
        elif error.scope == "credential":
            self.limiter.disable(key, str(error))
        elif error.scope == "model" and not self.answered:
            self.permanent_error = str(error)
        elif error.scope == "transient":
            if not self._failing:
                self._failing_since = acquired
            self._failing += 1
            if self._failing == self.down_after and self._is_down():
                say(f"{error}: waiting for the provider to come back")
        else:
            self._failing = 0  # it refuses, so it is there
            self._rejected += error.kind == "rejected"
            if not self.answered and self._rejected >= _REJECTED_IN_A_ROW:
                self.permanent_error = str(error)

    def _ended(self, call: asyncio.Task[Reply]) -> None:
        self.calls.discard(call)
        if not call.cancelled():
            call.exception()  # looked at, so that asyncio does not report it as never retrieved

    def _no_key_left(self) -> str:
        reasons = [key.disabled_reason for key in self.limiter.keys if key.disabled_reason]
        many = f"all {len(reasons)} keys are of no use; the last: " if len(reasons) > 1 else ""
        return f"{many}{reasons[-1]}"


@dataclass
class RetryBudget:
    """What is left of a request's retries, of which a 429 takes an eighth."""

    left: float

    def spend(self, error: ProviderError) -> bool:
        """Count a call that failed; whether there is a retry left for it."""
        self.left -= RATE_LIMITED_SHARE if error.kind == "rate_limited" else 1
        return self.left >= 0


def _pause(error: ProviderError, attempt: int) -> float:
    """Seconds before the next attempt. After a 429 it is the key that pauses, not the request."""
    if error.kind == "rate_limited" or error.scope == "credential":
        return 0.0
    longest = min(BACK_OFF_S * 2 ** min(attempt, 16), LONGEST_BACK_OFF_S)
    return error.wait if error.wait is not None else random.uniform(0.0, longest)

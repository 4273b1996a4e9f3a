"""One reply, whatever it takes: journal, budget, slot, call, back-off, next key."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential

from lvlm2p.teachers.budget import Budget
from lvlm2p.teachers.models.hosted import event_loop as background
from lvlm2p.teachers.models.hosted.provider_errors import Fault
from lvlm2p.teachers.models.hosted.rate_limit import Gate, Lane
from lvlm2p.teachers.models.messages import Reply, Request
from lvlm2p.teachers.plugin import Journal

_BACK_OFF = wait_random_exponential(multiplier=0.5, max=60)
"""Full jitter: uniform between 0 and 0.5 s, 1 s, 2 s ... 60 s."""

_PATIENCE = 8
"""A 429 is no fault of the call's: this many count as one attempt."""

_HOPELESS = 3
"""This many rejected calls in a row, and never an answer: the rest would be rejected too."""

OUTAGE_S, NEVER_UP_S = 300.0, 30.0
"""How long everybody waits for a provider that is down: one that has answered, one that has not."""

_LONGEST_PROBE_S = 15.0
"""A provider that is down is tried after a tenth to a fifth of the time that it has been, or this.
"""

Send = Callable[[Request, str | None], Awaitable[Reply]]


class Hopeless(Exception):
    """Nobody will be answered any more, for this reason."""


@dataclass
class Caller:
    """Gets replies. Lives in one event loop.

    A provider is *down* when many calls in a row have failed, whoever made them. Then one call at
    a time finds out whether it is back, and the others wait; that uses up nobody's retries. Once it
    was down for too long each request is sent just once, so that the end is soon reached.

    Attributes:
        send: makes one call; raises :class:`Fault`.
        retries: how often one request is sent again, 429s aside.
        down_after: so many failures in a row.
        answered: replies so far.
        calls: what is under way.
    """

    send: Send
    gate: Gate
    retries: int
    journal: Journal | None = None
    budget: Budget | None = None
    down_after: int = 128
    answered: int = 0
    hopeless: str | None = None
    calls: set[asyncio.Task[Reply]] = field(default_factory=set, init=False)
    _failing: int = field(default=0, init=False)
    _failing_since: float = field(default=0.0, init=False)
    _probing: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _rejected: int = field(default=0, init=False)

    async def reply(self, request: Request, key: str) -> Reply:
        """The reply to ``request``, from the journal if it was paid for before.

        Args:
            key: the reply's name in the journal.

        Raises:
            Fault: no reply came; what to call it, and whose fault it is.
            Hopeless: none will come, to anybody.
        """
        if self.journal is not None and (kept := self.journal.get_reply(key)) is not None:
            return Reply.from_json(kept)
        if self.budget is not None and (why := self.budget.spent) is not None:
            raise Fault("budget", why, blame="request")
        patience = _Patience(self.retries)
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(_worth_retrying),
            stop=lambda state: not self._is_down() and (self._is_lost() or patience.is_over(state)),
            wait=lambda state: 0.0 if self._is_down() else _pause(state),
            reraise=True,
        ):
            with attempt:
                reply = await self._once(request, key)
        return reply

    async def settled(self) -> None:
        """Until no call is under way any more."""
        await asyncio.sleep(0.01)  # what was cancelled just now may still begin one
        while self.calls:
            await asyncio.wait(self.calls)

    def _is_down(self) -> bool:
        """Nobody is answered, and it is worth waiting."""
        patience = OUTAGE_S if self.answered else NEVER_UP_S
        silent = time.monotonic() - self._failing_since
        return self.retries > 0 and self._failing >= self.down_after and silent < patience

    def _is_lost(self) -> bool:
        """Nobody is answered, and it was not worth waiting."""
        return self._failing >= self.down_after and not self._is_down()

    async def _once(self, request: Request, key: str) -> Reply:
        if self._is_down():
            async with self._probing:
                if self._is_down():
                    silent = time.monotonic() - self._failing_since
                    await asyncio.sleep(min(random.uniform(0.1, 0.2) * silent, _LONGEST_PROBE_S))
                    return await self._call(request, key)
        return await self._call(request, key)

    async def _call(self, request: Request, key: str) -> Reply:
        """One call. Once it is sent it is seen through, even if nobody waits for it any more: its
        reply is paid for, and the journal must have it."""
        lane = await self._enter()
        call = asyncio.create_task(self._send(request, key, lane), name=background.CALL)
        self.calls.add(call)
        call.add_done_callback(self._ended)
        return await asyncio.shield(call)

    async def _enter(self) -> Lane:
        """A slot, where there is a key, a budget and hope."""
        if self.hopeless is not None:
            raise Hopeless(self.hopeless)
        lane = await self.gate.enter()
        if lane is None:
            raise Hopeless(self._no_key_left())
        why = None if self.budget is None else self.budget.refusal()
        if why is not None:
            self.gate.give_back(lane)
            raise Fault("budget", why, blame="request")
        return lane

    async def _send(self, request: Request, key: str, lane: Lane) -> Reply:
        entered = time.monotonic()
        reply: Reply | None = None
        try:
            reply = await self.send(request, lane.key)
        except Fault as fault:
            if self.budget is not None:
                self.budget.release()
            self._learn(fault, lane, entered)
            raise
        finally:
            self.gate.leave(lane, None if reply is None else reply.tokens)
        self.answered += 1
        self._failing = self._rejected = 0
        if self.budget is not None:
            self.budget.charge(reply.cost_usd)
        if self.journal is not None:
            self.journal.put_reply(key, reply.to_json())
        return reply

    def _learn(self, fault: Fault, lane: Lane, entered: float) -> None:
        """What a call that failed says about the key, the model, the provider."""
        if fault.kind == "rate_limited":
            self.gate.slow_down(lane, entered, fault.wait)
        elif fault.blame == "key":
            self.gate.bury(lane, str(fault))
        elif fault.blame == "model" and not self.answered:
            self.hopeless = str(fault)
        elif fault.blame == "moment":
            if not self._failing:
                self._failing_since = entered
            self._failing += 1
            if self._failing == self.down_after and self._is_down():
                print(f"{fault}: waiting for the provider to come back", file=sys.stderr)
        else:
            self._failing = 0  # it refuses, so it is there
            self._rejected += fault.kind == "rejected"
            if not self.answered and self._rejected >= _HOPELESS:
                self.hopeless = str(fault)

    def _ended(self, call: asyncio.Task[Reply]) -> None:
        self.calls.discard(call)
        if not call.cancelled():
            call.exception()  # looked at, so that one nobody waits for is not reported as lost

    def _no_key_left(self) -> str:
        reasons = [lane.dead for lane in self.gate.lanes if lane.dead]
        many = f"all {len(reasons)} keys are of no use; the last: " if len(reasons) > 1 else ""
        return f"{many}{reasons[-1]}"


class _Patience:
    """Stops after ``retries`` retries, of which a 429 counts as an eighth."""

    def __init__(self, retries: int) -> None:
        self.left = float(retries)

    def is_over(self, state: RetryCallState) -> bool:
        fault = _fault_in(state)
        self.left -= 1 / _PATIENCE if fault and fault.kind == "rate_limited" else 1
        return self.left < 0


def _worth_retrying(error: BaseException) -> bool:
    return isinstance(error, Fault) and error.blame in ("moment", "key")


def _pause(state: RetryCallState) -> float:
    """Seconds before the next attempt. After a 429 it is the lane that rests, not the request."""
    fault = _fault_in(state)
    if fault is None or fault.kind == "rate_limited" or fault.blame == "key":
        return 0.0
    return fault.wait if fault.wait is not None else _BACK_OFF(state)


def _fault_in(state: RetryCallState) -> Fault | None:
    error = state.outcome and state.outcome.exception()
    return error if isinstance(error, Fault) else None

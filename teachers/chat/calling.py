"""One reply, whatever it takes: journal, budget, slot, call, back-off, next key."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential

from teachers.budget import Budget
from teachers.chat import background
from teachers.chat.faults import Fault
from teachers.chat.pacing import Gate, Lane
from teachers.chat.reply import Reply, Request
from teachers.context import Journal

_BACK_OFF = wait_random_exponential(multiplier=0.5, max=60)
"""Full jitter: uniform between 0 and 0.5 s, 1 s, 2 s ... 60 s."""

_PATIENCE = 8
"""A 429 is no fault of the call's: this many count as one attempt."""

_HOPELESS = 3
"""This many rejected calls in a row, and never an answer: the rest would be rejected too."""

Send = Callable[[Request, str | None], Awaitable[Reply]]


class Hopeless(Exception):
    """Nobody will be answered any more, for this reason."""


@dataclass
class Caller:
    """Gets replies. Lives in one event loop.

    Attributes:
        send: makes one call; raises :class:`Fault`.
        retries: how often one request is sent again, 429s aside.
        give_up_after: requests that failed in a row, retries and all, before the rest are tried
            once each only, so that a dead server does not take hours to be noticed.
    """

    send: Send
    gate: Gate
    retries: int
    journal: Journal | None = None
    budget: Budget | None = None
    give_up_after: int = 32
    answered: int = 0
    hopeless: str | None = None
    _losing: int = field(default=0, init=False)
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
        if self.budget is not None and (why := self.budget.refusal()) is not None:
            raise Fault("budget", why, blame="request")
        answered = False
        try:
            reply = await self._insist(request, key)
            answered = True
        finally:
            if not answered and self.budget is not None:
                self.budget.release()
        return reply

    async def _insist(self, request: Request, key: str) -> Reply:
        patience = _Patience(0 if self._losing >= self.give_up_after else self.retries)
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception(_worth_retrying),
                stop=patience.is_over,
                wait=_pause,
                reraise=True,
            ):
                with attempt:
                    reply = await self._once(request, key)
        except Fault as fault:
            self._note(fault)
            raise
        self.answered += 1
        self._losing = self._rejected = 0
        return reply

    async def _once(self, request: Request, key: str) -> Reply:
        """One call. Once it is sent it is seen through, even if nobody waits for it any more: its
        reply is paid for, and the journal must have it."""
        if self.hopeless is not None:
            raise Hopeless(self.hopeless)
        lane = await self.gate.enter()
        if lane is None:
            raise Hopeless(self._no_key_left())
        call = asyncio.create_task(self._send(request, key, lane), name=background.CALL)
        call.add_done_callback(_seen)
        return await asyncio.shield(call)

    async def _send(self, request: Request, key: str, lane: Lane) -> Reply:
        entered = time.monotonic()
        reply: Reply | None = None
        try:
            reply = await self.send(request, lane.key)
        except Fault as fault:
            self._blame(fault, lane, entered)
            raise
        finally:
            self.gate.leave(lane, None if reply is None else reply.tokens)
        if self.journal is not None:
            self.journal.put_reply(key, reply.to_json())
        if self.budget is not None:
            self.budget.charge(reply.cost_usd)
        return reply

    def _blame(self, fault: Fault, lane: Lane, entered: float) -> None:
        if fault.kind == "rate_limited":
            self.gate.slow_down(lane, entered, fault.wait)
        elif fault.blame == "key":
            self.gate.bury(lane, str(fault))
        elif fault.blame == "model":
            self.hopeless = str(fault)

    def _note(self, fault: Fault) -> None:
        """Learn from a request that failed for good."""
        if fault.blame == "moment":
            self._losing += 1
        elif fault.kind == "rejected":
            self._rejected += 1
            if not self.answered and self._rejected >= _HOPELESS:
                self.hopeless = str(fault)

    def _no_key_left(self) -> str:
        reasons = [lane.dead for lane in self.gate.lanes if lane.dead]
        many = f"all {len(reasons)} keys are of no use; the last: " if len(reasons) > 1 else ""
        return f"{many}{reasons[-1]}"


def _seen(call: asyncio.Future[Reply]) -> None:
    """Look at a call's error, so that one nobody waits for is not reported as lost."""
    if not call.cancelled():
        call.exception()


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

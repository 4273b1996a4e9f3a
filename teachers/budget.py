"""How much may be asked: dollars and calls, counted by whoever asks, shared by all of a run."""

from __future__ import annotations

import math
import os
import re
import threading
from contextlib import AbstractContextManager
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from lvlm2p.envs.untrusted import MalformedDataError, read_bytes
from lvlm2p.teachers.errors import RunError
from lvlm2p.teachers.label import Count

MAX_LEDGER_BYTES = 10_000

RECORD = 160
"""Bytes of a ledger, the same for all numbers, so that a new one covers the old one."""


MAX_SPENT_USD = 1e12


class Spent(BaseModel, extra="forbid", strict=True, allow_inf_nan=False):
    """What a ledger holds."""

    calls: Count = 0
    kept: Count = 0
    """Those of the calls whose answers are stored."""
    charged: bool = False
    """Whether the model sends bills, be they of $0. A model in our process sends none."""
    usd: float = Field(default=0.0, ge=0, le=MAX_SPENT_USD)
    unpriced_calls: Count = 0

    @property
    def for_good(self) -> int:
        """Calls that count after the process has ended. One that was under way may be billed; but
        in a model that died with the process it was no more than lost."""
        return self.calls if self.charged or not self.kept else self.kept


class Budget:
    """A limit on dollars and on calls. Thread-safe.

    A call is admitted while neither is spent; calls already under way when the dollars run out
    are paid for, so that a run may overshoot by as many calls as it has in flight.
    """

    def __init__(
        self, usd: float | None = None, calls: int | None = None, ledger: Path | None = None
    ) -> None:
        """``usd``, ``calls``: None is no limit.

        ``ledger``: a file that says at any time what was spent, so that the next process goes on
        from there, however this one ends.

        Raises:
            RunError: the ledger can't be read.
        """
        self.usd = usd
        self.calls = calls
        spent = Spent() if ledger is None else read_ledger(ledger)
        self.spent_usd = spent.usd
        self.spent_calls = spent.for_good
        self.unpriced_calls = spent.unpriced_calls
        """Calls whose price is not known. One is enough to end a budget in dollars."""
        self._kept = min(spent.kept, self.spent_calls)
        self._charged = spent.charged
        self._ledger = ledger
        self._lock: AbstractContextManager[object] = threading.Lock()

    def refusal(self) -> str | None:
        """Why no further call may be made, in one sentence; None: one may, and is counted now."""
        with self._lock:
            why = self._why_spent()
            if why is None:
                self.spent_calls += 1
                self._note()
            return why

    @property
    def calls_left(self) -> int | None:
        """Calls that may still be made; None: there is no limit."""
        with self._lock:
            return None if self.calls is None else max(0, self.calls - self.spent_calls)

    @property
    def spent(self) -> str | None:
        """Which limit is reached, in one sentence; None while there is something left."""
        with self._lock:
            return self._why_spent()

    def charge(self, cost_usd: float | None) -> None:
        """Count what an admitted call cost; None: its price is not known."""
        with self._lock:
            if cost_usd is None:
                self.unpriced_calls += 1
            else:
                self.spent_usd += cost_usd
            self._charged = True
            self._note()

    def release(self) -> None:
        """Give back an admitted call that was never answered."""
        with self._lock:
            self.spent_calls -= 1
            self._charged = True
            self._note()

    def keep(self, calls: int | None = None) -> None:
        """So many more of the admitted calls (None: all) have led to answers that are stored."""
        with self._lock:
            before = self._kept
            all_of_them = self.spent_calls
            self._kept = all_of_them if calls is None else min(before + calls, all_of_them)
            if self._kept != before:
                self._note()

    def _note(self) -> None:
        """Write the ledger, in place and in one go: replacing it would take 2 ms, at each call."""
        if self._ledger is None:
            return
        spent = Spent(
            calls=self.spent_calls,
            kept=self._kept,
            charged=self._charged,
            usd=self.spent_usd,
            unpriced_calls=self.unpriced_calls,
        )
        try:
            file = os.open(self._ledger, os.O_WRONLY | os.O_CREAT, 0o666)
            try:
                os.pwrite(file, spent.model_dump_json().encode().ljust(RECORD - 1) + b"\n", 0)
            finally:
                os.close(file)
        except FileNotFoundError:
            return  # the run never began, and its folder was cleared away
        except OSError as error:
            raise RunError(f"{self._ledger} can't be written: {error.strerror}") from None

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


class BudgetShare(Budget):
    """A part of a budget, for one of several who spend it: what it spends counts in both."""

    def __init__(self, whole: Budget, share: float, who: str) -> None:
        """``share``: of the dollars and calls of ``whole``, 0 to 1. Where that has a ledger, the
        part has one beside it, named after ``who`` spends it.

        Raises:
            RunError: the ledger can't be read.
        """
        ledger = whole._ledger
        if ledger is not None:
            name = re.sub(r"[^A-Za-z0-9._-]+", "-", who)
            ledger = ledger.with_name(f"{ledger.stem}-{name}{ledger.suffix}")
        super().__init__(
            usd=None if whole.usd is None else whole.usd * share,
            calls=None if whole.calls is None else math.floor(whole.calls * share + 1e-9),
            ledger=ledger,
        )
        self.who = who
        self._whole = whole

    def refusal(self) -> str | None:
        """See :class:`Budget`: of the part, then of the whole."""
        why = super().refusal()
        if why is None and (why := self._whole.refusal()) is not None:
            super().release()
        return why

    @property
    def calls_left(self) -> int | None:
        """What is left of the part, and of the whole."""
        left = [n for n in (super().calls_left, self._whole.calls_left) if n is not None]
        return min(left, default=None)

    @property
    def spent(self) -> str | None:
        """Of the part, or else of the whole."""
        return super().spent or self._whole.spent

    def charge(self, cost_usd: float | None) -> None:
        """Count it in both."""
        super().charge(cost_usd)
        self._whole.charge(cost_usd)

    def release(self) -> None:
        """Give it back to both."""
        super().release()
        self._whole.release()

    def keep(self, calls: int | None = None) -> None:
        """Count in both how many more calls have led to stored answers."""
        before = self._kept
        super().keep(calls)
        self._whole.keep(self._kept - before)

    def _why_spent(self) -> str | None:
        why = super()._why_spent()
        return None if why is None else f"the share of {self.who}: {why}"


def read_ledger(ledger: Path) -> Spent:
    """What a ledger says; nothing where there is none.

    Raises:
        RunError: it can't be read.
    """
    try:
        data = read_bytes(ledger, MAX_LEDGER_BYTES)
        return Spent.model_validate_json(data) if data else Spent()  # killed before the first note
    except (FileNotFoundError, NotADirectoryError):
        return Spent()
    except (OSError, MalformedDataError, ValidationError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is damaged"
        raise RunError(
            f"{ledger}, which says what the run has spent so far, can't be read: {why}"
        ) from None

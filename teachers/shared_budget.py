"""One budget for several processes: what each of them spends counts for all."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType

from lvlm2p.teachers.budget import Budget, Spent, read_ledger


class SharedBudget(Budget):
    """A budget whose ledger many processes read and write, each change under a file lock.

    A call that was under way when its process was killed counts: it may be billed.
    """

    def __init__(self, usd: float | None, calls: int | None, ledger: Path) -> None:
        """``usd``, ``calls``: None is no limit.

        Raises:
            RunError: the ledger can't be read.
        """
        super().__init__(usd, calls, ledger)
        self._lock = _Turn(self, ledger)

    def take_over(self, spent: Spent) -> None:
        """Go on from what the ledger says now."""
        self.spent_usd, self.spent_calls = spent.usd, spent.calls
        self.unpriced_calls = spent.unpriced_calls
        self._kept, self._charged = spent.kept, spent.charged


class _Turn:
    """A lock between threads and processes; who has it knows what all have spent so far."""

    def __init__(self, budget: SharedBudget, ledger: Path) -> None:
        from filelock import FileLock

        self._budget, self._ledger = budget, ledger
        self._threads = threading.Lock()
        self._processes = FileLock(ledger.with_name(f"{ledger.name}.lock"))

    def __enter__(self) -> None:
        self._threads.acquire()
        try:
            self._processes.acquire()
            self._budget.take_over(read_ledger(self._ledger))
        except BaseException:
            self._processes.release()
            self._threads.release()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._processes.release()
        self._threads.release()

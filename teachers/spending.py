"""Before money is spent: what it will come to, and whether that is meant.

One rule for every command that asks. A forecast above :data:`SMALL_USD`, or one that nobody can
make for a model that sends bills, is confirmed on a terminal. Where there is none (a script, a
batch job) nobody is there to answer: then a budget or ``--yes`` has to be given beforehand. A
budget is an answer, too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

from lvlm2p.teachers.errors import ConfigError
from lvlm2p.teachers.progress import say
from lvlm2p.teachers.teacher import CostEstimate, Teacher

if TYPE_CHECKING:
    from lvlm2p.teachers.options import TeacherOptions

SMALL_USD = 1.0
"""Dollars that are spent without a question."""


@dataclass(frozen=True)
class Expense:
    """What one teacher is going to be asked."""

    teacher: Teacher
    estimate: CostEstimate

    @property
    def billed(self) -> bool:
        """Whether anything is asked of a model that sends bills."""
        return self.estimate.paid and self.estimate.states > 0


Approve = Callable[[Sequence[Expense]], None]
"""Raises where these expenses may not be carried out."""


def approval(options: TeacherOptions, cheaper: Sequence[str] = ()) -> Approve:
    """The way in which expenses are approved under these options.

    Args:
        cheaper: what else makes this command ask less, as one writes it, such as ``--ask``.

    The function that is returned raises:
        ConfigError: it would cost more than a small sum, or nobody knows what, and nobody has
            agreed to that; the sentence names the ways out.
        TeacherNotReadyError: the same, and the teacher could not be asked anyway.
    """

    def approve(expenses: Sequence[Expense]) -> None:
        billed = [expense for expense in expenses if expense.billed]
        limited = options.budget_usd is not None or options.budget_calls is not None
        if not billed or options.yes or options.offline or limited:
            return
        total = reduce(add, (expense.estimate for expense in billed))
        if total.usd is not None and total.usd <= SMALL_USD:
            return
        for expense in billed:
            expense.teacher.check_ready()  # before a question about money that can't be spent
        ways = ["--symmetry canonical"] if options.symmetry == "none" else []
        _confirm(_in_words(billed, total), total.usd is None, [*ways, *cheaper])

    return approve


def _in_words(expenses: Sequence[Expense], total: CostEstimate) -> str:
    who = ", ".join(dict.fromkeys(expense.teacher.name for expense in expenses))
    about = "about " if total.about else ""
    questions = f"({about}{total.states:,} states)"
    if total.usd is None:
        return f"nobody knows what asking {who} {questions} costs"
    bound = "" if total.at_least else "about "
    return f"asking {who} {questions} costs {bound}{total.price}"


def _confirm(what: str, unknown: bool, cheaper: Sequence[str]) -> None:
    """Ask whoever sits at the terminal."""
    limits = "--budget-calls" if unknown else "--budget-usd or --budget-calls"
    less = f"; less is asked with {' or '.join(cheaper)}" if cheaper else ""
    if not _at_a_terminal():
        raise ConfigError(
            f"{what}, and there is no terminal to confirm it on: set a limit with {limits}, or "
            f"say --yes{less}"
        )
    say(f"{what}; {limits} sets a limit{less}")
    print("Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise ConfigError("nobody agreed to that, so nothing was asked")


def _at_a_terminal() -> bool:
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))

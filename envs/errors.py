"""The root of the error tree; :mod:`lvlm2p.teachers.errors` draws and exports all of it."""

from __future__ import annotations

import difflib
import math
import traceback
from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

LONGEST_NAME = 100
"""Characters of an unknown name that its sentence quotes."""

LONGEST_REASON = 300
"""Characters of an exception's own words that are repeated."""


class Lvlm2pError(Exception):
    """Anything this project raises on purpose: its text is one sentence written for people.

    The command line prints that sentence and leaves with :attr:`exit_code`, without a traceback.
    """

    exit_code = 1


class UserError(Lvlm2pError):
    """The input is wrong: the sentence says what, where, and what to do."""

    exit_code = 2


class UnknownNameError(UserError):
    """A name that nobody has registered; the sentence names the nearest one."""

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        known = sorted(known)
        near = difflib.get_close_matches(name[: 2 * LONGEST_NAME], known, n=1, cutoff=0.5)
        guess = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known) or 'none'}."
        said = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..."
        super().__init__(f"unknown {kind} {said!r}: {guess}{' ' + hint if hint else ''}")


def call_env(env_id: str, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """``reset`` or ``step`` of an environment, whose own code may fail.

    Raises:
        UserError: it did; the sentence names the place in that code.
    """
    try:
        return method(*args, **kwargs)
    except UserError:
        raise
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        raise UserError(
            f"{env_id} failed in {method.__name__}: {type(error).__name__}: "
            f"{str(error)[:LONGEST_REASON]} ({frame.filename}, line {frame.lineno})"
        ) from error


def check_reward(reward: float, env_id: str, step: int) -> None:
    """A reward that is no number would end up in every weight.

    Raises:
        UserError: it is not finite.
    """
    if not math.isfinite(reward):
        raise UserError(
            f"{env_id!r} gave the reward {reward} in step {step} of an episode: mend the "
            "environment, or wrap it so that every reward is finite; nothing was learned from it."
        )

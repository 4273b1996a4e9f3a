"""Coroutines in step: who is answered together, and what an error ends."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from lvlm2p.student.learn.in_step import Wish, in_step
from lvlm2p.student.learn.learner import alone


class First(Wish[int]):
    turn = 0


class Last(Wish[int]):
    turn = 1


async def asking(member: int, *wishes: tuple[type[Wish[int]], str]) -> list[int]:
    return [await kind(member, what) for kind, what in wishes]


def answered(*works: Coroutine[Any, Any, Any]) -> tuple[list[Any], list[list[tuple[int, Any]]]]:
    """What the works came to, and which wishes were answered together."""
    groups: list[list[tuple[int, Any]]] = []

    def answers(wishes: Sequence[Any]) -> Sequence[Any]:
        groups.append([(wish.member, wish.alike[1]) for wish in wishes])
        return [10 * len(groups) + wish.member for wish in wishes]

    return in_step(works, answers, (KeyError,)), groups


def test_wishes_that_are_alike_are_answered_together() -> None:
    results, groups = answered(
        asking(0, (First, "a"), (First, "b")),
        asking(1, (First, "a"), (First, "a")),
        asking(2, (First, "a"), (First, "b")),
    )
    assert groups == [[(0, "a"), (1, "a"), (2, "a")], [(0, "b"), (2, "b")], [(1, "a")]]
    assert results == [[10, 20], [11, 31], [12, 22]]


def test_who_is_ahead_waits_for_the_others() -> None:
    results, groups = answered(
        asking(0, (Last, "x")),
        asking(1, (First, "a"), (First, "a"), (Last, "x")),
        asking(2),
    )
    assert groups == [[(1, "a")], [(1, "a")], [(0, "x"), (1, "x")]]
    assert results == [[30], [11, 21, 31], []]


def failing(error: Exception) -> Callable[[Sequence[Any]], Sequence[Any]]:
    return lambda wishes: [error if wish.member == 1 else wish.member for wish in wishes]


def test_an_error_is_raised_where_the_wish_came_from() -> None:
    async def cautious() -> str:
        try:
            await First(1, "a")
        except KeyError as error:
            return f"caught {error}"
        return "nothing"

    works = [asking(0, (First, "a"), (First, "a")), cautious()]
    assert in_step(works, failing(KeyError("k")), ()) == [[0, 0], "caught 'k'"]


def test_a_failure_ends_one_run_and_anything_else_all() -> None:
    error = KeyError("k")
    works = [asking(member, (First, "a"), (First, "b")) for member in range(3)]
    assert in_step(works, failing(error), (KeyError,)) == [[0, 0], error, [2, 2]]

    closed = []

    async def tidy() -> None:
        try:
            await First(0, "a")
            await Last(0, "a")
        finally:
            closed.append(True)

    with pytest.raises(KeyError, match="k"):
        in_step([tidy(), asking(1, (First, "a"))], failing(error), (ValueError,))
    assert closed == [True]


def test_alone_nobody_is_waited_for() -> None:
    async def ready() -> int:
        return 3

    assert alone(ready()) == 3
    with pytest.raises(RuntimeError, match="waits for others"):
        alone(asking(0, (First, "a")))

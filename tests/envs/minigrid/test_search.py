"""The search against the obvious one: all states of small random rooms, breadth first."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from lvlm2p.envs.minigrid.search.problem import (
    Moment,
    Problem,
    Subgoal,
    after,
    ahead_of,
    ends_badly,
    progress_after,
)
from lvlm2p.envs.minigrid.search.search import Layouts, Solved
from lvlm2p.envs.minigrid.state import BALL, BOX, DOOR, EMPTY_CELL, GOAL, KEY, LAVA, WALL_CELLS

SIX = (0, 1, 2, 3, 4, 5)
WALL = WALL_CELLS["grey"]
MOST = 60_000

State = tuple[Moment, int]


def exhaustive(problem: Problem, start: State) -> dict[State, Solved] | None:
    """Every reachable state's optimal actions by a backward pass over all of them."""
    ways: dict[State, list[tuple[int, State | None]]] = {}
    todo = [start]
    while todo:
        state = todo.pop()
        if state in ways:
            continue
        ways[state] = []
        moment, progress = state
        front = ahead_of(moment.at, moment.direction, problem.width, problem.height)
        for action in problem.actions:
            then = after(moment, action, front)
            now = progress_after(problem, progress, moment, action, then)
            if now == problem.complete:
                ways[state].append((action, None))
            elif now != progress or not ends_badly(problem, progress, moment, action, then):
                ways[state].append((action, (then, now)))
                todo.append((then, now))
        if len(ways) > MOST:
            return None
    before: dict[State, list[State]] = {}
    left: dict[State, int] = {}
    for state, leaving in ways.items():
        for _, later in leaving:
            if later is None:
                left[state] = 1
            else:
                before.setdefault(later, []).append(state)
    wave = list(left)
    while wave:
        following = []
        for state in wave:
            for earlier in before.get(state, []):
                if earlier not in left:
                    left[earlier] = left[state] + 1
                    following.append(earlier)
        wave = following
    found = {}
    for state, leaving in ways.items():
        distance = left.get(state)
        actions = 0
        for action, later in leaving:
            rest = 0 if later is None else left.get(later)
            if distance is not None and rest is not None and rest + 1 == distance:
                actions |= 1 << action
        found[state] = Solved(actions, distance)
    return found


def random_room(rng: np.random.Generator) -> tuple[Problem, Moment]:
    """Two small rooms with a door between them, a few things, and something to do."""
    width, height = int(rng.integers(5, 8)), int(rng.integers(5, 6))
    cells = bytearray(WALL * (width * height))
    inside = [x * height + y for x in range(1, width - 1) for y in range(1, height - 1)]
    for at in inside:
        cells[3 * at : 3 * at + 3] = EMPTY_CELL
    split = int(rng.integers(2, width - 2))
    doors = []
    if rng.random() < 0.8:
        for y in range(1, height - 1):
            at = split * height + y
            cells[3 * at : 3 * at + 3] = WALL
            inside.remove(at)
        at = split * height + int(rng.integers(1, height - 1))
        cells[3 * at : 3 * at + 3] = bytes((DOOR, 0, int(rng.integers(3))))
        doors.append(at)
    free = [int(at) for at in rng.permutation(inside)]

    def lay(*thing: int) -> int:
        at = free.pop()
        cells[3 * at : 3 * at + 3] = bytes(thing)
        return at

    lay(KEY, int(rng.integers(2)), 0)
    for _ in range(int(rng.integers(0, 2))):
        lay(int(rng.choice([BALL, BOX])), 2, 0)
    goal = _goal(rng, lay, doors)
    subgoals, stages = [goal], [(0,)]
    if rng.random() < 0.3 and doors and goal.kind != "open":
        subgoals.append(Subgoal("open", frozenset(doors)))
        stages = [[(0, 1)], [(1,), (0,)], [(0,), (1,)]][int(rng.integers(3))]  # type: ignore[assignment]
    carried = bytes((KEY, 0, 0)) if rng.random() < 0.2 else EMPTY_CELL
    actions = SIX if rng.random() < 0.8 else (0, 1, 2, 5)
    problem = Problem(width, height, actions, tuple(subgoals), tuple(stages))
    if rng.random() < 0.1:
        problem = dataclasses.replace(problem, only_targets=True, drop_ends=True)
    return problem, Moment(bytes(cells), carried, free.pop(), int(rng.integers(4)))


def _goal(rng: np.random.Generator, lay: object, doors: list[int]) -> Subgoal:
    assert callable(lay)
    kind = str(rng.choice(["reach", "face", "pickup", "open", "put"]))
    if kind == "open" and doors:
        return Subgoal("open", frozenset(doors))
    if kind in ("face", "pickup"):
        lay(int(rng.choice([BALL, BOX])), 1, 1)
        return Subgoal(kind, mark=1)  # type: ignore[arg-type]
    if kind == "put":
        lay(BALL, 1, 1)
        lay(BALL, 3, 2)
        return Subgoal("put", mark=1, near=2, diagonal=bool(rng.integers(2)))
    if rng.random() < 0.3:
        lay(LAVA, 0, 0)
    return Subgoal("reach", frozenset({lay(GOAL, 1, 0)}))


def compare(seed: int) -> int:
    """Compare all states of one room, or a sample of them; how many."""
    rng = np.random.default_rng(seed)
    problem, moment = random_room(rng)
    truth = exhaustive(problem, (moment, 0))
    if truth is None:
        return 0
    states = list(truth)
    chosen = [states[int(i)] for i in rng.integers(len(states), size=4)]
    for state in [(moment, 0), *chosen]:
        found = Layouts().solve(problem, *state)
        expected = truth[state]
        assert found == expected, (seed, problem, state, found, expected)
    return len(chosen)


@pytest.mark.parametrize("seed", range(12))
def test_all_optimal_actions_are_found_and_no_others(seed: int) -> None:
    compare(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12, 300))
def test_all_optimal_actions_are_found_in_many_rooms(seed: int) -> None:
    compare(seed)

"""From a view to its plan, by searching."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lvlm2p.envs.minigrid.missions import Posed, carried_bytes, pose
from lvlm2p.envs.minigrid.search.problem import (
    Moment,
    Problem,
    Subgoal,
    after,
    ahead_of,
    ends_badly,
)
from lvlm2p.envs.minigrid.search.search import GAVE_UP, MOST_NODES, Layouts
from lvlm2p.envs.minigrid.state import (
    BALL,
    COLORS,
    DOOR,
    GOAL,
    KEY,
    Snapshot,
    decode_state,
)
from lvlm2p.envs.task import Plan, View

Pose = Callable[[Snapshot, str, tuple[int, ...]], Posed]
"""(state, mission, actions that may be chosen) -> the problem, and where in it one stands."""

LAYOUTS = Layouts()
"""Of this process."""


class MissionPlanner:
    """``Task.planner`` of a task whose problems ``pose`` makes."""

    def __init__(self, pose: Pose) -> None:
        self._pose = pose

    def __call__(self, view: View) -> Plan:
        """The optimal actions.

        Raises:
            UserError: the mission is not understood.
        """
        state = decode_state(view.state)
        actions = tuple(action.index for action in view.task.actions)
        problem, cells, carried, progress = self._pose(state, view.mission, actions)
        at = state.x * state.height + state.y
        moment = Moment(cells, carried, at, state.direction)
        found = LAYOUTS.solve(problem, moment, progress)
        names = {action.index: action.name for action in view.task.actions}
        if found.distance == GAVE_UP:
            return Plan(
                frozenset(names.values()),
                None,
                f"the planner gave up after {MOST_NODES:,} states: who acts optimally here is "
                "not known",
            )
        best = frozenset(name for index, name in names.items() if found.actions >> index & 1)
        if not best:
            best = _harmless(problem, progress, moment, names)
        return Plan(best, found.distance)


def _harmless(
    problem: Problem, progress: int, moment: Moment, names: dict[int, str]
) -> frozenset[str]:
    """The actions that do not end the episode in failure."""
    front = ahead_of(moment.at, moment.direction, problem.width, problem.height)
    return frozenset(
        name
        for action, name in names.items()
        if not ends_badly(problem, progress, moment, action, after(moment, action, front))
    )


class Said:
    """Poses what the mission says, under rules (:func:`~lvlm2p.envs.minigrid.missions.pose`)."""

    def __init__(self, **rules: bool) -> None:
        self._rules = rules

    def __call__(self, state: Snapshot, mission: str, actions: tuple[int, ...]) -> Posed:
        """The problem."""
        rules: dict[str, Any] = dict(self._rules)
        return pose(state, mission, actions, **rules)


def reach_goal(state: Snapshot, mission: str, actions: tuple[int, ...]) -> Posed:
    """To step onto a goal square, whatever the mission says."""
    goals = frozenset(x * state.height + y for x, y in state.where(GOAL))
    return _reach(state, actions, goals, frozenset())


def reach_match(state: Snapshot, mission: str, actions: tuple[int, ...]) -> Posed:
    """Memory: to the end of the hallway whose object is the one of the room on the left."""
    things = sorted((*at, state.cell(*at).kind) for kind in (KEY, BALL) for at in state.where(kind))
    if len(things) != 3:
        return _reach(state, actions, frozenset(), frozenset())
    shown = things[0][2]
    ends = {}
    for x, y, kind in things[1:]:
        step = 1 if y < state.height // 2 else -1
        ends[kind] = x * state.height + y + step
    wrong = frozenset(at for kind, at in ends.items() if kind != shown)
    return _reach(state, actions, frozenset({ends[shown]} if shown in ends else ()), wrong)


def red_then_blue(state: Snapshot, mission: str, actions: tuple[int, ...]) -> Posed:
    """RedBlueDoors: the blue door may be opened only once the red one is open."""
    red, blue = (
        frozenset(x * state.height + y for x, y in state.where(DOOR, COLORS.index(color)))
        for color in ("red", "blue")
    )
    problem = Problem(
        state.width,
        state.height,
        actions,
        (Subgoal("open", red), Subgoal("open", blue)),
        ((0,), (1,)),
        only_target_doors=True,
    )
    is_open = all(state.cells[3 * at + 2] == 0 for at in red)
    return Posed(problem, state.cells, carried_bytes(state), int(is_open))


def _reach(
    state: Snapshot, actions: tuple[int, ...], places: frozenset[int], wrong: frozenset[int]
) -> Posed:
    goal = Subgoal("reach", places)
    problem = Problem(state.width, state.height, actions, (goal,), ((0,),), wrong)
    return Posed(problem, state.cells, carried_bytes(state), 0)

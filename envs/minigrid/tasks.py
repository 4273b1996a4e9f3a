"""The paper's four tasks: LavaGap, Dynamic-Obstacles, Fetch and GoToDoor, in every size."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from lvlm2p.envs.minigrid.canonical import (
    DYNAMIC_OBSTACLES_SYMMETRIES,
    FETCH_SYMMETRIES,
    GO_TO_DOOR_SYMMETRIES,
    dynamic_obstacles_question,
    fetch_question,
    go_to_door_question,
)
from lvlm2p.envs.minigrid.describe import describe_minigrid, ground_truth_of, list_minigrid
from lvlm2p.envs.minigrid.draw import draw_minigrid
from lvlm2p.envs.minigrid.planner import plan_beside, plan_facing, plan_reaching
from lvlm2p.envs.minigrid.planner_obstacles import plan_among_obstacles
from lvlm2p.envs.minigrid.state import (
    BALL,
    COLORS,
    DOOR,
    GOAL,
    KEY,
    OBJECTS,
    Snapshot,
    decode_state,
    observe_minigrid,
)
from lvlm2p.envs.task import Action, Plan, Task, View

LEFT = Action("left", 0, "turn left by 90 degrees, staying in the same cell")
RIGHT = Action("right", 1, "turn right by 90 degrees, staying in the same cell")
FORWARD = Action("forward", 2, "move one cell forward, in the direction you face")
PICKUP = Action("pickup", 3, "pick up the object in the cell directly in front of you")
DONE = Action("done", 6, "declare that you stand right beside the door that the mission names")

SEEN = (
    "You see the whole room from above as a grid of cells. The agent is the red triangle; its tip "
    "points in the direction that it faces. Grey cells are walls; black cells are free. "
)
"""What every rule text begins with."""


def goal_cells(state: Snapshot, mission: str) -> Sequence[tuple[int, int]]:
    """Where the goal squares are."""
    return state.where(GOAL)


def named_object(mission: str) -> tuple[int, int] | None:
    """(object, colour) that the last two words of a mission name, in MiniGrid's numbers."""
    found = re.search(r"(\w+) (key|ball|door)$", mission)
    if found is None or found[1] not in COLORS:
        return None
    return OBJECTS.index(found[2]), COLORS.index(found[1])


def named_cells(state: Snapshot, mission: str, kinds: tuple[int, ...]) -> list[tuple[int, int]]:
    """Where what the mission names lies, as far as it is one of ``kinds``."""
    named = named_object(mission)
    return state.where(*named) if named is not None and named[0] in kinds else []


def target_in(mission: str) -> str | None:
    """ "red door" of "go to the red door"; None where the mission names no coloured thing."""
    if mission.endswith("green goal square"):
        return "green goal"
    named = named_object(mission)
    return None if named is None else f"{COLORS[named[1]]} {OBJECTS[named[0]]}"


def things(state: Snapshot, mission: str) -> Sequence[tuple[int, int]]:
    """Fetch: where the objects are that the mission names, the nearest in steps first."""
    found = named_cells(state, mission, (KEY, BALL))

    def steps(at: tuple[int, int]) -> float:
        distance = plan_facing(state, [at], "pickup").distance
        return math.inf if distance is None else distance

    return sorted(found, key=steps) if len(found) > 1 else found


def door(state: Snapshot, mission: str) -> Sequence[tuple[int, int]]:
    """GoToDoor: where the door is that the mission names."""
    return named_cells(state, mission, (DOOR,))


def _lava_gap_plan(view: View) -> Plan:
    state = decode_state(view.state)
    return plan_reaching(state, goal_cells(state, view.mission))


def _fetch_plan(view: View) -> Plan:
    state = decode_state(view.state)
    return plan_facing(state, named_cells(state, view.mission, (KEY, BALL)), "pickup")


def _go_to_door_plan(view: View) -> Plan:
    state = decode_state(view.state)
    return plan_beside(state, door(state, view.mission), "done")


def _lava_gap_ground_truth(view: View) -> dict[str, Any]:
    return ground_truth_of(view, goal_cells)


def _fetch_ground_truth(view: View) -> dict[str, Any]:
    return ground_truth_of(view, things)


def _go_to_door_ground_truth(view: View) -> dict[str, Any]:
    return ground_truth_of(view, door)


def _task(name: str, env_id: str, actions: tuple[Action, ...], rules: str, **more: Any) -> Task:
    return Task(
        name=name,
        env_ids=(env_id,),
        actions=actions,
        rules=SEEN + rules,
        observe=observe_minigrid,
        draw=draw_minigrid,
        check_state=decode_state,
        target=target_in,
        describe=describe_minigrid,
        brief=list_minigrid,
        **more,
    )


LAVA_GAP = _task(
    "lava-gap",
    "MiniGrid-LavaGap*",
    (LEFT, RIGHT, FORWARD),
    "The orange cells with dark waves are lava; a strip of them crosses the room and has one gap. "
    "The green cell is the goal. Reach the goal in as few actions as you can. Moving onto lava "
    "ends the episode in failure. Moving against a wall does nothing.",
    ground_truth=_lava_gap_ground_truth,
    planner=_lava_gap_plan,
)

DYNAMIC_OBSTACLES = _task(
    "dynamic-obstacles",
    "MiniGrid-Dynamic-Obstacles-*",
    (LEFT, RIGHT, FORWARD),
    "The blue balls are obstacles: before each of your actions takes effect, every ball moves by "
    "itself to a random free cell next to it, diagonals included. The green cell is the goal. "
    "Reach the goal in as few actions as you can. Choosing to move forward while a ball or a wall "
    "is directly in front of you ends the episode in failure, even if the ball moves away; "
    "turning is always safe.",
    ground_truth=_lava_gap_ground_truth,
    planner=plan_among_obstacles,
    deterministic=False,
    symmetries=DYNAMIC_OBSTACLES_SYMMETRIES,
    canonical=dynamic_obstacles_question,
)

FETCH = _task(
    "fetch",
    "MiniGrid-Fetch-*",
    (LEFT, RIGHT, FORWARD, PICKUP),
    "Keys and balls of several colours lie in the room; you can't walk through them. The mission "
    "names one by colour and kind. Stand in a cell next to it, facing it, and pick it up, in as "
    "few actions as you can. Picking up any other object ends the episode in failure. Moving "
    "against a wall or an object does nothing.",
    ground_truth=_fetch_ground_truth,
    planner=_fetch_plan,
    symmetries=FETCH_SYMMETRIES,
    canonical=fetch_question,
)

GO_TO_DOOR = _task(
    "go-to-door",
    "MiniGrid-GoToDoor-*",
    (LEFT, RIGHT, FORWARD, DONE),
    "In each of the four walls there is one closed door, each of another colour. The mission names "
    "one by its colour. Walk to the cell inside the room that is right beside that door and then "
    "choose done, in as few actions as you can; the direction you face does not matter. Choosing "
    "done anywhere else ends the episode in failure. Moving against a wall or a door does nothing.",
    ground_truth=_go_to_door_ground_truth,
    planner=_go_to_door_plan,
    symmetries=GO_TO_DOOR_SYMMETRIES,
    canonical=go_to_door_question,
)

FAMILIES = (LAVA_GAP, DYNAMIC_OBSTACLES, FETCH, GO_TO_DOOR)

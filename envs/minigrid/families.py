"""The other families of MiniGrid: those whose planner is the search, and those without one."""

from __future__ import annotations

from typing import Any

from lvlm2p.envs.minigrid.describe import describe_minigrid
from lvlm2p.envs.minigrid.draw import draw_minigrid
from lvlm2p.envs.minigrid.search.planner import (
    MissionPlanner,
    Said,
    reach_goal,
    reach_match,
    red_then_blue,
)
from lvlm2p.envs.minigrid.state import decode_state, observe_minigrid
from lvlm2p.envs.minigrid.tasks import FORWARD, LEFT, PICKUP, RIGHT, SEEN
from lvlm2p.envs.symmetry import MIRRORED
from lvlm2p.envs.task import Action, Task

DROP = Action("drop", 4, "put what you carry into the empty cell directly in front of you")
TOGGLE = Action(
    "toggle",
    5,
    "open or close the door directly in front of you; a locked door opens only while you carry "
    "the key of its colour",
)
TOGGLE_BOX = Action(
    "toggle",
    5,
    "open or close the door directly in front of you (a locked door opens only while you carry "
    "the key of its colour), or open the box directly in front of you",
)
DONE = Action("done", 6, "declare that you stand right beside the object that the mission names")

MOVES = (LEFT, RIGHT, FORWARD)
HANDS = (*MOVES, PICKUP, DROP)
ALL = (*HANDS, TOGGLE)
ALL_AND_BOXES = (*HANDS, TOGGLE_BOX)

GOAL_ENDS = "The green cell is the goal: reach it in as few actions as you can. "
BLOCKED = "Moving against a wall does nothing."
DOORS = (
    "A door is a coloured square in a wall: a closed one has a knob, a locked one is filled and "
    "has a keyhole, an open one is a thin frame at the edge of its cell. Only an open door can be "
    "walked through. Closed doors open when you stand in front of them, face them and toggle; "
    "locked ones too, but only while you carry the key of the same colour. "
)
CARRY = (
    "You can't walk through keys, balls or boxes. You carry at most one of them at a time (it is "
    "shown beneath the grid): stand in front of it, face it and pick it up; to have your hands "
    "free again, drop it into an empty cell in front of you. "
)
NOTHING = "Moving against a wall, an object or a closed door does nothing."
HIDDEN = (
    "A key that you do not see lies hidden in a box: toggle opens the box in front of you and "
    "what was in it lies in its place. "
)


def grid_task(
    name: str, env_ids: tuple[str, ...], actions: tuple[Action, ...], rules: str, **more: Any
) -> Task:
    """A task on a MiniGrid that is seen whole."""
    return Task(
        **{
            "name": name,
            "env_ids": env_ids,
            "actions": actions,
            "rules": SEEN + rules,
            "observe": observe_minigrid,
            "draw": draw_minigrid,
            "check_state": decode_state,
            "describe": describe_minigrid,
            "target": named_target,
            "symmetries": (MIRRORED,),
            **more,
        }
    )


def named_target(mission: str) -> str | None:
    """ "blue box" of "pick up the blue box"; None where more than one thing is named, or none."""
    from lvlm2p.envs.errors import UserError
    from lvlm2p.envs.minigrid.missions import read_mission

    try:
        acts = read_mission(mission).acts
    except UserError:
        return None
    if len(acts) != 1 or acts[0].near is not None or acts[0].what.where is not None:
        return None
    return acts[0].what.words.partition(" ")[2]


def _reaching(name: str, env_id: str, rules: str, actions: tuple[Action, ...] = MOVES) -> Task:
    return grid_task(name, (env_id,), actions, rules, planner=MissionPlanner(reach_goal))


def _saying(
    name: str, env_ids: tuple[str, ...], actions: tuple[Action, ...], rules: str, **hidden: bool
) -> Task:
    return grid_task(name, env_ids, actions, rules, planner=MissionPlanner(Said(**hidden)))


LAVA = "The orange cells with dark waves are lava; moving onto lava ends the episode in failure. "
PICK_UP = "Pick up what the mission names, in as few actions as you can. " + DOORS + CARRY
MAZE = PICK_UP + HIDDEN + NOTHING

EMPTY_ROOM = _reaching("empty-room", "MiniGrid-Empty-*", GOAL_ENDS + BLOCKED)
FOUR_ROOMS = _reaching(
    "four-rooms",
    "MiniGrid-FourRooms-*",
    "Four rooms are joined by gaps in their walls. " + GOAL_ENDS + BLOCKED,
)
SIMPLE_CROSSING = _reaching(
    "simple-crossing",
    "MiniGrid-SimpleCrossing*",
    "Walls with gaps cross the room. " + GOAL_ENDS + BLOCKED,
)
LAVA_CROSSING = _reaching(
    "lava-crossing",
    "MiniGrid-LavaCrossing*",
    LAVA + "Strips of it with gaps cross the room. " + GOAL_ENDS + BLOCKED,
)
DIST_SHIFT = _reaching("dist-shift", "MiniGrid-DistShift*", LAVA + GOAL_ENDS + BLOCKED)
WFC = _reaching("wave-function-collapse", "MiniGrid-WFC-*", GOAL_ENDS + BLOCKED)
MEMORY = grid_task(
    "memory",
    ("MiniGrid-Memory*",),
    MOVES,
    "A key or a ball lies in the small room at the left end of a hallway. At its right end the "
    "hallway branches up and down; a key lies at the end of one branch and a ball at the end of "
    "the other. Walk to the cell right beside the object of the same kind as the one in the room, "
    "in as few actions as you can. Walking to the cell beside the other one ends the episode in "
    "failure. You can't walk through objects. " + BLOCKED,
    planner=MissionPlanner(reach_match),
)
MULTI_ROOM = _reaching(
    "multi-room",
    "MiniGrid-MultiRoom-*",
    "Rooms follow one another, joined by closed doors. " + GOAL_ENDS + DOORS + NOTHING,
    (*MOVES, TOGGLE),
)
DOOR_KEY = _reaching(
    "door-key",
    "MiniGrid-DoorKey-*",
    "A wall with a locked door divides the room; its key lies on your side. "
    + GOAL_ENDS
    + DOORS
    + CARRY
    + NOTHING,
    (*MOVES, PICKUP, TOGGLE),
)
LOCKED_ROOM = _reaching(
    "locked-room",
    "MiniGrid-LockedRoom-*",
    "Six rooms open onto a hallway; one of them is locked and holds the goal, another holds the "
    "key, as the mission says. A room is called by the colour of its door. "
    + GOAL_ENDS
    + DOORS
    + CARRY
    + NOTHING,
    (*MOVES, PICKUP, TOGGLE),
)
RED_BLUE_DOORS = grid_task(
    "red-blue-doors",
    ("MiniGrid-RedBlueDoors-*",),
    (*MOVES, TOGGLE),
    "There is a red door and a blue door. Open the red door first and then the blue one, in as "
    "few actions as you can. Opening the blue door before the red one ends the episode in "
    "failure. " + DOORS + NOTHING,
    planner=MissionPlanner(red_then_blue),
)
UNLOCK = _saying(
    "unlock",
    ("MiniGrid-Unlock-*",),
    (*MOVES, PICKUP, TOGGLE),
    "Open the locked door, in as few actions as you can. " + DOORS + CARRY + NOTHING,
)
UNLOCK_PICKUP = _saying("unlock-pickup", ("MiniGrid-UnlockPickup-*",), ALL, PICK_UP + NOTHING)
BLOCKED_UNLOCK_PICKUP = _saying(
    "blocked-unlock-pickup",
    ("MiniGrid-BlockedUnlockPickup-*",),
    ALL,
    PICK_UP + "A ball blocks the way to the door: put it aside. " + NOTHING,
)
KEY_CORRIDOR = _saying("key-corridor", ("MiniGrid-KeyCorridor*",), ALL, PICK_UP + NOTHING)
OBSTRUCTED_MAZE = _saying(
    "obstructed-maze",
    (
        "MiniGrid-ObstructedMaze-1Dl*",
        "MiniGrid-ObstructedMaze-2Dl-*",
        "MiniGrid-ObstructedMaze-2Dlh-*",
    ),
    ALL_AND_BOXES,
    MAZE,
    boxes_hide_keys=True,
)
LARGE_OBSTRUCTED_MAZE = grid_task(
    "large-obstructed-maze",
    (
        "MiniGrid-ObstructedMaze-2Dlhb-*",
        "MiniGrid-ObstructedMaze-1Q-*",
        "MiniGrid-ObstructedMaze-2Q-*",
        "MiniGrid-ObstructedMaze-Full-*",
    ),
    ALL_AND_BOXES,
    MAZE + " Balls may lie in front of doors: put them aside.",
)
GO_TO_OBJECT = _saying(
    "go-to-object",
    ("MiniGrid-GoToObject-*",),
    (*MOVES, DONE),
    "Keys, balls and boxes lie in the room; you can't walk through them. The mission names one by "
    "colour and kind. Walk to a cell right beside it and then choose done, in as few actions as "
    "you can; the direction you face does not matter. Choosing done anywhere else ends the "
    "episode in failure. Moving against a wall or an object does nothing.",
    beside=True,
)
PUT_NEAR = _saying(
    "put-near",
    ("MiniGrid-PutNear-*",),
    HANDS,
    "Pick up the object that the mission names first and drop it into an empty cell next to the "
    "other one (touching it at a corner is enough), in as few actions as you can. Picking up any "
    "other object ends the episode in failure, and so does dropping anything anywhere else. "
    + CARRY
    + "Moving against a wall or an object does nothing.",
    only_targets=True,
    drop_ends=True,
)
PLAYGROUND = grid_task(
    "playground",
    ("MiniGrid-Playground-*",),
    ALL_AND_BOXES,
    "There is no mission and nothing to achieve. " + DOORS + CARRY + NOTHING,
)

FAMILIES = (
    EMPTY_ROOM, FOUR_ROOMS, SIMPLE_CROSSING, LAVA_CROSSING, DIST_SHIFT, WFC, MEMORY, MULTI_ROOM,
    DOOR_KEY, LOCKED_ROOM, RED_BLUE_DOORS, UNLOCK, UNLOCK_PICKUP, BLOCKED_UNLOCK_PICKUP,
    KEY_CORRIDOR, OBSTRUCTED_MAZE, LARGE_OBSTRUCTED_MAZE, GO_TO_OBJECT, PUT_NEAR, PLAYGROUND,
)  # fmt: skip

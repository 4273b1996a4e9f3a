"""The four DoorKey tasks of LLM4Teach (Zhou et al., IJCAI 2024)."""

from __future__ import annotations

from typing import Any

from lvlm2p.envs.doorkey.explorer import explorer_plan
from lvlm2p.envs.doorkey.options import WAIT
from lvlm2p.envs.doorkey.planning import RULES as PLANNING_RULES
from lvlm2p.envs.doorkey.planning import door_key_planning
from lvlm2p.envs.doorkey.sentence import Naming
from lvlm2p.envs.minigrid.describe import describe_minigrid
from lvlm2p.envs.minigrid.draw import draw_minigrid
from lvlm2p.envs.minigrid.state import EMPTY, decode_state
from lvlm2p.envs.minigrid.tasks import FORWARD, LEFT, PICKUP, RIGHT
from lvlm2p.envs.task import Action, Observer, Task, View

DROP = Action("drop", 4, "put what you carry into the empty cell directly in front of you")
TOGGLE = Action("toggle", 5, "open the locked door directly in front of you with the key you carry")
IDLE = Action(WAIT, 6, "do nothing")
ACTIONS = (LEFT, RIGHT, FORWARD, PICKUP, DROP, TOGGLE, IDLE)

SETTINGS: dict[str, dict[str, Any]] = {
    "LVLM2P-SimpleDoorKey-v0": {},
    "LVLM2P-LavaDoorKey-v0": {"lava": True},
    "LVLM2P-ColoredDoorKey-v0": {"colored": True, "n_keys": 2},
    "LVLM2P-DivergedDoorKey-v0": {"two_doors": True, "min_room": 20, "max_room": 20},
}
"""The published settings, by Gymnasium id; the others are the class's defaults."""

RULES = (
    "You see the map of all cells that you have seen so far in this episode, from above; hatched "
    "cells you have not seen yet. The agent is the red triangle; its tip points in the direction "
    "that it faces, and it sees only three cells far and wide. Grey cells are walls; black cells "
    "are free. You are in a locked room. Open {door} in as few actions as you can: pick up {key}, "
    "stand directly in front of {door}, facing it, and choose toggle. You can carry one key at a "
    "time. Moving against a wall, a door or a key does nothing.{more}"
)


def describe_map(view: View) -> str:
    """The map in words: the agent, what is ahead, every thing, wall and free cell seen so far."""
    state = decode_state(view.state)
    free = ", ".join(f"({y}, {x})" for x, y in state.where(EMPTY))
    return (
        f"{describe_minigrid(view)}\n"
        f"Free cells at (row, column): {free}.\n"
        "All other cells you have not seen yet."
    )


def _observer(env: Any, task: Task) -> Observer:
    from lvlm2p.envs.doorkey.observer import KnownMapObserver

    return KnownMapObserver(env, task)


def _observe(env: Any, task: Task) -> View:
    from lvlm2p.envs.doorkey.observer import observe_map

    return observe_map(env, task)


def _task(
    name: str,
    env_id: str,
    door: str = "the door",
    key: str = "the key",
    more: str = "",
    naming: Naming = "kind",
    names: str = "",
) -> Task:
    rules = PLANNING_RULES.format(door=door, key=key, more=names)
    return Task(
        name=name,
        env_ids=(env_id,),
        actions=ACTIONS,
        rules=RULES.format(door=door, key=key, more=more),
        observe=_observe,
        observer=_observer,
        draw=draw_minigrid,
        check_state=decode_state,
        describe=describe_map,
        planner=explorer_plan,
        planning=door_key_planning(rules, naming),
    )


SIMPLE = _task("simple-door-key", "LVLM2P-SimpleDoorKey-v0")
LAVA_ROOM = _task(
    "lava-door-key",
    "LVLM2P-LavaDoorKey-v0",
    more=" One orange cell with dark waves is lava: moving onto it ends the episode in failure.",
)
COLORED = _task(
    "colored-door-key",
    "LVLM2P-ColoredDoorKey-v0",
    key="the key of its colour",
    more=" Keys of another colour do not open it.",
    naming="color",
    names=" There are two keys, of two colours, called color1 and color2 here.",
)
DIVERGED = _task(
    "diverged-door-key",
    "LVLM2P-DivergedDoorKey-v0",
    door="one of the two doors",
    more=" The key fits both.",
    naming="numbered doors",
    names=" The key fits both doors, which are called door1 and door2.",
)
FAMILIES = (SIMPLE, LAVA_ROOM, COLORED, DIVERGED)


def register_environments() -> None:
    """Make the four ids known to Gymnasium; a second time does nothing."""
    import gymnasium as gym

    for env_id, kwargs in SETTINGS.items():
        if env_id not in gym.registry:
            gym.register(
                env_id,
                entry_point="lvlm2p.envs.doorkey.environment:MapDoorKeyEnv",
                kwargs=kwargs,
            )

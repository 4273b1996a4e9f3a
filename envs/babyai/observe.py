"""What is seen of a BabyAI environment: the whole grid, and what a player remembers.

Two things of a mission can't be seen in the grid: which of its parts are done already, and what
"the ball on your left" was when the episode began. A player knows both, so they are added to the
mission as notes: ``open the red door, then go to a key (already done: open the red door)``. A
mission without such things stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lvlm2p.envs.minigrid.missions import (
    CARRIED_NOTE,
    DONE_NOTE,
    MEANT_NOTE,
    NamedThing,
    read_mission,
)
from lvlm2p.envs.minigrid.state import observe_minigrid
from lvlm2p.envs.task import Task, View

if TYPE_CHECKING:
    import gymnasium as gym


def observe_babyai(env: gym.Env[Any, Any], task: Task) -> View:
    """A snapshot of a BabyAI environment's state as it is now."""
    view = observe_minigrid(env, task)
    base: Any = env.unwrapped
    notes = "; ".join(_notes(base, view.mission))
    return replace(view, mission=f"{view.mission} ({notes})") if notes else view


def _notes(base: Any, mission: str) -> Iterator[str]:
    acts = read_mission(mission).acts
    parts = list(_parts(base.instrs, done=False))
    done = [act.words for act, (_, over) in zip(acts, parts, strict=True) if over]
    if done:
        yield DONE_NOTE + ", ".join(done)
    told = set()
    for act, (instruction, _) in zip(acts, parts, strict=True):
        for thing, name in ((act.what, "desc"), (act.what, "desc_move"), (act.near, "desc_fixed")):
            description = getattr(instruction, name, None)
            if thing is None or thing.where is None or description is None or thing.words in told:
                continue
            told.add(thing.words)
            yield f"{thing.words}{MEANT_NOTE}{_places(base, thing, description)}"


def _places(base: Any, thing: NamedThing, description: Any) -> str:
    """Where everything is now that the description meant when the episode began."""
    grid = base.grid
    found = [
        f"row {y}, column {x}"
        for y in range(grid.height)
        for x in range(grid.width)
        if any(grid.get(x, y) is obj for obj in description.obj_set)
    ]
    if any(base.carrying is obj for obj in description.obj_set):
        found.append(CARRIED_NOTE)
    return " and ".join(found) or "gone"


def _parts(instruction: Any, done: bool) -> Iterator[tuple[Any, bool]]:
    """The acts of an instruction in the order of its sentence, and whether each is done."""
    if hasattr(instruction, "instr_a"):
        for name in ("a", "b"):
            over = done or getattr(instruction, f"{name}_done", None) == "success"
            yield from _parts(getattr(instruction, f"instr_{name}"), over)
    else:
        yield instruction, done

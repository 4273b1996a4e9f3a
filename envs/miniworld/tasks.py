"""The 3D tasks: two of MiniWorld's, and nav-and-pick. Nothing here imports MiniWorld."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lvlm2p.envs.episode import Episode
from lvlm2p.envs.miniworld.options import describe, planning, player_plan
from lvlm2p.envs.miniworld.scene import decode_scene
from lvlm2p.envs.task import Action, ImageStyle, Observer, Task, View

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ENTRY_POINTS: dict[str, tuple[str, dict[str, Any]]] = {
    "MiniWorld-PickupObjects-v0": ("simulator:PickupObjects", {}),
    "MiniWorld-PutNext-v0": ("simulator:PutNext", {}),
    "LVLM2P-NavPick3D-v0": ("nav_pick:NavPick", {}),
}
SMALL_WINDOW = {"window_width": 320, "window_height": 240}
"""MiniWorld's own, 800 x 600 with 16 samples a pixel, takes 60 MB for each environment."""

PICTURE = (
    "You see what a camera on the agent sees, and nothing behind it or to the sides. Each turn is "
    "{turn} degrees, each step forward {step} metres; a wall or a thing in the way stops it. "
    "You can hold one object at a time. {task}"
)
ROOMS = (
    "There are two rooms with a doorway between them. The one with a wooden floor has tall columns "
    "in it, each of another colour; the one with a grey floor has boxes. Pick up the box that the "
    "mission names, bring it to the column that the mission names and drop it right beside that "
    "column, in as few actions as you can. Dropped elsewhere, it can be picked up again."
)
PUT_NEXT = (
    "There is one room with boxes in it. Pick up the red box and drop it right beside the yellow "
    "one, in as few actions as you can."
)
PICK_UP_ALL = (
    "There is one room with balls, boxes and keys in it. Walk up to each and pick it up, in as few "
    "actions as you can; what is picked up vanishes."
)
PLAN = (
    "An agent with a camera is to do what its mission says. {task} What the mission names first is "
    "called wanted object here, where it is to be brought is called named place. What was not seen "
    "yet has to be found by exploring."
)


def _actions(turn: int, step: str) -> tuple[Action, ...]:
    return (
        Action("left", 0, f"turn {turn} degrees to the left"),
        Action("right", 1, f"turn {turn} degrees to the right"),
        Action("forward", 2, f"go {step} metres forward"),
        Action("pickup", 4 if turn == 15 else 3, "pick up the object right in front of you"),
        Action("drop", 5 if turn == 15 else 4, "put what you hold down right in front of you"),
    )


def draw(view: View, style: ImageStyle) -> NDArray[np.uint8]:
    """The camera's picture, larger than the student's: 10 tiles wide and 7.5 high. Its margins are
    for maps; there are none."""
    from lvlm2p.envs.miniworld.simulator import draw_scene

    return draw_scene(decode_scene(view.state), height=style.tile * 15 // 2)


def _observer(env: Any, task: Task) -> Observer:
    from lvlm2p.envs.miniworld.observer import CameraObserver

    return CameraObserver(env, task)


def _by_its_rules(episode: Episode) -> bool:
    return episode.terminated


def _task(name: str, env_id: str, task: str, success: str, *, fine: bool = True) -> Task:
    turn, step = (15, "0.15") if fine else (30, "0.5")
    actions = _actions(turn, step)
    return Task(
        name=name,
        env_ids=(env_id,),
        actions=actions[:-1] if name == "pickup-objects-3d" else actions,
        rules=PICTURE.format(turn=turn, step=step, task=task),
        observer=_observer,
        draw=draw,
        check_state=decode_scene,
        describe=describe,
        planner=player_plan,
        planning=planning(PLAN.format(task=task)),
        deterministic=False,
        success=_by_its_rules,
        success_meaning=success,
    )


NAV_PICK = _task(
    "nav-pick-3d", "LVLM2P-NavPick3D-v0", ROOMS, "the named box put down beside the named column",
    fine=False,
)  # fmt: skip
PUT_NEXT_3D = _task(
    "put-next-3d", "MiniWorld-PutNext-v0", PUT_NEXT, "the red box put down beside the yellow one"
)
PICKUP_OBJECTS = _task(
    "pickup-objects-3d", "MiniWorld-PickupObjects-v0", PICK_UP_ALL, "every object picked up"
)
FAMILIES = (NAV_PICK, PUT_NEXT_3D, PICKUP_OBJECTS)


def register_environments() -> None:
    """Make the ids known to Gymnasium, MiniWorld's own as we mend them; a second time does
    nothing."""
    import gymnasium as gym
    from gymnasium.envs.registration import EnvSpec

    for env_id, (place, kwargs) in ENTRY_POINTS.items():
        entry_point = f"lvlm2p.envs.miniworld.{place}"
        if env_id not in gym.registry or gym.registry[env_id].entry_point != entry_point:
            more = SMALL_WINDOW if env_id.startswith("MiniWorld-") else {}
            gym.registry[env_id] = EnvSpec(env_id, entry_point, kwargs={**kwargs, **more})

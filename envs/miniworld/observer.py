"""Who sees the camera's picture: the student as it is, the teacher as a View with a memory."""

from __future__ import annotations

import math
from typing import Any

import gymnasium as gym

from lvlm2p.envs.minigrid.state import COLORS, OBJECTS
from lvlm2p.envs.miniworld.geometry import in_sight
from lvlm2p.envs.miniworld.scene import SECTORS, Scene
from lvlm2p.envs.observers import SpaceObserver
from lvlm2p.envs.task import Task, View

MISSIONS = {
    "put-next": "put the red box next to the yellow box",
    "pickup-objects": "pick up all objects",
}
"""Of MiniWorld's own tasks, which say none."""


class CameraObserver(SpaceObserver):
    """Remembers which things were in the picture in this episode, and where the agent has looked.

    Raises:
        UserError: the environment's pictures change at random.
    """

    def __init__(self, env: gym.Env[Any, Any], task: Task) -> None:
        super().__init__(env, task)
        self._seen: set[int] = set()
        self._looked = [0]
        self._scene: Scene | None = None

    def reset(self, observation: Any) -> None:
        """An episode begins: nothing was seen."""
        super().reset(observation)
        self._seen.clear()
        self._look(first=True)

    def step(self, action: int, observation: Any) -> None:
        """It goes on."""
        base: Any = self._env.unwrapped
        if self._scene is not None and len(base.entities) <= len(self._scene.things):
            observation = base.render_obs()  # PickupObjects draws what it then takes away
        super().step(action, observation)
        self._look()

    def _look(self, *, first: bool = False) -> None:
        from lvlm2p.envs.miniworld.simulator import rooms_of, scene_of

        base: Any = self._env.unwrapped
        if first:
            self._looked = [0] * rooms_of(base)
        scene = scene_of(base, self._seen, self._looked)
        entities = [entity for entity in base.entities if entity is not base.agent]
        self._seen |= {id(one) for i, one in enumerate(entities) if in_sight(scene, i)}
        self._looked[scene.room] |= sectors_in_sight(scene)
        self._scene = scene_of(base, self._seen, self._looked)

    def view(self) -> View:
        """A snapshot."""
        assert self._scene is not None, "call reset() first"
        held = self._scene.held
        return View(
            self._task, self._scene.encode(), self.mission, None if held is None else held.name
        )

    @property
    def mission(self) -> str:
        """What is to be done."""
        assert self._scene is not None, "call reset() first"
        own: str | None = getattr(self._env.unwrapped, "mission", None)
        return own or MISSIONS[self._scene.world]

    @property
    def carrying(self) -> tuple[int, int]:
        """Object and colour of what is held, in MiniGrid's numbers; (0, 0): nothing."""
        held = None if self._scene is None else self._scene.held
        if held is None:
            return 0, 0
        return OBJECTS.index(held.kind), COLORS.index(held.color)


def sectors_in_sight(scene: Scene) -> int:
    """The directions of looking whose middle is in the picture, a bit for each."""
    step = 2 * math.pi / SECTORS
    bits = 0
    for sector in range(SECTORS):
        off = (sector * step - scene.direction + math.pi) % (2 * math.pi) - math.pi
        if abs(off) <= scene.body.half_width:
            bits |= 1 << sector
    return bits

"""Looking at an environment that nobody has described: its render, its observation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np

from lvlm2p.envs.errors import UserError
from lvlm2p.envs.generic.snapshot import join_snapshot, readable
from lvlm2p.envs.generic.table import table_of
from lvlm2p.envs.observers import SpaceObserver
from lvlm2p.envs.spaces import MISSION
from lvlm2p.envs.task import Task, View

if TYPE_CHECKING:
    from numpy.typing import NDArray

PURPOSE = "collect as much reward as you can"
"""What a teacher is told to do, where an environment gives no mission. A student is told nothing:
the same sentence in every state would only drown what it sees."""

MOST_PIXELS = 2**22
"""Of a picture; a larger one would fill the label store."""

MOST_DRAWN = 2_000
_DRAWN: dict[tuple[Any, ...], bytes] = {}
"""States of toy-text environments that were drawn, the oldest first."""


class SnapshotObserver(SpaceObserver):
    """The teacher sees the render; the student the environment's own observation.

    An image that is observed is no news beside a render, and where there is no render it is the
    picture: of a stack of frames the newest. Everything else that is observed is part of the view.
    """

    def __init__(self, env: gym.Env[Any, Any], task: Task) -> None:
        super().__init__(env, task)
        self._renders = env.render_mode == "rgb_array"
        self._shows = self.space.kind == "image"
        self._drawn = task.draw is not None
        table = table_of(env)
        self._table = None if table is None else table.digest
        self._mission: str | None = None
        self._said: Any = None

    def reset(self, observation: Any) -> None:
        """An episode begins."""
        super().reset(observation)
        self._note(observation)

    def step(self, action: int, observation: Any) -> None:
        """It goes on."""
        super().step(action, observation)
        self._note(observation)

    def _note(self, observation: Any) -> None:
        self._said = observation
        if isinstance(observation, dict) and isinstance(observation.get(MISSION), str):
            self._mission = observation[MISSION]
            self._said = {key: value for key, value in observation.items() if key != MISSION}

    def view(self) -> View:
        """A snapshot.

        Raises:
            UserError: the environment can't draw itself after all.
        """
        if self._table is not None and hasattr(self._env.unwrapped, "lastaction"):
            return View(self._task, self._snapshot_of_number(), self._purpose)
        return View(self._task, self._snapshot(), self._purpose)

    @property
    def _purpose(self) -> str:
        return PURPOSE if self._mission is None else self._mission

    @property
    def mission(self) -> str:
        """What the environment says is to be done, if it does."""
        return self._mission or ""

    def _snapshot(self) -> bytes:
        picture = self._picture() if self._drawn else None
        said = None if self._shows and picture is not None else readable(self._said)
        return join_snapshot(said, picture, self._table)

    def _snapshot_of_number(self) -> bytes:
        """Gymnasium's toy-text environments draw their state and the last action, which is none of
        it: they are drawn as if there had been no action, each state once."""
        key = (self._task.name, self._drawn, self._table, int(self._said))
        if key not in _DRAWN:
            base: Any = self._env.unwrapped
            last, base.lastaction = base.lastaction, None
            _DRAWN[key] = self._snapshot()
            base.lastaction = last
            if len(_DRAWN) > MOST_DRAWN:
                del _DRAWN[next(iter(_DRAWN))]
        return _DRAWN[key]

    def _picture(self) -> NDArray[np.uint8]:
        if not self._renders:
            seen = self.values
            frames = self._reader.channels_first and seen.shape[2] != 3
            return as_rgb(seen[..., -1] if frames else seen, self._task.name)
        try:
            drawn: Any = self._env.render()
        except Exception as error:
            raise UserError(f"{self._task.name} can't be drawn: {error}") from error
        return as_rgb(np.asarray(drawn), self._task.name)


def as_rgb(picture: NDArray[Any], whose: str) -> NDArray[np.uint8]:
    """A picture of (height, width) or (height, width, 1 to 4) as RGB.

    Its numbers are integers up to 255 or floats up to 1.

    Raises:
        UserError: it is none, or too large.
    """
    pixels = picture[..., None] if picture.ndim == 2 else picture
    if pixels.dtype != np.uint8 and pixels.dtype.kind in "iuf" and pixels.size:
        highest = 1 if pixels.dtype.kind == "f" else 255
        if pixels.min() >= 0 and pixels.max() <= highest:
            pixels = np.rint(pixels * (255 // highest)).astype(np.uint8)
    if pixels.ndim != 3 or pixels.dtype != np.uint8 or not 1 <= pixels.shape[2] <= 4:
        raise UserError(
            f"{whose} draws {picture.dtype} of shape {picture.shape}, which is no picture."
        )
    if pixels.shape[0] * pixels.shape[1] > MOST_PIXELS:
        raise UserError(f"{whose} draws {pixels.shape[1]} x {pixels.shape[0]} pixels: too many.")
    if pixels.shape[2] == 3:
        return pixels
    if pixels.shape[2] == 4:
        return pixels[..., :3]
    return np.repeat(pixels[..., :1], 3, axis=2)

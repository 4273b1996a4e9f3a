"""What else a label is true of: symmetric images of a view, and how a student would see them."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Mapping, Sequence

import numpy as np

from lvlm2p.envs.errors import UserError
from lvlm2p.envs.minigrid.state import AGENT, decode_state
from lvlm2p.envs.task import View
from lvlm2p.envs.vector import Observation


def random_images(
    view: View, count: int, rng: random.Random
) -> list[tuple[View, Mapping[str, str]]]:
    """At most ``count`` other views that are the same question, and {action: what it is there}.

    A random walk along the task's symmetries; there is none where the task has no symmetries.
    """
    symmetries = view.task.symmetries
    images: dict[View, dict[str, str]] = {view: {name: name for name in view.task.action_names}}
    image, actions = view, images[view]
    for _ in range(count if symmetries else 0):
        for _ in range(len(symmetries) + rng.randrange(2)):
            symmetry = rng.choice(symmetries)
            with contextlib.suppress(UserError):  # this room can't be turned
                image = symmetry.apply(image)
                actions = {name: symmetry.action(there) for name, there in actions.items()}
        images.setdefault(image, actions)
    del images[view]
    return list(images.items())


def observation_of(views: Sequence[View]) -> Observation:
    """The whole grid, as :class:`~lvlm2p.envs.minigrid.observation.MiniGridObserver` shows it.

    Raises:
        UserError: a view is not a MiniGrid state.
    """
    states = [decode_state(view.state) for view in views]
    grids = np.stack(
        [np.frombuffer(s.cells, np.uint8).reshape(s.width, s.height, 3) for s in states]
    )
    for grid, state in zip(grids, states, strict=True):
        grid[state.x, state.y] = AGENT, 0, state.direction
    carrying = np.array([state.carried for state in states], np.uint8)
    return Observation(grids, carrying, [view.mission for view in views])

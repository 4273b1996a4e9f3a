"""Making an environment that a teacher and a student can both see, and looking at it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lvlm2p.envs.arguments import RESERVED, split_arguments, value_of, with_arguments
from lvlm2p.envs.errors import UserError
from lvlm2p.envs.registry import task_for
from lvlm2p.envs.task import Task, View

if TYPE_CHECKING:
    import gymnasium as gym


def make_env(env: str, **kwargs: Any) -> gym.Env[Any, Any]:
    """A Gymnasium environment by its id; ``kwargs`` are those of ``gymnasium.make``, and so are
    arguments in the name (``FrozenLake-v1?is_slippery=false``).

    A MiniGrid environment observes the whole grid, as its FullyObsWrapper does, but faster:
    ``image`` (width, height, 3) uint8 with the agent, ``direction``, ``mission``. Where the task
    has an observer, that is told of every reset and step, and the observations are the
    environment's own.

    Raises:
        UnknownNameError: there is no such environment or argument; the sentence names the nearest.
        UserError: it can't be made with these arguments, or not be learned from.
    """
    from minigrid.minigrid_env import MiniGridEnv

    from lvlm2p.envs.generic.make import make_plain, make_rendering
    from lvlm2p.envs.generic.observer import SnapshotObserver
    from lvlm2p.envs.minigrid.observation import FullGrid
    from lvlm2p.envs.minigrid.state import observe_minigrid
    from lvlm2p.envs.observers import ObservedEnv

    env_id, arguments = split_arguments(env)
    given = {key: v for key, v in kwargs.items() if key not in RESERVED and value_of(str(v)) == v}
    task = task_for(with_arguments(env, given))
    make = make_rendering if task.observer is SnapshotObserver else make_plain
    made = make(env_id, **{**arguments, **kwargs})
    if task.observer is not None:
        return ObservedEnv(made, task, task.observer(made, task))
    if not isinstance(made.unwrapped, MiniGridEnv):
        return made
    return FullGrid(made, partial=task.observe is not observe_minigrid)


def view_of(env: gym.Env[Any, Any], task: Task | None = None) -> View:
    """A snapshot of what a teacher sees of ``env`` now; it stays when the environment moves on.

    ``task`` is needed only where the environment was not made by its Gymnasium id.

    Raises:
        UserError: the environment was never reset, it is not known which task it belongs to, or
            the task has an observer and :func:`make_env` did not make the environment.
    """
    from lvlm2p.envs.observers import observe, observed

    wrapper = observed(env, task)
    if wrapper is not None:
        return wrapper.view()
    if task is None:
        spec = env.unwrapped.spec
        if spec is None:
            raise UserError(
                f"{type(env.unwrapped).__name__} was not made by a Gymnasium id, so its task is "
                "not known: make it with make_env, or say view_of(env, task)."
            )
        task = task_for(spec.id)
    return observe(env, task)

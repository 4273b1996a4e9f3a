"""The task of an environment that nobody has described: made on the fly, from its own words."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import gymnasium as gym
from gymnasium.envs.registration import load_env_creator
from minigrid.minigrid_env import MiniGridEnv

from lvlm2p.envs.arguments import TIME_LIMIT, split_arguments, with_arguments
from lvlm2p.envs.episode import Episode, positive_return
from lvlm2p.envs.errors import UserError
from lvlm2p.envs.extras import MissingPackageError, explained
from lvlm2p.envs.generic.observer import SnapshotObserver
from lvlm2p.envs.generic.snapshot import (
    check_snapshot,
    describe_snapshot,
    draw_snapshot,
    identity,
)
from lvlm2p.envs.generic.table import TablePlanner, TransitionTable, table_of
from lvlm2p.envs.generic.wording import actions_of, rules_of
from lvlm2p.envs.minigrid.describe import describe_minigrid
from lvlm2p.envs.minigrid.draw import draw_minigrid
from lvlm2p.envs.minigrid.state import decode_state, observe_minigrid
from lvlm2p.envs.minigrid.tasks import SEEN
from lvlm2p.envs.task import Task

if TYPE_CHECKING:
    from gymnasium.envs.registration import EnvSpec

NO_PICTURE = "Its states are given in numbers."
PICTURE = "The picture shows the present state."


def generic_task(name: str) -> Task:
    """The task of the environment ``name``, an id of Gymnasium's with its arguments.

    Raises:
        UserError: it can't be made, its actions are not discrete, or what it observes can't be
            learned from.
    """
    env_id, arguments = split_arguments(name)
    env = make_rendering(env_id, **arguments)
    try:
        check_actions(env_id, env)
        if isinstance(env.unwrapped, MiniGridEnv):
            return _minigrid_task(env_id, env)
        return _snapshot_task(name, env_id, env)
    finally:
        env.close()


def make_rendering(env_id: str, **kwargs: Any) -> gym.Env[Any, Any]:
    """``gymnasium.make``, with pictures where the environment has any.

    Raises:
        UserError: it can't be made with these arguments.
    """
    if "rgb_array" in _render_modes(gym.spec(env_id.rpartition(":")[2])):
        if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # else pygame says that it found none
        kwargs = {"render_mode": "rgb_array", **kwargs}
    return make_plain(env_id, **kwargs)


def make_plain(env_id: str, **kwargs: Any) -> gym.Env[Any, Any]:
    """``gymnasium.make``.

    Raises:
        MissingPackageError: it needs a package of an extra.
        UserError: it can't be made with these arguments.
    """
    try:
        made = gym.make(env_id, disable_env_checker=True, **kwargs)
    except Exception as error:  # the constructor is anyone's
        # Gymnasium's own exception for a missing package has the import's as its cause
        lacking = error if isinstance(error, ModuleNotFoundError) else error.__cause__
        if isinstance(lacking, ModuleNotFoundError):
            clear = explained(lacking, f"environment {env_id!r}")
            if isinstance(clear, MissingPackageError):
                raise clear from error
        said = {key: value for key, value in kwargs.items() if key != "render_mode"}
        why = str(error) or type(error).__name__
        raise UserError(f"can't make {env_id!r} with {said}: {why}") from error
    _check_pictures(env_id, made)
    return made


def _check_pictures(env_id: str, env: gym.Env[Any, Any]) -> None:
    """MiniGrid's WFC environments read pictures and two packages at their first reset.

    Raises:
        UserError: they are not there. MiniGrid's wheel has never held the pictures.
    """
    config = getattr(env.unwrapped, "config", None)
    path = getattr(config, "pattern_path", None)
    if not type(env.unwrapped).__module__.startswith("minigrid.envs.wfc") or path is None:
        return
    absent = [name for name in ("imageio", "networkx") if find_spec(name) is None]
    if absent or not path.exists():
        raise UserError(
            f"environment {env_id!r} needs imageio, networkx and pictures that MiniGrid's package "
            "on PyPI lacks: git clone https://github.com/Farama-Foundation/Minigrid && "
            "pip install --editable './Minigrid[wfc]'"
        )


def check_actions(env_id: str, env: gym.Env[Any, Any]) -> int:
    """How many actions there are.

    Raises:
        UserError: they are not discrete, or do not begin at 0.
    """
    space = env.action_space
    if not isinstance(space, gym.spaces.Discrete) or space.start != 0:
        raise UserError(f"{env_id!r} has actions {space}: only discrete ones from 0 can be learnt.")
    return int(space.n)


def _render_modes(spec: EnvSpec) -> list[str]:
    found: Any = spec.entry_point
    try:
        creator = found if callable(found) else load_env_creator(found)
    except Exception:  # making it will say what is missing
        return []
    metadata = getattr(creator, "metadata", None) or {}
    return list(metadata.get("render_modes", ()))


def _minigrid_task(env_id: str, env: gym.Env[Any, Any]) -> Task:
    """Exact states and pictures, as every MiniGrid has them."""
    return Task(
        name=env_id,
        env_ids=(env_id,),
        actions=actions_of(env_id, env),
        rules=rules_of(env_id, env, SEEN.strip()),
        observe=observe_minigrid,
        draw=draw_minigrid,
        describe=describe_minigrid,
        check_state=decode_state,
        deterministic=False,
    )


def _snapshot_task(name: str, env_id: str, env: gym.Env[Any, Any]) -> Task:
    undrawn = Task(name, (env_id,), actions_of(env_id, env), "", observer=SnapshotObserver)
    shows = SnapshotObserver(env, undrawn).space.kind == "image"
    drawn = shows or env.render_mode == "rgb_array"
    table = table_of(env)
    success, meaning = _success(env, table)
    return Task(
        name=name,
        env_ids=(env_id,),
        actions=undrawn.actions,
        rules=rules_of(env_id, env, PICTURE if drawn else NO_PICTURE),
        draw=draw_snapshot if drawn else None,
        describe=describe_snapshot,
        planner=None if table is None else TablePlanner(table),
        deterministic=table is not None and table.deterministic,
        success=success,
        success_meaning=meaning,
        observer=SnapshotObserver,
        check_state=check_snapshot,
        identity=identity,
    )


def _success(env: gym.Env[Any, Any], table: TransitionTable | None) -> tuple[Any, str]:
    """What is counted as a success, as a function and in words."""
    if table is not None and len(table.end_rewards) == 1:
        return ended, "an end of the episode by its rules, before time is up"
    threshold = None if env.spec is None else env.spec.reward_threshold
    if threshold is None:
        return positive_return, "a return above 0"
    words = (
        f"a return of at least {threshold:g}, the reward threshold of {env.spec and env.spec.id}"
    )
    return AtLeast(threshold), words


def ended(episode: Episode) -> bool:
    """By its rules, not by the clock."""
    return episode.terminated


@dataclass(frozen=True)
class AtLeast:
    """A return that reaches a threshold."""

    threshold: float

    def __call__(self, episode: Episode) -> bool:
        """Whether it does."""
        return episode.total_return >= self.threshold


def name_of_task(env: str) -> str:
    """What the generic task of an environment is called: its id and arguments, but neither the
    module that registers it nor how long an episode may take."""
    module_and_id, arguments = split_arguments(env)
    arguments.pop(TIME_LIMIT, None)
    return with_arguments(module_and_id.rpartition(":")[2], arguments)

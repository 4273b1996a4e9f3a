"""How long an episode may take where the environment itself sets no limit."""

from __future__ import annotations

from typing import Any

from lvlm2p.envs.arguments import TIME_LIMIT, split_arguments, with_arguments
from lvlm2p.envs.registry import task_for

LONGEST = 1_000
"""Steps of an episode in an evaluation, where nobody has set a limit."""

_SAID: set[str] = set()
"""Environments whose users have been told."""


class Limited:
    """An environment for episodes that are sure to end.

    Attributes:
        env: the name to make it by; with a limit of ``LONGEST`` where it had none.
        cut: how many episodes have come to that limit.
    """

    def __init__(self, env: str) -> None:
        self._own, self.cut = has_limit(env), 0
        self.env = env if self._own else with_arguments(env, {TIME_LIMIT: LONGEST})

    def note(self, length: int, terminated: bool = False) -> None:
        """An episode has ended after so many steps."""
        self.cut += not self._own and not terminated and length >= LONGEST

    def warning(self, episodes: int) -> str | None:
        """A sentence where episodes were cut off; once for each environment."""
        if not self.cut or self.env in _SAID:
            return None
        _SAID.add(self.env)
        return (
            f"{self.cut} of {episodes} episodes of {split_arguments(self.env)[0]}, which has no "
            f"time limit, were cut off after {LONGEST:,} steps: --max-episode-steps sets another"
        )


def has_limit(env: str) -> bool:
    """Whether an environment ends every episode after some number of steps: Gymnasium's limit, or
    MiniGrid's own."""
    import gymnasium as gym
    from minigrid.minigrid_env import MiniGridEnv

    task_for(env)  # makes its id known
    env_id, arguments = split_arguments(env)
    spec = gym.spec(env_id.rpartition(":")[2])
    if TIME_LIMIT in arguments or spec.max_episode_steps is not None:
        return True
    creator: Any = spec.entry_point
    if not callable(creator):
        from gymnasium.envs.registration import load_env_creator

        creator = load_env_creator(str(creator))
    return isinstance(creator, type) and issubclass(creator, MiniGridEnv)

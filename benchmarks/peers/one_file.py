"""CleanRL's ppo.py, as ``examples/cleanrl_ppo.py`` has it, without the lines for a teacher."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
from torch import nn

from benchmarks.peers.task import (
    ACTIONS,
    EPOCHS,
    INPUTS,
    LR,
    MINIBATCH,
    ROLLOUT,
    FlatGrid,
    Peer,
    count,
    width_for,
)
from examples import cleanrl_ppo


def one_file(n_envs: int, size: int) -> Peer:
    width = width_for(size)

    class Agent(cleanrl_ppo.Agent):
        def __init__(self, observation: int, actions: int) -> None:
            nn.Module.__init__(self)
            init = cleanrl_ppo.layer_init

            def tower(outputs: int, std: float) -> nn.Sequential:
                first, second = init(nn.Linear(observation, width)), init(nn.Linear(width, width))
                last = init(nn.Linear(width, outputs), std)
                return nn.Sequential(first, nn.Tanh(), second, nn.Tanh(), last)

            self.actor, self.critic = tower(actions, 0.01), tower(1, 1.0)

    def make(env_id: str) -> gym.Env[Any, Any]:
        return gym.wrappers.RecordEpisodeStatistics(FlatGrid())

    cleanrl_ppo.Agent = Agent  # type: ignore[misc] # the file has no argument for it
    cleanrl_ppo.make = make

    def run(frames: int) -> None:
        cleanrl_ppo.train(
            cleanrl_ppo.Args(
                teacher="none",
                total_timesteps=frames,
                learning_rate=LR,
                num_envs=n_envs,
                num_steps=ROLLOUT // n_envs,
                num_minibatches=ROLLOUT // MINIBATCH,
                update_epochs=EPOCHS,
            )
        )

    return run, count(Agent(INPUTS, ACTIONS))

"""TorchRL's PPO, put together as its tutorial does."""

from __future__ import annotations

import warnings

import torch
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


def torchrl(n_envs: int, size: int) -> Peer:
    warnings.simplefilter("ignore")
    from tensordict.nn import TensorDictModule
    from torchrl.collectors import Collector
    from torchrl.data import LazyTensorStorage, ReplayBuffer, SamplerWithoutReplacement
    from torchrl.envs import GymWrapper, SerialEnv
    from torchrl.modules import ProbabilisticActor, ValueOperator
    from torchrl.objectives import ClipPPOLoss
    from torchrl.objectives.value import GAE

    width = width_for(size)

    def tower(outputs: int) -> nn.Sequential:
        first, second = nn.Linear(INPUTS, width), nn.Linear(width, width)
        return nn.Sequential(first, nn.Tanh(), second, nn.Tanh(), nn.Linear(width, outputs))

    actor = ProbabilisticActor(
        TensorDictModule(tower(ACTIONS), in_keys=["observation"], out_keys=["logits"]),
        in_keys=["logits"],
        distribution_class=torch.distributions.Categorical,
        return_log_prob=True,
    )
    critic = ValueOperator(tower(1), in_keys=["observation"])
    env = SerialEnv(n_envs, lambda: GymWrapper(FlatGrid(), categorical_action_encoding=True))
    collector = Collector(env, actor, frames_per_batch=ROLLOUT, total_frames=-1)
    rollouts = iter(collector)
    advantage = GAE(gamma=0.99, lmbda=0.95, value_network=critic, average_gae=True)
    loss_module = ClipPPOLoss(actor, critic, clip_epsilon=0.2, entropy_coeff=0.01, critic_coeff=0.5)
    optimizer = torch.optim.Adam(loss_module.parameters(), lr=LR)
    memory = ReplayBuffer(
        storage=LazyTensorStorage(ROLLOUT),
        sampler=SamplerWithoutReplacement(),
        batch_size=MINIBATCH,
    )

    def update() -> None:
        rollout = next(rollouts)
        for _ in range(EPOCHS):
            with torch.no_grad():
                advantage(rollout)
            memory.extend(rollout.reshape(-1))
            for _ in range(ROLLOUT // MINIBATCH):
                losses = loss_module(memory.sample())
                loss = losses["loss_objective"] + losses["loss_critic"] + losses["loss_entropy"]
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(loss_module.parameters(), 0.5)
                optimizer.step()

    def run(frames: int) -> None:
        for _ in range(frames // ROLLOUT):
            update()

    return run, count(actor, critic)

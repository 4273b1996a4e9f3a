"""Tianshou's PPO: its collector, its buffer and its update, without its trainer's progress bar."""

from __future__ import annotations

import torch

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


def tianshou(n_envs: int, size: int) -> Peer:
    from tianshou.algorithm import PPO
    from tianshou.algorithm.modelfree.reinforce import ProbabilisticActorPolicy
    from tianshou.algorithm.optim import AdamOptimizerFactory
    from tianshou.data import Collector, VectorReplayBuffer
    from tianshou.env import DummyVectorEnv
    from tianshou.utils.net.common import Net
    from tianshou.utils.net.discrete import DiscreteActor, DiscreteCritic
    from tianshou.utils.torch_utils import policy_within_training_step

    def net() -> Net:
        hidden = [width_for(size)] * 2
        return Net(state_shape=INPUTS, hidden_sizes=hidden, activation=torch.nn.Tanh)

    actor = DiscreteActor(preprocess_net=net(), action_shape=ACTIONS, softmax_output=False)
    critic = DiscreteCritic(preprocess_net=net())
    policy = ProbabilisticActorPolicy(
        actor=actor,
        dist_fn=lambda logits: torch.distributions.Categorical(logits=logits),
        action_space=FlatGrid().action_space,
        action_scaling=False,
        action_bound_method=None,
    )
    algorithm = PPO(
        policy=policy, critic=critic, optim=AdamOptimizerFactory(lr=LR), max_grad_norm=0.5
    )
    envs = DummyVectorEnv([FlatGrid] * n_envs)
    collector = Collector(algorithm, envs, VectorReplayBuffer(ROLLOUT, n_envs))
    collector.reset()

    def run(frames: int) -> None:
        for _ in range(frames // ROLLOUT):
            with policy_within_training_step(policy):
                collector.collect(n_step=ROLLOUT)
                algorithm.update(collector.buffer, batch_size=MINIBATCH, repeat=EPOCHS)
            collector.reset_buffer(keep_statistics=True)

    return run, count(actor, critic)

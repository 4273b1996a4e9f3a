"""Stable-Baselines3's PPO with its MlpPolicy, and that of sbx, which is the same in JAX."""

from __future__ import annotations

import os
from typing import Any

from benchmarks.peers.task import EPOCHS, LR, MINIBATCH, ROLLOUT, FlatGrid, Peer, count, width_for


def stable_baselines(n_envs: int, size: int) -> Peer:
    from stable_baselines3 import PPO

    model = _made(PPO, n_envs, size)
    return model.learn, count(model.policy)


def sbx(n_envs: int, size: int) -> Peer:
    one = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    os.environ["XLA_FLAGS"] = one  # read when jax is first imported
    import jax
    from sbx import PPO

    model = _made(PPO, n_envs, size)
    states = (model.policy.actor_state, model.policy.vf_state)
    leaves = [leaf for state in states for leaf in jax.tree_util.tree_leaves(state.params)]
    return model.learn, sum(leaf.size for leaf in leaves)


def _made(algorithm: Any, n_envs: int, size: int) -> Any:
    from stable_baselines3.common.vec_env import DummyVecEnv

    width = width_for(size)
    return algorithm(
        "MlpPolicy",
        DummyVecEnv([FlatGrid] * n_envs),
        n_steps=ROLLOUT // n_envs,
        batch_size=MINIBATCH,
        n_epochs=EPOCHS,
        learning_rate=LR,
        policy_kwargs={"net_arch": {"pi": [width, width], "vf": [width, width]}},
        device="cpu",
    )

"""Stable-Baselines3's PPO with a teacher: python examples/sb3_ppo.py TEACHER FRAMES SEED"""

import sys
from typing import Any

import numpy as np
import torch
from gymnasium.wrappers import FilterObservation, FlattenObservation
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

from lvlm2p.envs import make_env, view_of
from lvlm2p.teachers import Label, LabelStore, Prefetcher, Teacher, load_teacher


class Taught(BaseCallback):
    def __init__(self, teacher: Teacher) -> None:
        super().__init__()
        self.ahead, self.seen = Prefetcher(teacher), dict[str, Any]()

    def look(self, observations: Any) -> None:
        views = [view_of(env) for env in self.training_env.envs]  # type: ignore[attr-defined] # a DummyVecEnv
        self.seen |= zip(self.ahead.submit(views), observations, strict=True)

    def _on_step(self) -> bool:
        self.look(self.locals["new_obs"])
        return True

    def _on_rollout_start(self) -> None:
        self.look(self.model._last_obs)
        self.ahead.wait()
        policy: Any = self.model.policy
        labels = {k: one for k, one in self.ahead.answers.items() if isinstance(one, Label)}
        shown = torch.tensor(np.array([self.seen[key] for key in labels]))
        p = torch.tensor([list(label.probabilities.values()) for label in labels.values()])
        best = (p == p.max(1, keepdim=True).values).float()
        for rows in torch.randint(len(p), (64, 256)):  # labels are paid for, and free to reuse
            log_probs = policy.get_distribution(shown[rows]).distribution.logits[:, : p.shape[1]]
            target = best[rows] / best[rows].sum(1, keepdim=True)
            policy.optimizer.zero_grad()
            (-(target * log_probs).sum(1).mean()).backward()
            policy.optimizer.step()


def train(teacher: str, frames: int, seed: int, env: str = "MiniGrid-LavaGapS5-v0") -> PPO:
    make = lambda: FlattenObservation(FilterObservation(make_env(env), ["image"]))  # noqa: E731 (a line)
    envs = make_vec_env(make, n_envs=8, seed=seed)
    ppo = PPO("MlpPolicy", envs, 1e-3, n_steps=128, batch_size=256, n_epochs=4, seed=seed)
    told = None if teacher == "none" else Taught(load_teacher(teacher, store=LabelStore()))
    return ppo.learn(frames, told)


if __name__ == "__main__":
    student = train(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    envs: Any = student.env
    played = evaluate_policy(student, envs, 100, return_episode_rewards=True)[0]
    print(f"success {np.mean(np.array(played) > 0):.2f}")

"""torch-ac's PPO with a small CNN and a GRU for the mission, as its starter files have them.

Its environments are stepped in this process, which costs less than its own worker processes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.peers.task import EPOCHS, MINIBATCH, ROLLOUT, Peer, count, full_grid


class InProcess:
    """What torch-ac's ParallelEnv does, without its processes."""

    def __init__(self, envs: list[Any]) -> None:
        self.envs = envs

    def reset(self) -> list[Any]:
        return [env.reset()[0] for env in self.envs]

    def step(self, actions: Any) -> Any:
        rows = []
        for env, action in zip(self.envs, actions, strict=True):
            seen, reward, terminated, truncated, info = env.step(action)
            if terminated or truncated:
                seen, _ = env.reset()
            rows.append((seen, reward, terminated, truncated, info))
        return zip(*rows, strict=True)


def _network(width: int) -> Any:
    import torch_ac

    class Network(nn.Module, torch_ac.ACModel):  # type: ignore[misc] # it ships no types
        recurrent = False

        def __init__(self) -> None:
            super().__init__()
            self.image = nn.Sequential(
                *(nn.Conv2d(3, 16, 2), nn.ReLU(), nn.Conv2d(16, 32, 2), nn.ReLU(), nn.Flatten())
            )
            self.words = nn.Embedding(100, 32)
            self.mission = nn.GRU(32, 64, batch_first=True)
            self.actor = nn.Sequential(nn.Linear(576, width), nn.Tanh(), nn.Linear(width, 7))
            self.critic = nn.Sequential(nn.Linear(576, width), nn.Tanh(), nn.Linear(width, 1))

        def forward(self, seen: Any) -> Any:
            image = self.image(seen.image.transpose(1, 3))
            _, mission = self.mission(self.words(seen.text))
            x = torch.cat([image, mission[0]], dim=1)
            policy = torch.distributions.Categorical(logits=self.actor(x))
            return policy, self.critic(x).squeeze(1)

    return Network()


def torch_ac_ppo(n_envs: int, size: int) -> Peer:
    import torch_ac
    import torch_ac.algos.base

    numbers: dict[str, int] = {}

    def preprocess(seen: Any, device: Any = None) -> Any:
        text = [[numbers.setdefault(w, len(numbers)) for w in s["mission"].split()] for s in seen]
        image = np.array([s["image"] for s in seen])
        return torch_ac.DictList(
            {"image": torch.tensor(image, dtype=torch.float), "text": torch.tensor(text)}
        )

    torch_ac.algos.base.ParallelEnv = InProcess
    model = min(map(_network, range(16, 256, 4)), key=lambda one: abs(count(one) - size))
    algo = torch_ac.PPOAlgo(
        [full_grid() for _ in range(n_envs)],
        model,
        "cpu",
        num_frames_per_proc=ROLLOUT // n_envs,
        recurrence=1,
        epochs=EPOCHS,
        batch_size=MINIBATCH,
        preprocess_obss=preprocess,
    )

    def run(frames: int) -> None:
        for _ in range(frames // ROLLOUT):
            experiences, _ = algo.collect_experiences()
            algo.update_parameters(experiences)

    return run, count(model)

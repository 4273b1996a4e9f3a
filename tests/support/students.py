"""Students for the tests of what is done with one."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch

from lvlm2p.envs import VectorEnv
from lvlm2p.student.models.encoder import Encoder
from lvlm2p.student.models.policy import Policy
from lvlm2p.student.training.trained import Student


def student_of(env_id: str, folder: Path, memory: Literal["none", "lstm"] = "none") -> Student:
    """One that has learned nothing and yet has opinions, saved where a run would leave it."""
    env = VectorEnv(env_id, 1, 0)
    torch.manual_seed(0)
    encoder = Encoder(env.space)
    policy = Policy(env.space.kind, encoder.shape, env.n_actions, 16, memory)
    with torch.no_grad():
        torch.nn.init.normal_(policy.policy_head.weight)
    env.close()
    folder.mkdir(parents=True, exist_ok=True)
    student = Student(env_id, policy, encoder)
    student.save(folder)
    return student

"""Updates of a table by hand: gradients without automatic differentiation.

Each state has its own logits z and its own value v, so with p = softmax(z) every term has a
gradient that fits in one line: of log p(a) it is onehot(a) - p; of the entropy H, -p (log p + H);
of KL(target‖p), p - target; of (v - R)²/2, v - R. Plain gradient descent moves by lr times that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lvlm2p.student.config import TrainConfig
from tests.support.learning import (
    Frame,
    TablePolicy,
    config,
    improve,
    meet,
    new_book,
    rollout_of,
    teacher_of,
)

Array = NDArray[Any]
Tables = tuple[Array, Array]

LOGITS = [[0.4, -0.3, 0.1, 0.0], [-0.2, 0.5, 0.0, 0.8]]
VALUES = [0.3, -0.2]
FRAMES = [
    Frame(state=0, action=0, old=0.30, advantage=1.0, target=1.0),
    Frame(state=1, action=3, old=0.20, advantage=0.8, target=0.5),  # ratio 2.1: clipped
    Frame(state=0, action=2, old=0.26, advantage=-2.0, target=-1.0),
    Frame(state=1, action=1, old=0.50, advantage=-0.5, target=0.2),  # ratio 0.6: clipped
]
SAYS_0 = {"stay": 0.7, "go": 0.1, "turn": 0.2}
SAYS_1 = {"stay": 0.2, "go": 0.3, "turn": 0.5}
TARGETS = {0: [0.1, 0.0, 0.7, 0.2], 1: [0.3, 0.0, 0.2, 0.5]}
"""What they say, in the environment's order: go is its action 0, stay 2, turn 3; no one is asked
about action 1."""


def softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max())
    result: Array = powers / powers.sum()
    return result


def normalised(frames: Sequence[Frame]) -> list[float]:
    advantages = np.array([frame.advantage for frame in frames])
    return list((advantages - advantages.mean()) / (advantages.std() + 1e-8))


def gradient(
    tables: Tables,
    frames: Sequence[Frame],
    settings: TrainConfig,
    targets: Mapping[int, Sequence[float]],
    weight: float,
    weights: Mapping[int, float] | None = None,
) -> Tables:
    """Of the loss on one minibatch; ``targets``: state -> what is distilled; ``weights``: of the
    labels, by state, 1 where none is given."""
    logits, values = tables
    d_logits, d_values = np.zeros_like(logits), np.zeros_like(values)
    labelled = [frame for frame in frames if frame.state in targets]
    advantages = [frame.advantage for frame in frames]
    if settings.algo == "ppo":
        advantages = normalised(frames)
    for frame, advantage in zip(frames, advantages, strict=True):
        s, p = frame.state, softmax(logits[frame.state])
        ratio = p[frame.action] / frame.old if settings.algo == "ppo" else 1.0
        stopped = settings.algo == "ppo" and (
            ratio > 1 + settings.clip if advantage > 0 else ratio < 1 - settings.clip
        )
        if not stopped:
            onehot = np.eye(len(p))[frame.action]
            d_logits[s] -= ratio * advantage * (onehot - p) / len(frames)
        entropy = -(p * np.log(p)).sum()
        assert settings.ent_coef is not None
        d_logits[s] += settings.ent_coef * p * (np.log(p) + entropy) / len(frames)
        d_values[s] += settings.vf_coef * (values[s] - frame.target) / len(frames)
    for frame in labelled:
        target, p = np.array(targets[frame.state]), softmax(logits[frame.state])
        own = weight * (weights or {}).get(frame.state, 1.0)
        d_logits[frame.state] += own * divergence(target, p, settings) / len(labelled)
    return d_logits, d_values


def divergence(target: Array, p: Array, settings: TrainConfig) -> Array:
    """The gradient of the distillation loss with respect to the logits.

    Of -.8 log q(best), q = softmax(p): by p it is -.8 (onehot - q), and by the logits what the
    Jacobian of a softmax makes of that.
    """
    if settings.kl_loss == "kl":
        return p - target
    by_p = -0.8 * (np.eye(len(p))[target.argmax()] - softmax(p))
    result: Array = p * (by_p - (p * by_p).sum())
    return result


def down(tables: Tables, gradients: Tables, settings: TrainConfig) -> Tables:
    """A step down, no longer than lr times the largest norm that is allowed."""
    norm = math.sqrt(sum(float((g**2).sum()) for g in gradients))
    scale = min(1.0, settings.max_grad_norm / norm) if norm else 1.0
    (z, v), (dz, dv) = tables, gradients
    return z - settings.lr * scale * dz, v - settings.lr * scale * dv


def same(got: Tables, expected: Tables) -> bool:
    return all(np.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in zip(got, expected, strict=True))


def start() -> Tables:
    """What :func:`taught` starts from."""
    return np.array(LOGITS), np.array(VALUES)


def taught(
    algo: str,
    answers: Mapping[int, Any],
    weight: float = 0.6,
    weights: Mapping[int, float] | None = None,
    **options: Any,
) -> tuple[Tables, dict[str, float], TrainConfig]:
    """The tables after one update, its report, and the settings."""
    settings = config(algo, **{"ent_coef": 0.3, "vf_coef": 0.7, **options})
    policy = TablePolicy(LOGITS, VALUES)
    with closing(new_book(settings, teacher_of(answers, weights))) as book:
        meet(book, list(answers))
        rows = [list(answers).index(f.state) if f.state in answers else -1 for f in FRAMES]
        report = improve(policy, rollout_of(FRAMES, rows), book, weight, settings)
    return policy.tables(), report, settings

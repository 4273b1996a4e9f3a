"""How much the teacher counts: lambda over the course of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lvlm2p.student.config import TrainConfig


def kl_weight(config: TrainConfig, frames: int, updates: int, caught_up_at: int | None) -> float:
    """Lambda after ``frames`` frames and so many updates.

    ``caught_up_at``: the frame at which the student's evaluated return reached the teacher's; None
    before that. From there the rewards weigh more and can unlearn the teacher's errors; lambda does
    not fall below ``kl_floor`` times its first value (docs/training.md says why).
    """
    lowest = config.kl_floor * config.kl_coef
    if config.kl_schedule == "by-update":
        falling = max(lowest, config.kl_coef - config.kl_fall * updates)
        return falling if updates < config.kl_updates else 0.0
    if config.kl_schedule == "constant" or caught_up_at is None:
        return config.kl_coef
    left = 1 - max(0, frames - caught_up_at) / config.kl_frames
    return max(lowest, config.kl_coef * left)

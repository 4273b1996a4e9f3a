"""How much the teacher counts: lambda over the course of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lvlm2p.student.config import TrainConfig


def kl_weight(config: TrainConfig, frames: int, caught_up_at: int | None) -> float:
    """Lambda after ``frames`` frames.

    ``caught_up_at``: the frame at which the student's evaluated return reached the teacher's; None
    before that. From there the rewards weigh more and can unlearn the teacher's errors; lambda does
    not fall below ``kl_floor`` times its first value (docs/training.md says why).
    """
    if config.kl_schedule == "exponential":
        return float(config.kl_coef * max(config.kl_floor, 0.01 ** (frames / config.kl_frames)))
    start = {"linear": 0, "caught-up": caught_up_at}.get(config.kl_schedule)
    if start is None:
        return config.kl_coef
    left = 1 - max(0, frames - start) / config.kl_frames
    return config.kl_coef * max(config.kl_floor, left)

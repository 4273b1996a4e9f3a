"""What a training run came to."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lvlm2p.student.training.evaluation import PolicyEvaluation
from lvlm2p.teachers import Counts


@dataclass(frozen=True)
class TrainResult:
    """What a run came to."""

    run_dir: Path
    frames: int
    evaluation: PolicyEvaluation
    labels: Counts
    seconds: float
    label_set: dict[str, Any] | None = None
    """What the labels were: a fingerprint of them all, and those of the prompts."""

    def as_json(self) -> dict[str, Any]:
        """The contract of ``lvlm2p train --json``."""
        labels = asdict(self.labels)
        return {
            "run_dir": str(self.run_dir),
            "frames": self.frames,
            "evaluation": self.evaluation.as_json(),
            "cost_usd": labels.pop("cost_usd"),
            "labels": labels,
            "label_set": self.label_set,
            "seconds": round(self.seconds, 3),
        }

    def trouble(self) -> str | None:
        """Why the run was in vain: (nearly) all answers of its teacher failed; None: it was not."""
        return self.labels.trouble(f"a student trained without labels, in {self.run_dir}")

    def summary(self) -> str:
        """The same in words."""
        e, n = self.evaluation, self.labels
        cost = "price unknown" if n.cost_usd is None else f"${n.cost_usd:.2f}"
        saved = f", {n.saved} saved by symmetry" if n.saved else ""
        return (
            f"{self.frames:,} frames in {self.seconds:.0f} s. In {e.episodes} fresh episodes of "
            f"its own the student succeeds in {e.success:.1%} (mean return {e.mean_return:.3f}; a "
            f"success is {e.success_is}). "
            f"Labels: {n.asked} asked, {n.cached} cached, {n.failed} failed, {n.missing} missing"
            f"{saved}; {cost}. {self.run_dir}"
        )

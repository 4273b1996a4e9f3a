"""What a student makes of a teacher whose plans are of no use: it learns as if it had none."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from lvlm2p.student import TrainConfig, TrainResult, train

USELESS = """
tables:
- tasks: [lava-door-key]
  situations:
    Agent sees <nothing>, holds <nothing>.:
    - {share: 1.0, plan: []}
"""


def run(folder: Path, teacher: str) -> TrainResult:
    """A run of seconds."""
    data = {
        "env": "LVLM2P-LavaDoorKey-v0",
        "teacher": teacher,
        "recipe": "fast",  # none has another one by itself
        "frames": 512,
        "n_envs": 8,
        "n_steps": 32,
        "ent_coef": 0.01,
        "kl_schedule": "constant",
        "eval_every": 0,
        "final_episodes": 10,
        "checkpoint_every": 0,
        "progress": False,
        "run_dir": folder,
    }
    return train(TrainConfig.model_validate(data))


def test_plans_of_no_use_change_nothing_and_are_counted(tmp_path: Path) -> None:
    (tmp_path / "useless.yaml").write_text(USELESS, encoding="utf-8")
    taught = run(tmp_path / "taught", f"plans:{tmp_path}/useless.yaml")
    alone = run(tmp_path / "alone", "none")
    assert taught.labels.failed == taught.labels.asked + taught.labels.cached > 0
    assert "no plan" in taught.labels.first_failure
    weights = [load_file(tmp_path / name / "student.safetensors") for name in ("taught", "alone")]
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())
    assert taught.evaluation.success == alone.evaluation.success

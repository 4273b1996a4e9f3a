"""A run with labels made elsewhere ends with the weights of the run that made them."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from lvlm2p.student import TrainConfig, train
from lvlm2p.teachers.store.commands import ExportConfig, ImportConfig


def weights(tmp_path: Path, name: str, **options: object) -> dict[str, torch.Tensor]:
    config = TrainConfig.model_validate(
        {
            "env": "MiniGrid-LavaGapS5-v0",
            "teacher": "expert",
            "teacher_args": {"error_rate": "0.05"},
            "frames": 800,
            "eval_episodes": 5,
            "run_dir": tmp_path / name,
            **options,
        }
    )
    teacher = config.load_teacher(config.teacher)
    result = train(config, teacher)
    asked = result.as_json()["labels"]["asked"]
    assert (asked == 0) == ("store" not in options or "offline" in options), "offline, yet asked"
    return load_file(tmp_path / name / "student.safetensors")


def test_exported_here_imported_there_same_weights(tmp_path: Path) -> None:
    here, there, file = tmp_path / "here", tmp_path / "there", tmp_path / "labels.parquet"
    made = weights(tmp_path, "made", store=here)
    ExportConfig(store=here, out=file).run()
    ImportConfig(store=there, file=file).run()
    offline = weights(tmp_path, "offline", store=there, offline=True)
    from_file = weights(tmp_path, "from-file", labels=file, teacher_args={})
    for other in (offline, from_file):
        assert made.keys() == other.keys()
        assert all(torch.equal(made[name], other[name]) for name in made)
    # These weights do depend on what the labels say.
    misled = weights(tmp_path, "misled", store=here, teacher_args={"error_rate": "0.5"})
    assert not all(torch.equal(made[name], misled[name]) for name in made)

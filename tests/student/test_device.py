"""Where a student learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from lvlm2p.student import TrainConfig, TrainResult, load_student, train
from lvlm2p.student.models.device import torch_device
from lvlm2p.teachers.errors import ConfigError

ON_A_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")


def run(folder: Path, **options: Any) -> TrainResult:
    data = {
        "env": "MiniGrid-GoToDoor-5x5-v0",
        "frames": 512,
        "n_envs": 4,
        "n_steps": 16,
        "batch_size": 32,
        "kl_minibatches": 4,
        "kl_schedule": "constant",
        "eval_every": 0,
        "final_episodes": 4,
        "progress": False,
        "run_dir": folder,
        "store": folder.with_name("store"),
    }
    return train(TrainConfig.model_validate({**data, **options}))


@pytest.mark.parametrize("name", ["gpu", "cuda:77", "meta", ""])
def test_a_device_that_is_not_there_is_one_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=f"^--device {name}: this PyTorch can't use it here") as e:
        run(tmp_path / "run", device=name)
    assert "\n" not in str(e.value)
    assert not (tmp_path / "run").exists()


def test_auto_is_what_is_there() -> None:
    assert torch_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_a_run_goes_on_on_another_device(tmp_path: Path) -> None:
    """``auto`` is another name at least; where there is a GPU, another device."""
    run(tmp_path / "run", frames=256)
    result = run(tmp_path / "run", device="auto", resume=True)
    assert result.frames == 512
    assert next(load_student(tmp_path / "run").policy.parameters()).device.type == "cpu"


@ON_A_GPU
@pytest.mark.parametrize("memory", ["none", "lstm"])
@pytest.mark.parametrize("algo", ["ppo", "a2c"])
def test_everything_runs_on_a_gpu(tmp_path: Path, algo: str, memory: str) -> None:
    options = {"device": "cuda", "algo": algo, "memory": memory, "ask": "entropy:0.5"}
    run(tmp_path / "run", frames=256, **options)
    assert run(tmp_path / "run", resume=True, **options).frames == 512

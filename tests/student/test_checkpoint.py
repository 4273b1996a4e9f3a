"""Checkpoints and the files beside them: whole or not at all, and never another's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from lvlm2p.student.training import checkpoint
from lvlm2p.teachers.errors import CheckpointError

TENSORS = {"network.weight": torch.arange(6.0).view(2, 3), "generator": torch.arange(5)}
STATE = {"frames": 640, "episodes": [[0.5, 12]]}


def saved(folder: Path) -> Path:
    checkpoint.save(folder, TENSORS, STATE)
    return folder


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    assert checkpoint.load(tmp_path / "none") is None
    loaded = checkpoint.load(saved(tmp_path / "run"))
    assert loaded is not None
    tensors, state = loaded
    assert state == STATE and tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)


def test_the_next_checkpoint_takes_the_place_of_the_last(tmp_path: Path) -> None:
    folder = saved(tmp_path / "run")
    checkpoint.save(folder, {"other": torch.ones(3)}, {"frames": 1280})
    loaded = checkpoint.load(folder)
    assert loaded is not None and loaded[1] == {"frames": 1280} and [*loaded[0]] == ["other"]
    assert len(list(folder.iterdir())) == 2


def test_tensors_of_another_checkpoint_are_not_taken(tmp_path: Path) -> None:
    folder = saved(tmp_path / "run")
    other = tmp_path / "other"
    checkpoint.save(other, {"network.weight": torch.zeros(2, 3)}, STATE)
    (mine,) = folder.glob("*.safetensors")
    (theirs,) = other.glob("*.safetensors")
    mine.write_bytes(theirs.read_bytes())
    with pytest.raises(CheckpointError, match="another checksum"):
        checkpoint.load(folder)


@pytest.mark.parametrize("damage", ["another format", "no format", "a list", "half"])
def test_what_is_no_checkpoint_is_a_sentence(tmp_path: Path, damage: str) -> None:
    path = saved(tmp_path / "run") / "state.json"
    head = json.loads(path.read_text())
    if damage == "another format":
        path.write_text(json.dumps(head | {"format": "lvlm2p checkpoint 0"}))
    elif damage == "no format":
        path.write_text(json.dumps({k: v for k, v in head.items() if k != "format"}))
    else:
        path.write_text("[1]" if damage == "a list" else json.dumps(head)[:40])
    with pytest.raises(CheckpointError, match=r"state\.json .*another folder"):
        checkpoint.load(path.parent)


def test_a_file_that_lost_its_end_is_not_filled_with_zeros(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_bytes(b"0123456789")
    checkpoint.check_size(path, 10)
    checkpoint.check_size(path, 4)
    with pytest.raises(CheckpointError, match="10 bytes, and had 11"):
        checkpoint.check_size(path, 11)
    with pytest.raises(CheckpointError, match="0 bytes"):
        checkpoint.check_size(tmp_path / "gone.csv", 1)


def test_an_optimisers_state_has_flat_names_and_comes_back() -> None:
    slots: dict[int, dict[str, Any]] = {
        0: {"step": torch.tensor(3.0), "exp_avg": torch.ones(2)},
        11: {"step": torch.tensor(4.0), "exp_avg": torch.zeros(2)},
    }
    flat = checkpoint.to_flat(slots)
    assert set(flat) == {f"optimizer.{i}.{name}" for i in slots for name in ("step", "exp_avg")}
    back = checkpoint.from_flat({**flat, "network.0.step": torch.ones(1)})
    assert back.keys() == slots.keys()
    assert all(torch.equal(back[i][name], slots[i][name]) for i in slots for name in slots[i])

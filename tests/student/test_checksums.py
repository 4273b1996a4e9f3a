"""A checkpoint in which a single bit has changed is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lvlm2p.cli import main
from lvlm2p.student.training import checkpoint
from lvlm2p.teachers.errors import CheckpointError
from lvlm2p.teachers.files import write_atomically

STATE = {"frames": 128, "seconds": 1.5, "teacher_return": float("inf"), "episodes": [(1.0, 3)]}


def test_every_byte_of_a_checkpoint_counts(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, {"weight": torch.arange(6.0)}, STATE)
    loaded = checkpoint.load(tmp_path)
    assert loaded is not None
    assert loaded[1] == {**STATE, "episodes": [[1.0, 3]]}
    for path in sorted(tmp_path.iterdir()):
        whole = path.read_bytes()
        for place in range(len(whole)):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << place % 8
            path.write_bytes(damaged)
            with pytest.raises(CheckpointError):
                checkpoint.load(tmp_path)
        path.write_bytes(whole)
    assert checkpoint.load(tmp_path) is not None


def test_a_disk_that_is_full_leaves_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.save(tmp_path, {"weight": torch.zeros(3)}, {"frames": 1})

    def full(path: Path, data: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_atomically", full)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save(tmp_path, {"weight": torch.ones(3)}, {"frames": 2})
    monkeypatch.undo()
    loaded = checkpoint.load(tmp_path)
    assert loaded is not None and loaded[1] == {"frames": 1}


def test_a_full_disk_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--frames", "256", "--n-envs", "2", "--n-steps", "16", "--checkpoint-every", "64"]
    run = ["--run-dir", str(tmp_path / "run"), "--eval-every", "0", "--no-progress", *options]
    train = ["train", "--env", "MiniGrid-LavaGapS5-v0", "--teacher", "none", *run]
    written = 0
    real = write_atomically

    def fills(path: Path, data: str | bytes) -> None:
        nonlocal written
        written += 1
        if written > 4:  # the third checkpoint; each is two files
            raise OSError(28, "No space left on device", str(path))
        real(path, data)

    monkeypatch.setattr(checkpoint, "write_atomically", fills)
    assert main(train) == 2
    said = capsys.readouterr().err
    assert said.startswith("lvlm2p: the disk is full") and said.count("\n") == 1
    loaded = checkpoint.load(tmp_path / "run" / "checkpoint")
    assert loaded is not None and loaded[1]["frames"] == 128
    monkeypatch.undo()
    assert main([*train, "--resume", "--final-episodes", "1"]) == 0

"""A flipped bit of a student is noticed, and a full disk leaves a run that goes on."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lvlm2p.envs import ObservationSpace
from lvlm2p.student import TrainConfig, load_student, train
from lvlm2p.student.models.encoder import Encoder
from lvlm2p.student.models.policy import Policy
from lvlm2p.student.training import checkpoint, trained
from lvlm2p.student.training.run_dir import disk_explained
from lvlm2p.student.training.trained import Student
from lvlm2p.teachers import files
from lvlm2p.teachers.errors import CheckpointError, RunError


def test_a_checksum_is_of_all_that_is_said() -> None:
    head = {"format": "x", "tensors": "y", "sha256": "z", "state": {"a": 1}}
    sums = {checkpoint.checksum(head)}
    for key in head:
        sums.add(checkpoint.checksum({**head, key: "other"}))
    sums.add(checkpoint.checksum({**head, "more": 1}))
    assert len(sums) == 6
    assert checkpoint.checksum({**head, "checksum": "any"}) == checkpoint.checksum(head)


def small_student() -> Student:
    encoder = Encoder(ObservationSpace("vector", (3,), np.dtype("float32")))
    with torch.random.fork_rng(devices=[]):
        return Student("CartPole-v1", Policy("vector", encoder.shape, 2, 4), encoder)


def test_every_flipped_bit_of_a_student_is_refused(tmp_path: Path) -> None:
    small_student().save(tmp_path)
    path = tmp_path / "student.safetensors"
    before = path.read_bytes()
    header = 8 + int.from_bytes(before[:8], "little")
    for at in (*range(0, header, 3), *range(header, len(before), 41)):  # the rest are weights
        damaged = bytearray(before)
        damaged[at] ^= 1 << at % 8
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError):
            load_student(tmp_path)
    path.write_bytes(before)
    assert load_student(tmp_path).env == "CartPole-v1"


def forge(folder: Path, **changes: Any) -> None:
    """A student's file whose checksum is made to fit, as an attacker would."""
    from safetensors import safe_open
    from safetensors.torch import save

    small_student().save(folder)
    path = folder / "student.safetensors"
    with safe_open(str(path), framework="pt") as file:
        about = json.loads((file.metadata() or {})["lvlm2p"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    about |= changes
    about["sha256"] = trained._digest(about, tensors)
    path.write_bytes(save(tensors, {"lvlm2p": json.dumps(about)}))


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden": 10**9},
        {"hidden": 5},
        {"hidden": -1},
        {"hidden": "4"},
        {"actions": 10**12},
        {"actions": 0},
        {"memory": "lstm"},
        {"memory": "elephant"},
        {"env": 5},
        {"space": []},
        {"space": {"kind": "vector", "shape": [10**9], "dtype": "float32", "has_agent": False}},
        {"space": {"kind": "vector", "shape": [3.5], "dtype": "float32", "has_agent": False}},
        {"space": {"kind": "vector", "shape": [3], "dtype": "O", "has_agent": False}},
        {"more": 1},
    ],
)
def test_a_students_file_takes_no_more_memory_than_it_has(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    forge(tmp_path, **changes)
    with pytest.raises(CheckpointError, match="can't be read as a student") as caught:
        load_student(tmp_path)
    assert len(str(caught.value)) < 1_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000


def test_a_forgery_that_fits_is_a_student(tmp_path: Path) -> None:
    forge(tmp_path)
    assert load_student(tmp_path).policy.hidden == 4
    forge(tmp_path, format="lvlm2p student 1")
    with pytest.raises(CheckpointError, match=r"not a student of this version.*train it again"):
        load_student(tmp_path)


# ---------------------------------------------------------------- a full disk

OPTIONS: dict[str, Any] = {
    "env": "MiniGrid-GoToDoor-5x5-v0",
    "teacher": "none",
    "frames": 192,
    "n_envs": 2,
    "n_steps": 16,
    "hidden": 16,
    "eval_every": 0,
    "final_episodes": 1,
    "checkpoint_every": 32,
}


def config(folder: Path, **options: Any) -> TrainConfig:
    more = {"run_dir": folder, "save_visited": True, "progress": False}
    return TrainConfig.model_validate({**OPTIONS, **more, **options})


def outcome(folder: Path) -> list[bytes]:
    names = ("student.safetensors", "metrics.csv", "visited.jsonl")
    return [(folder / name).read_bytes() for name in names]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(config(folder))
    return outcome(folder)


def goes_on(folder: Path, whole: list[bytes]) -> None:
    """With room again, from the last checkpoint, as if nothing had happened."""
    assert not list(folder.rglob("*.part"))
    loaded = checkpoint.load(folder / "checkpoint")
    if loaded is not None:
        assert loaded[1]["frames"] % 32 == 0
        assert len(list((folder / "checkpoint").iterdir())) == 2
    train(config(folder, resume=True))
    assert outcome(folder) == whole


@pytest.mark.parametrize("written", [2, 3, 4, 5, 8, 13, 14, 15, 16])
def test_a_disk_that_is_full_after_so_many_files(
    written: int, tmp_path: Path, whole: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """config.yaml and versions.json, checkpoints of two files each, the student, the result."""
    flush, left = files._flush, iter(range(2 * written))  # the file's, and its folder's

    def full(path: Path) -> None:
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(path)

    monkeypatch.setattr(files, "_flush", full)
    folder = tmp_path / "run"
    with pytest.raises(RunError, match=r"the disk is full .*free some space.*--resume") as caught:
        train(config(folder))
    assert caught.value.exit_code == 2 and "\n" not in str(caught.value)
    monkeypatch.undo()
    goes_on(folder, whole)


PROGRAM = """
import resource, sys
from lvlm2p import cli
size = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
sys.exit(cli.main(sys.argv[2:]))
"""


@pytest.mark.parametrize("size", [1_500, 4_000, 20_000])
def test_a_limit_on_the_size_of_files(size: int, tmp_path: Path, whole: list[bytes]) -> None:
    """The operating system's own, in a process of its own: no traceback from any thread."""
    folder = tmp_path / "run"
    options = [f"--{key.replace('_', '-')}={value}" for key, value in OPTIONS.items()]
    command = ["train", *options, "--save-visited", "--no-progress", f"--run-dir={folder}"]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(size), *command],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("lvlm2p: "), done.stderr
    assert "full" in done.stderr and "--resume" in done.stderr
    goes_on(folder, whole)


@pytest.mark.skipif(os.getuid() != 0, reason="mounting a small disk needs root")
def test_a_really_full_disk(tmp_path: Path, whole: list[bytes]) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    train(config(tmp_path / "measured"))
    size = sum(file.stat().st_size for file in (tmp_path / "measured/checkpoint").iterdir())
    options = f"size={size * 3 // 2048 + 60}k"  # the rest, and one checkpoint, but not two
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", disk]).returncode:
        pytest.skip("can't mount here")
    try:
        with pytest.raises(RunError, match=r"the disk is full .*free some space"):
            train(config(disk / "run"))
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        goes_on(disk / "run", whole)
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_other_trouble_of_the_operating_system(tmp_path: Path) -> None:
    with (
        pytest.raises(RunError, match=r"can't be written .*mend that"),
        disk_explained(config(tmp_path)),
    ):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    with pytest.raises(ConnectionError), disk_explained(config(tmp_path)):
        raise ConnectionError("of an environment's server")

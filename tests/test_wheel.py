"""What is shipped is enough: a wheel, installed elsewhere, trains."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.support import foreign

ROOT = Path(__file__).parents[1]


def call(*command: str | Path, cwd: Path) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def wheel(folder: Path) -> Path:
    call(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, cwd=ROOT)
    return next(folder.glob("*.whl"))


def train_in(python: Path, folder: Path) -> None:
    call(
        python.with_name("lvlm2p"), "train", "--env", "MiniGrid-LavaGapS5-v0", "--frames", "64",
        "--n-envs", "4", "--n-steps", "16", "--kl-schedule", "constant", "--eval-every", "0",
        "--final-episodes", "1", "--run-dir", folder / "run", "--store", folder / "store",
        cwd=folder,
    )  # fmt: skip
    assert (folder / "run" / "student.safetensors").exists()
    where = call(python, "-c", "import lvlm2p.prompts as it; print(it.__file__)", cwd=folder)
    assert str(folder) in where
    code = (
        "from lvlm2p.envs import tasks; from lvlm2p.prompts import load_prompt\n"
        "for task in tasks():\n"
        "    if task.ground_truth: load_prompt('two-turn', task, shots=16)"
    )
    call(python, "-c", code, cwd=folder)


def test_wheel_trains_with_these_dependencies(tmp_path: Path) -> None:
    """The dependencies come from this environment by path; the project comes from the wheel."""
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    call(python, "-m", "pip", "install", "--quiet", "--no-deps", wheel(tmp_path), cwd=tmp_path)
    site = call(
        python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path
    )
    Path(site.strip(), "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    train_in(python, tmp_path)
    research = tmp_path / "research"
    research.mkdir()
    foreign.check(research, lambda *argv: call(python, *argv, cwd=research))


@pytest.mark.slow
def test_wheel_trains_in_an_empty_environment(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    pins = ROOT / "constraints.txt"
    to_train = f"{wheel(tmp_path)}[train]"
    call(python, "-m", "pip", "install", "--quiet", "-c", pins, to_train, cwd=tmp_path)
    train_in(python, tmp_path)

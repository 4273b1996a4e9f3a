"""A sweep on a local Ray cluster: two trials at once, and a process that dies costs nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.student.sweep.test_sweep import ENV, ROOT, SMALL

pytestmark = pytest.mark.ray

KILL_ONCE = """
import os, signal, sys
from pathlib import Path

died = Path(os.environ["DIED"])

def kill(event, args):
    if event == "os.rename" and str(args[1]).endswith("seed-1/config.yaml") and not died.exists():
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(kill)
"""
"""A sitecustomize.py, so that the processes of the trials have it, too."""


def test_two_workers_one_of_which_dies(tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(SMALL + "teacher: expert\nseeds: [0, 1]\nstore: store\n")
    (tmp_path / "sitecustomize.py").write_text(KILL_ONCE)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "lvlm2p", "sweep", str(file), "--out", str(out)]
    done = subprocess.run(
        [*command, "--engine", "ray", "--workers", "2", "--json"],
        env={
            **os.environ,
            "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}",
            "DIED": str(tmp_path / "died"),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert (result["done"], result["failed"]) == (2, 0)
    assert all((out / ENV / "ppo_expert" / f"seed-{n}" / "result.json").exists() for n in (0, 1))
    assert (tmp_path / "died").exists(), "a trial was killed on the way"
    assert (tmp_path / "store").exists(), "trials work in the folder of the command"

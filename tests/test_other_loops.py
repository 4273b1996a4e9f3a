"""Other training loops with our teachers: the examples run and learn, and need no torch of us."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3 import PPO

from examples import cleanrl_ppo, sb3_ppo
from lvlm2p.teachers import Label
from tests.test_cli import last_json, run

ROOT = Path(__file__).parents[1]


def test_the_examples_are_short() -> None:
    most = {"sb3_ppo.py": 60, "cleanrl_ppo.py": 200, "act_with_onnx.py": 50}
    for name, lines in most.items():
        assert len((ROOT / "examples" / name).read_text().splitlines()) <= lines, name


def test_teachers_load_no_torch() -> None:
    code = """
import sys
from lvlm2p.envs import make_env, view_of
from lvlm2p.teachers import LabelStore, Prefetcher, load_teacher
env = make_env("MiniGrid-LavaGapS5-v0")
env.reset(seed=0)
for name in ("expert", "ensemble:expert,random", "cascade:random,expert"):
    with Prefetcher(load_teacher(name, store=LabelStore())) as ahead:
        ahead.submit([view_of(env)])
        ahead.wait()
        assert len(ahead.answers) == 1
print([name for name in ("torch", "transformers", "litellm") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def agreeing(told: sb3_ppo.Taught, ppo: PPO) -> float:
    """In which share of the states that it was taught the student does what the teacher says."""
    labels = {k: a for k, a in told.ahead.answers.items() if isinstance(a, Label)}
    actions, _ = ppo.predict(np.array([told.seen[key] for key in labels]), deterministic=True)
    right = [
        list(label.probabilities.values())[int(action)] == max(label.probabilities.values())
        for label, action in zip(labels.values(), actions, strict=True)
        if int(action) < len(label.probabilities)
    ]
    return sum(right) / len(labels)


def test_stable_baselines3_is_taught(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []

    class Noted(sb3_ppo.Taught):
        def __init__(self, teacher: Any) -> None:
            super().__init__(teacher)
            told.append(self)

    monkeypatch.setattr(sb3_ppo, "Taught", Noted)
    ppo = sb3_ppo.train("expert", 2 * 1024, 0)
    told[0]._on_rollout_start()  # what was met last is taught, too
    assert len(told[0].ahead.answers) > 30
    assert agreeing(told[0], ppo) > 0.4  # by chance about 0.2
    told[0].ahead.close()


def test_cleanrl_is_taught(capsys: pytest.CaptureFixture[str]) -> None:
    args = cleanrl_ppo.Args(total_timesteps=2 * 1024, seed=0)
    returns = cleanrl_ppo.train(args)
    assert returns and all(0 < frame <= 2048 for frame, _ in returns)
    assert run("labels", "stats", "--json") == 0
    labels = last_json(capsys.readouterr().out)["labels"]
    assert isinstance(labels, int) and labels > 30


@pytest.mark.slow
def test_cleanrl_learns_faster_with_a_teacher() -> None:
    def successes(teacher: str) -> float:
        returns = cleanrl_ppo.train(cleanrl_ppo.Args(teacher=teacher, total_timesteps=16_384))
        return share([total > 0 for _, total in returns[-100:]])

    assert successes("expert") > 0.8 > successes("none")


def share(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags)

"""A researcher's own repository, which has packages of the same names as ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

NAMES = ("envs", "prompts", "teachers", "student")

SCRIPT = """
import envs, prompts, student, teachers
from lvlm2p.envs import make_env, view_of
from lvlm2p.prompts import load_prompt
from lvlm2p.student import TrainConfig, load_student
from lvlm2p.teachers import load_teacher

assert [own.MINE for own in (envs, prompts, teachers, student)] == [True] * 4
env = make_env("MiniGrid-LavaGapS5-v0")
env.reset(seed=0)
view = view_of(env)
load_prompt("two-turn", view.task)
[label] = load_teacher("expert").label([view])
print(sum(label.probabilities.values()))
"""


def check(folder: Path, run: Callable[..., str]) -> None:
    """A script there uses both, and ``python -m lvlm2p`` finds its own.

    Args:
        folder: to work in; empty.
        run: runs Python with these arguments in that folder, and returns its standard output.
    """
    for name in NAMES:
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("MINE = True\n")
    (folder / "script.py").write_text(SCRIPT)
    assert float(run("script.py")) == 1.0
    label = ["label", "--teacher", "expert", "--env", "MiniGrid-LavaGapS5-v0", "--states", "3"]
    said = run("-m", "lvlm2p", *label, "--store", "store", "--json")
    assert json.loads(said)["labels"]["asked"] == 3

"""`lvlm2p task`: what is shown, and the file that it writes."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
from PIL import Image

from lvlm2p.cli import main
from lvlm2p.envs import UserError, make_env, task_for, task_named, view_of
from lvlm2p.envs.starter import TaskConfig


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_registry: None) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])


def test_what_a_teacher_is_told_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["task", "--env", "FrozenLake-v1", "--env-arg", "is_slippery=false"]) == 0
    said = capsys.readouterr().out
    for words in ("left: move one cell left", "planner: exact", "frozen lake", "0.7"):
        assert words in said
    with Image.open("task.png") as picture:
        assert picture.size == (256, 256)


def test_the_starter_is_a_task_that_works(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["task", "--env", "CartPole-v1", "--write", "my_poles.py", "--json"]
    assert main(words) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["starter"] == "my_poles.py"
    assert said["planner"] is False
    text = Path("my_poles.py").read_text()
    code = text.replace("push the cart to the left", "push left")
    Path("my_poles.py").write_text(code)
    generic = task_for("CartPole-v1")
    task = task_for("my_poles:CartPole-v1")
    assert task is task_named("my_poles") is importlib.import_module("my_poles").task
    assert task.rules.strip() == generic.rules.strip()
    assert task.actions[0].meaning == "push left"
    env = make_env("my_poles:CartPole-v1")
    env.reset(seed=0)
    assert view_of(env).image().shape == (400, 600, 3)
    assert view_of(env).task is task
    assert main(words) == 2  # it is there


def test_a_file_that_is_no_module_is_refused() -> None:
    for name in ("my-task.py", "task.txt"):
        with pytest.raises(UserError, match="Python module"):
            TaskConfig(env="CartPole-v1", write=Path(name)).run()

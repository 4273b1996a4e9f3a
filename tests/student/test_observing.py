"""Labelling, training and evaluation see one and the same thing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lvlm2p.envs import Episode, Task, View, register_task, task_named
from lvlm2p.envs.minigrid.state import observe_minigrid
from lvlm2p.student import TrainConfig, train
from lvlm2p.student.training.metrics import read_metrics
from lvlm2p.teachers import load_teacher
from lvlm2p.teachers.evaluation.acting import act
from lvlm2p.teachers.evaluation.questions import Questioner
from lvlm2p.teachers.labelling.config import LabelConfig
from lvlm2p.teachers.labelling.run import label_states

pytestmark = pytest.mark.usefixtures("own_registry")

LAVA = "MiniGrid-LavaGapS5-v0"


def reworded(env: Any, task: Task) -> View:
    view = observe_minigrid(env, task)
    return View(task, view.state + b"mine", f"now {view.mission}", view.carrying)


def own_task(**more: Any) -> Task:
    """LavaGap with states and missions of its own."""
    shipped = task_named("lava-gap")
    assert shipped.planner is not None
    plan = shipped.planner
    return register_task(
        Task(
            "own",
            (LAVA,),
            shipped.actions,
            shipped.rules,
            reworded,
            planner=lambda view: plan(replace(view, state=view.state.removesuffix(b"mine"))),
            **more,
        )
    )


def short_run(folder: Path, **options: Any) -> TrainConfig:
    data = {
        "env": LAVA,
        "teacher": "expert",
        "frames": 512,
        "n_envs": 4,
        "n_steps": 32,
        "eval_every": 256,
        "eval_episodes": 2,
        "final_episodes": 4,
        "progress": False,
        "run_dir": folder / "run",
        "store": folder / "store",
    }
    return TrainConfig.model_validate({**data, **options})


def test_what_was_labelled_ahead_is_what_training_asks_for(tmp_path: Path) -> None:
    own_task()
    config = {"teacher": "expert", "env": LAVA, "all_states": True, "store": tmp_path / "store"}
    ahead = label_states(LabelConfig.model_validate({**config, "out": tmp_path / "a.parquet"}))
    assert ahead.counts.asked == ahead.rows == 72
    result = train(short_run(tmp_path, offline=True))  # a state without a label would end it
    assert (result.labels.asked, result.labels.missing) == (0, 0)
    assert result.labels.cached > 10


def test_a_success_is_what_the_task_says_wherever_it_is_counted(tmp_path: Path) -> None:
    """Here it is to die: no return, and not for want of time."""

    def success(episode: Episode) -> bool:
        return episode.terminated and episode.total_return == 0

    own_task(success=success)
    assert teacher_alone() == 0.0
    result = train(short_run(tmp_path, teacher="none", frames=1024, gamma=0.5))
    rows = list(read_metrics(tmp_path / "run" / "metrics.csv"))
    assert rows[0]["charts/success"] > 0.5 > rows[0]["charts/episodic_return"]
    assert 0 <= result.evaluation.success <= 1
    own_task(success=lambda episode: True)
    assert teacher_alone() == 1.0
    result = train(short_run(tmp_path / "all", teacher="none", frames=128))
    assert result.evaluation.success == 1.0


def teacher_alone() -> float:
    found = act(Questioner(load_teacher("expert")), LAVA, 3, 0, "argmax")
    assert found is not None and found.unanswered == 0
    return found.success.value

"""The first rollout's labels for every later one: as the released code of LVLM2P has it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from lvlm2p.student import TrainConfig, train
from lvlm2p.student.learn.stale import FirstRollout
from lvlm2p.student.training.metrics import read_metrics
from lvlm2p.teachers import load_teacher
from tests.support.learning import config, meet, new_book, teacher_of

SAYS = {"stay": 0.7, "go": 0.1, "turn": 0.2}


def test_later_rollouts_get_the_rows_of_the_same_places() -> None:
    settings = config("ppo", n_steps=2, stale_labels=True)
    with closing(new_book(settings, teacher_of(dict.fromkeys(range(9), SAYS)))) as book:
        first = [meet(book, [3, 4], wait=False), meet(book, [4, 5])]
        assert first == [[0, 1], [1, 2]]
        assert [meet(book, [7, 8], wait=False), meet(book, [3, 3])] == first
        assert len(book.states) == 3  # nobody was asked about 7 and 8
        assert meet(book, [6, 6]) == first[0]  # a last rollout of one step


def test_without_it_every_rollout_has_its_own() -> None:
    with closing(
        new_book(config("ppo", n_steps=1), teacher_of(dict.fromkeys(range(9), SAYS)))
    ) as book:
        assert [meet(book, [3, 4]), meet(book, [7, 3])] == [[0, 1], [2, 0]]


def test_an_unfinished_first_rollout_is_collected_anew() -> None:
    first = FirstRollout(2)
    first.keep([0, 1])
    assert first.tensors() == {} and first.again() is None
    first.keep([2, 3])
    assert first.tensors() == {}  # the answers are not there yet
    first.end()
    again = FirstRollout(2)
    again.restore(first.tensors())
    assert [again.again(), again.again()] == [[0, 1], [2, 3]]


@pytest.mark.parametrize("stale", [True, False])
def test_the_original_codes_recipe_asks_about_its_first_rollout_alone(
    tmp_path: Path, stale: bool
) -> None:
    def run(folder: Path, frames: int, resume: bool = False) -> Path:
        options = {"env": "MiniGrid-GoToDoor-5x5-v0", "recipe": "original-code", "n_steps": 16}
        run = {"final_episodes": 2, "eval_every": 0, "progress": False, "run_dir": folder}
        more = {"stale_labels": stale, "frames": frames, "resume": resume}
        train(TrainConfig.model_validate({**options, **run, **more}), load_teacher("expert"))
        return folder

    rows = list(read_metrics(run(tmp_path / "whole", 192) / "metrics.csv"))
    states = [row["labels/states"] for row in rows]
    assert len(states) == 4 and (len(set(states)) == 1) == stale
    assert [row["distill/lambda"] for row in rows] == [0.01] * 4
    run(tmp_path / "halves", 96)
    run(tmp_path / "halves", 192, resume=True)
    parts = [tmp_path / name / "student.safetensors" for name in ("whole", "halves")]
    assert parts[0].read_bytes() == parts[1].read_bytes()

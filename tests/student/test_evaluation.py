"""How good a policy is: which episodes count, and how a teacher acts that is measured."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lvlm2p.envs import Observation, VectorEnv
from lvlm2p.student.training import evaluation
from lvlm2p.student.training.evaluation import Advised, Stopped, evaluate
from lvlm2p.teachers import Label, load_teacher
from tests.support.learning import (
    Answers,
    ScriptedEnv,
    TablePolicy,
    actions_alone,
    see,
    teacher_of,
    view_of_state,
)

ENV = "MiniGrid-LavaGapS5-v0"
LIMIT = 100
"""Steps after which an episode of it is cut short."""


def expert_in_even_places(
    observation: Observation, env: VectorEnv, active: NDArray[np.bool_]
) -> NDArray[Any]:
    """The others turn round and round."""
    actions = np.zeros(len(observation), np.int64)
    for i, answer in enumerate(load_teacher("expert").label(env.views())):
        if i % 2 == 0:
            assert isinstance(answer, Label)
            actions[i] = env.task.action_named(answer.action).index
    return actions


@pytest.mark.parametrize("side_by_side", [2, 50])
def test_every_environment_plays_its_first_episodes(
    monkeypatch: pytest.MonkeyPatch, side_by_side: int
) -> None:
    """Not the first that end: the expert ends fifteen while the others spin through one."""
    monkeypatch.setattr(evaluation, "SIDE_BY_SIDE", side_by_side)
    result = evaluate(expert_in_even_places, ENV, 5, seed=3)
    assert [total > 0 for total in result.returns] == [True, False, True, False, True]
    assert result.episodes == 5 and result.success == pytest.approx(0.6)
    assert result.mean_return == pytest.approx(sum(result.returns) / 5)
    # MiniGrid's reward is 1 - 0.9 steps / limit
    steps = [round((1 - total) / 0.9 * LIMIT) if total else LIMIT for total in result.returns]
    assert result.mean_length == pytest.approx(sum(steps) / 5)


def test_a_longer_evaluation_begins_with_the_same_episodes() -> None:
    short = evaluate(expert_in_even_places, ENV, 3, seed=3)
    long = evaluate(expert_in_even_places, ENV, 6, seed=3)
    assert long.returns[:3] == short.returns
    assert evaluate(expert_in_even_places, ENV, 3, seed=4).returns != short.returns


def test_an_evaluation_can_be_stopped() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        evaluate(expert_in_even_places, ENV, 3, seed=3, stop=stop)


def test_the_student_alone_takes_its_most_probable_action() -> None:
    policy = TablePolicy([[0.0, 0.1, -5.0, 0.0], [2.0, 1.0, 3.0, 2.9], [4.0, 0, 0, 0]], [0.0] * 3)
    assert actions_alone(policy, [0, 1, 2, 1]) == [1, 2, 0, 2]


def test_or_samples_the_same_ones_in_every_evaluation() -> None:
    """3 : 1 by the logits, among 4,000: a standard deviation is .007."""
    policy = TablePolicy([[0.0, math.log(3.0), -50.0, -50.0]], [0.0])
    drawn = actions_alone(policy, [0] * 4_000, deterministic=False)
    assert np.mean(drawn) == pytest.approx(0.75, abs=0.03) and set(drawn) == {0, 1}
    assert drawn == actions_alone(policy, [0] * 4_000, deterministic=False)
    assert drawn != actions_alone(policy, [0] * 4_000, deterministic=False, seed=1)


def advised(answers: Answers, states: list[int], active: list[bool]) -> tuple[list[int], Advised]:
    policy = Advised(teacher_of(answers), 0, threading.Event())
    env: Any = ScriptedEnv(states, [])
    return policy(see(states), env, np.array(active)).tolist(), policy


def test_a_teacher_that_acts_is_asked_where_it_matters() -> None:
    answers: Answers = {
        0: {"stay": 0.2, "go": 0.7, "turn": 0.1},
        1: {"stay": 0.5, "go": 0.4, "turn": 0.1},
        2: {"stay": 0.1, "go": 0.2, "turn": 0.7},
    }
    teacher = teacher_of(answers)
    policy = Advised(teacher, 0, threading.Event())
    env: Any = ScriptedEnv([2, 1, 0], [])
    actions = policy(see([2, 1, 0]), env, np.array([True, False, True]))
    assert (actions[0], actions[2]) == (3, 0)  # turn and go, by the environment's numbers
    assert teacher.asked == [view_of_state(2).key, view_of_state(0).key]
    assert (policy.asked, policy.failed) == (2, 0)


def test_a_teacher_that_fails_acts_by_lot_among_what_it_may_choose() -> None:
    actions, policy = advised({}, [0] * 300, [True] * 300)
    assert set(actions) == {0, 2, 3}
    assert all(70 < actions.count(action) < 130 for action in (0, 2, 3))
    assert (policy.asked, policy.failed, policy.why) == (300, 300, "it was refusal")

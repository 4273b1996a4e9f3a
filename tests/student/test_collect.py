"""What is collected: whose actions, at what odds, what came of them, and which labels belong."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import numpy as np
import pytest
import torch

from lvlm2p.student.learn.rollout import Rollout
from tests.support.learning import (
    ENV_ACTIONS,
    Answers,
    Scripted,
    ScriptedEnv,
    TablePolicy,
    config,
    gather,
    loop,
    meet,
    new_book,
    states_of,
    teacher_of,
)

GAMMA, LAMBDA = 0.9, 0.5
VALUES = [0.5, -0.25, 0.75, 2.0, -1.0]
EVEN = [[0.0] * ENV_ACTIONS] * len(VALUES)


def collected(starts: Sequence[int], scripts: Sequence[Sequence[Scripted]]) -> Rollout:
    """All steps of the scripts, with the critic of VALUES."""
    policy = TablePolicy(EVEN, VALUES)
    env = ScriptedEnv(starts, scripts)
    rollout = gather(env, policy, len(scripts[0]), gamma=GAMMA, gae_lambda=LAMBDA)
    assert rollout is not None
    return rollout


def advantages(rollout: Rollout, environments: int = 1) -> Any:
    return rollout.advantages.view(-1, environments).numpy()


# ---------------------------------------------------------------- what came of it


def test_an_episode_that_is_cut_short_goes_on_in_the_critics_eyes() -> None:
    rollout = collected([0], [[Scripted(1, 1.0), Scripted(3, 2.0, truncated=True, restart=2)]])
    last = 2.0 + GAMMA * VALUES[3] - VALUES[1]  # of the true last state, not of the restart
    first = 1.0 + GAMMA * VALUES[1] - VALUES[0] + GAMMA * LAMBDA * last
    assert advantages(rollout)[:, 0] == pytest.approx([first, last])
    assert rollout.returns.tolist() == pytest.approx([first + VALUES[0], last + VALUES[1]])
    assert rollout.values.tolist() == [VALUES[0], VALUES[1]]


def test_an_episode_that_ends_by_its_rules_has_no_future() -> None:
    rollout = collected([0], [[Scripted(1, 1.0), Scripted(3, 2.0, terminated=True, restart=2)]])
    last = 2.0 - VALUES[1]
    first = 1.0 + GAMMA * VALUES[1] - VALUES[0] + GAMMA * LAMBDA * last
    assert advantages(rollout)[:, 0] == pytest.approx([first, last])


def test_an_episode_that_ends_and_is_cut_short_at_once_has_no_future() -> None:
    over = Scripted(3, 2.0, terminated=True, truncated=True, restart=2)
    assert advantages(collected([1], [[over]]))[0, 0] == pytest.approx(2.0 - VALUES[1])


def test_a_rollout_ends_in_the_middle_of_an_episode() -> None:
    rollout = collected([0], [[Scripted(4, 0.5)]])
    assert advantages(rollout)[0, 0] == pytest.approx(0.5 + GAMMA * VALUES[4] - VALUES[0])


@pytest.mark.parametrize("cut", [True, False])
def test_nothing_is_passed_back_from_the_next_episode(cut: bool) -> None:
    over = Scripted(3, 2.0, terminated=not cut, truncated=cut, restart=2)
    rollout = collected([0], [[over, Scripted(4, 100.0), Scripted(0, -50.0)]])
    third = -50.0 + GAMMA * VALUES[0] - VALUES[4]
    second = 100.0 + GAMMA * VALUES[4] - VALUES[2] + GAMMA * LAMBDA * third
    first = 2.0 + (GAMMA * VALUES[3] if cut else 0.0) - VALUES[0]
    assert advantages(rollout)[:, 0] == pytest.approx([first, second, third])
    assert states_of(rollout) == [0, 2, 4]


def test_environments_side_by_side_do_not_mix() -> None:
    rollout = collected(
        [0, 2, 4],
        [
            [Scripted(1, 1.0), Scripted(3, truncated=True, restart=0), Scripted(1)],
            [Scripted(4, -1.0, truncated=True, restart=1), Scripted(0, 3.0), Scripted(2)],
            [Scripted(3, terminated=True, restart=4), Scripted(2, truncated=True), Scripted(3, 1)],
        ],
    )
    v = VALUES
    a2, b2, c2 = GAMMA * v[1] - v[0], GAMMA * v[2] - v[0], 1 + GAMMA * v[3] - v[0]
    a1, c1 = GAMMA * v[3] - v[1], GAMMA * v[2] - v[4]
    b1 = 3.0 + GAMMA * v[0] - v[1] + GAMMA * LAMBDA * b2
    a0 = 1.0 + GAMMA * v[1] - v[0] + GAMMA * LAMBDA * a1
    b0, c0 = -1.0 + GAMMA * v[4] - v[2], 0.0 - v[4]
    expected = np.array([[a0, b0, c0], [a1, b1, c1], [a2, b2, c2]])
    assert advantages(rollout, 3) == pytest.approx(expected)
    assert states_of(rollout) == [0, 2, 4, 1, 1, 4, 0, 0, 0]


def test_episodes_are_counted_when_they_end() -> None:
    script = [
        Scripted(1, 1.0),
        Scripted(2, 0.5, terminated=True),
        Scripted(1, -1.0, truncated=True),
        Scripted(1, 9.0),
    ]
    rollout = collected([0], [script])
    assert rollout.episode_returns == [1.5, -1.0]
    assert rollout.episode_lengths == [2, 1]
    assert rollout.episode_successes == [True, False]
    assert rollout.end.observation.values[:, 0, 0, 0].tolist() == [1]  # where the next one begins


# ---------------------------------------------------------------- whose actions


def test_the_odds_of_an_action_are_those_of_the_policy_that_took_it() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(5, ENV_ACTIONS)).astype(np.float32)
    policy = TablePolicy(logits.tolist(), VALUES)
    env = ScriptedEnv([0, 3], [list(loop(50, [0, 1, 2])), list(loop(50, [3, 4]))])
    rollout = gather(env, policy, 50)
    assert rollout is not None
    odds = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    actions = rollout.actions.tolist()
    assert actions == [action for taken in env.taken for action in taken]
    expected = [math.log(odds[s, a]) for s, a in zip(states_of(rollout), actions, strict=True)]
    assert rollout.log_probs.tolist() == pytest.approx(expected, rel=1e-4)


def test_actions_are_drawn_as_often_as_the_policy_says() -> None:
    odds = np.array([[0.1, 0.2, 0.3, 0.4], [0.7, 0.0001, 0.25, 0.0499]])
    policy = TablePolicy(np.log(odds).tolist(), [0.0, 0.0])
    env = ScriptedEnv([0, 1] * 8, [list(loop(500, [i % 2])) for i in range(16)])
    rollout = gather(env, policy, 500)
    assert rollout is not None
    counts = np.zeros((2, ENV_ACTIONS))
    np.add.at(counts, (states_of(rollout), rollout.actions.tolist()), 1)
    deviation = np.sqrt(odds * (1 - odds) / 4000)
    assert (np.abs(counts / 4000 - odds) < 4 * deviation + 1e-9).all()


def test_the_same_seed_draws_the_same_actions_and_another_one_others() -> None:
    drawn = []
    for seed in (0, 0, 1):
        env = ScriptedEnv([0], [list(loop(40, [0, 1]))])
        gather(env, TablePolicy(EVEN, VALUES), 40, seed=seed)
        drawn.append(env.taken)
    assert drawn[0] == drawn[1] != drawn[2]


# ---------------------------------------------------------------- which labels belong


def test_every_frame_finds_the_label_of_its_state() -> None:
    says: Answers = {
        0: {"stay": 0.5, "go": 0.25, "turn": 0.25},
        1: "timeout",
        2: {"stay": 0.125, "go": 0.75, "turn": 0.125},
        4: {"stay": 0.0, "go": 0.0, "turn": 1.0},
    }
    targets = {0: [0.25, 0, 0.5, 0.25], 2: [0.75, 0, 0.125, 0.125], 4: [0, 0, 0, 1]}
    over = Scripted(3, truncated=True, restart=0)  # nobody acts in state 3: it is not asked about
    scripts = [[Scripted(1), Scripted(2), Scripted(4)], [over, Scripted(2), Scripted(1)]]
    teacher = teacher_of(says)
    with closing(new_book(config("ppo"), teacher)) as book:
        rollout = gather(ScriptedEnv([0, 4], scripts), TablePolicy(EVEN, VALUES), 3, book)
        assert rollout is not None
        states = states_of(rollout)
        assert states == [0, 4, 1, 0, 2, 2]
        target, weight = book.lookup(rollout.rows)
    assert weight.tolist() == [float(state in targets) for state in states]
    for state, row in zip(states, target.tolist(), strict=True):
        assert row == targets.get(state, [0, 0, 0, 0])
    assert len(teacher.asked) == 4  # each state once, however often it was met


def test_without_a_book_no_frame_has_a_label() -> None:
    assert collected([0, 1], [list(loop(3, [0])), list(loop(3, [1]))]).rows.tolist() == [-1] * 6


def test_the_teacher_is_asked_where_the_student_is_least_sure() -> None:
    sure, unsure, even = [3.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0] * 4
    policy = TablePolicy([sure, unsure, sure, even, unsure], VALUES)
    teacher = teacher_of({})
    with closing(new_book(config("ppo", ask="entropy:0.5"), teacher)) as book:
        # before anything is known of entropies, the first rollout asks about everything
        first = gather(
            ScriptedEnv([0, 1], [list(loop(1, [0])), list(loop(1, [1]))]), policy, 1, book
        )
        # now the median of those two is the threshold
        starts = [2, 3, 4]
        later = gather(ScriptedEnv(starts, [list(loop(1, [s])) for s in starts]), policy, 1, book)
    assert first is not None and later is not None
    assert first.rows.tolist() == [0, 1]
    assert later.rows.tolist() == [-1, 2, 3]
    assert len(teacher.asked) == 4


def test_the_threshold_is_the_share_of_new_states_of_the_last_rollout() -> None:
    with closing(new_book(config("ppo", ask="entropy:0.25"), teacher_of({}))) as book:
        meet(book, [0, 1, 2, 3, 4], [0.0, 0.4, 0.8, 1.2, 1.0])
        # three quarters of the way through (0, 0.4, 0.8, 1.0, 1.2) is 1.0
        assert meet(book, [5, 6, 7], [0.99, 1.0, 1.3]) == [-1, 5, 6]
        assert meet(book, [0, 5], [0.0, 0.0]) == [0, -1]  # what is known needs no asking


def test_a_budget_is_of_states_and_keeps_the_first() -> None:
    with closing(new_book(config("ppo", ask="budget:2"), teacher_of({}))) as book:
        assert meet(book, [3, 1, 3, 4]) == [0, 1, 0, -1]
        assert meet(book, [4, 1]) == [-1, 1]


def test_only_labelled_states_are_replayed_each_as_often() -> None:
    one = {"stay": 0.0, "go": 1.0, "turn": 0.0}
    two = {"stay": 0.5, "go": 0.0, "turn": 0.5}
    answers: Answers = {0: one, 1: "timeout", 2: two, 3: "refusal", 4: one}
    targets = {0: [1, 0, 0, 0], 2: [0, 0, 0.5, 0.5], 4: [1, 0, 0, 0]}
    with closing(new_book(config("ppo"), teacher_of(answers))) as book:
        meet(book, list(answers))
        drawn = list(book.replay(40, 30, torch.Generator().manual_seed(0)))
    assert [len(batch.targets) for batch in drawn] == [30] * 40
    counts = dict.fromkeys(targets, 0)
    for batch in drawn:
        for state, target in zip(
            batch.inputs.observation[:, 0].tolist(), batch.targets.tolist(), strict=True
        ):
            assert target == targets[state]
            counts[state] += 1
    assert all(330 < count < 470 for count in counts.values())  # 400 +- 4 deviations


def test_labels_are_replayed_with_their_weight_and_those_of_none_are_not() -> None:
    says: dict[str, float] = {"stay": 0.0, "go": 1.0, "turn": 0.0}
    teacher = teacher_of({}, weights={0: 0.25, 1: 0.0, 2: 1.0}, otherwise=says)
    with closing(new_book(config("ppo"), teacher)) as book:
        meet(book, [0, 1, 2])
        drawn = list(book.replay(4, 50, torch.Generator().manual_seed(0)))
    for batch in drawn:
        states = batch.inputs.observation[:, 0].tolist()
        assert batch.weight.tolist() == [{0: 0.25, 2: 1.0}[state] for state in states]
        assert {*states} == {0, 2}


def test_a_run_that_is_stopped_has_no_rollout() -> None:
    stop = threading.Event()
    stop.set()
    env = ScriptedEnv([0], [list(loop(3, [0]))])
    assert gather(env, TablePolicy(EVEN, VALUES), 3, stop=stop) is None
    assert env.taken == []

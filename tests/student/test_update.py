"""One update of PPO and of A2C, against gradients that were worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from tests.support.by_hand import (
    FRAMES,
    LOGITS,
    SAYS_0,
    SAYS_1,
    TARGETS,
    VALUES,
    down,
    gradient,
    same,
    start,
    taught,
)
from tests.support.learning import (
    Frame,
    TablePolicy,
    config,
    improve,
    meet,
    new_book,
    rollout_of,
    teacher_of,
)

# ---------------------------------------------------------------- one term at a time


def test_a2c_raises_what_went_well_and_lowers_what_did_not() -> None:
    settings = config("a2c", lr=1.0, ent_coef=0, vf_coef=0.5)
    policy = TablePolicy([[0.0] * 4, [0.0] * 4], [0.0, 1.0])
    frames = [Frame(0, 1, 0.25, 4.0, 2.0), Frame(1, 2, 0.25, -8.0, -1.0)]
    improve(policy, rollout_of(frames), None, 0.0, settings)
    logits, values = policy.tables()
    # half of 4 (onehot - 1/4), and half of -8 (onehot - 1/4)
    assert logits.tolist() == [[-0.5, 1.5, -0.5, -0.5], [1.0, 1.0, -3.0, 1.0]]
    # half of vf_coef times (2 - 0), and of (-1 - 1)
    assert values.tolist() == [0.5, 0.5]


def test_ppo_sees_only_which_advantage_is_larger() -> None:
    settings = config("ppo", lr=1.0, ent_coef=0, vf_coef=0.5)
    for low, high in ((4.0, 8.0), (-8.0, -4.0), (-0.1, 0.1)):
        policy = TablePolicy([[0.0] * 4, [0.0] * 4], [0.0, 1.0])
        frames = [Frame(0, 1, 0.25, high, 2.0), Frame(1, 2, 0.25, low, -1.0)]
        improve(policy, rollout_of(frames), None, 0.0, settings)
        logits, values = policy.tables()
        # normalised they are 1 and -1
        expected = [[-0.125, 0.375, -0.125, -0.125], [0.125, 0.125, -0.375, 0.125]]
        assert logits == pytest.approx(np.array(expected), abs=1e-6)
        assert values.tolist() == [0.5, 0.5]


@pytest.mark.parametrize("algo", ["ppo", "a2c"])
def test_the_teacher_alone_moves_the_student_to_what_it_says(algo: str) -> None:
    settings = config(algo, lr=1.0, ent_coef=0, vf_coef=0, kl_target="argmax")
    policy = TablePolicy([[0.0] * 4, [0.0] * 4], [0.0, 1.0])
    frames = [Frame(0, 1, 0.25, 0.0, 2.0), Frame(1, 2, 0.25, 0.0, -1.0)]
    with closing(new_book(settings, teacher_of({0: SAYS_0, 1: SAYS_1}))) as book:
        meet(book, [0, 1])
        improve(policy, rollout_of(frames, [0, 1]), book, 2.0, settings)
    logits, values = policy.tables()
    # lambda 2, halved by the mean over two states: 1 (target - 1/4)
    assert logits.tolist() == [[-0.25, -0.25, 0.75, -0.25], [-0.25, -0.25, -0.25, 0.75]]
    assert values.tolist() == [0.0, 1.0]


@pytest.mark.parametrize("algo", ["ppo", "a2c"])
def test_the_entropy_bonus_alone_makes_the_student_less_sure(algo: str) -> None:
    settings = config(algo, lr=1.0, ent_coef=1.0, vf_coef=0)
    policy = TablePolicy([[math.log(3), 0.0, -50.0, -50.0]] * 2, [0.0, 0.0])
    improve(policy, rollout_of([Frame(0, 0, 0.75, 0.0, 0.0)]), None, 0.0, settings)
    logits, _ = policy.tables()
    # -p (log p + H) with p = (3/4, 1/4) is -+ 3/16 log 3
    change = 3 / 16 * math.log(3)
    assert logits[0, :2] == pytest.approx([math.log(3) - change, change], rel=1e-5)
    assert (
        logits[1].tolist() == TablePolicy([[math.log(3), 0, -50, -50]], [0]).tables()[0][0].tolist()
    )


# ---------------------------------------------------------------- everything at once


@pytest.mark.parametrize("loss", ["kl", "original-code"])
@pytest.mark.parametrize(
    ("answers", "targets"),
    [
        ({}, {}),
        ({0: SAYS_0, 1: SAYS_1}, TARGETS),
        ({1: SAYS_1, 0: SAYS_0}, TARGETS),  # the other row of the book
        ({0: SAYS_0}, {0: TARGETS[0]}),  # nobody was asked about state 1
        ({1: SAYS_1}, {1: TARGETS[1]}),
        ({0: "timeout", 1: SAYS_1}, {1: TARGETS[1]}),
        ({1: SAYS_1, 0: "refusal"}, {1: TARGETS[1]}),
        ({0: "timeout", 1: "invalid"}, {}),
    ],
)
@pytest.mark.parametrize("algo", ["ppo", "a2c"])
def test_one_step_of_everything(
    algo: str, answers: Mapping[int, Any], targets: Mapping[int, list[float]], loss: str
) -> None:
    got, _, settings = taught(algo, answers, kl_loss=loss)
    assert same(got, down(start(), gradient(start(), FRAMES, settings, targets, 0.6), settings))


@pytest.mark.parametrize("algo", ["ppo", "a2c"])
def test_without_a_book_and_with_lambda_0_it_is_the_same_step(algo: str) -> None:
    settings = config(algo, ent_coef=0.3, vf_coef=0.7)
    policy = TablePolicy(LOGITS, VALUES)
    report = improve(policy, rollout_of(FRAMES), None, 0.6, settings)
    expected = down(start(), gradient(start(), FRAMES, settings, {}, 0.0), settings)
    assert same(policy.tables(), expected)
    assert "distill/kl" not in report
    assert same(taught(algo, {0: SAYS_0, 1: SAYS_1}, weight=0.0)[0], expected)


@pytest.mark.parametrize(
    ("kind", "says", "target"),
    [
        ("argmax", {"stay": 0.2, "go": 0.3, "turn": 0.5}, [0, 0, 0, 1]),
        ("argmax", {"stay": 0.4, "go": 0.2, "turn": 0.4}, [0, 0, 0.5, 0.5]),
        ("argmax", {"stay": 0.1, "go": 0.45, "turn": 0.45}, [0.5, 0, 0, 0.5]),
        ("soft", {"stay": 0.5, "go": 0.2, "turn": 0.3}, [0.2, 0, 0.5, 0.3]),
    ],
)
@pytest.mark.parametrize("algo", ["ppo", "a2c"])
def test_what_is_distilled(
    algo: str, kind: str, says: dict[str, float], target: list[float]
) -> None:
    got, _, settings = taught(algo, {1: says}, kl_target=kind)
    expected = gradient(start(), FRAMES, settings, {1: target}, 0.6)
    assert same(got, down(start(), expected, settings))


@pytest.mark.parametrize("algo", ["ppo", "a2c"])
@pytest.mark.parametrize("weight", [0.1, 3.0])
def test_lambda_weighs_the_teacher(algo: str, weight: float) -> None:
    got, _, settings = taught(algo, {0: SAYS_0, 1: SAYS_1}, weight=weight)
    expected = gradient(start(), FRAMES, settings, TARGETS, weight)
    assert same(got, down(start(), expected, settings))


@pytest.mark.parametrize("algo", ["ppo", "a2c"])
@pytest.mark.parametrize("weights", [{0: 0.5}, {0: 0.25, 1: 0.75}])
def test_a_label_counts_as_much_as_its_weight(algo: str, weights: dict[int, float]) -> None:
    got, _, settings = taught(algo, {0: SAYS_0, 1: SAYS_1}, weights=weights)
    expected = gradient(start(), FRAMES, settings, TARGETS, 0.6, weights)
    assert same(got, down(start(), expected, settings))


@pytest.mark.parametrize("algo", ["ppo", "a2c"])
def test_a_label_of_no_weight_is_none(algo: str) -> None:
    got, _, settings = taught(algo, {0: SAYS_0, 1: SAYS_1}, weights={0: 0.0})
    expected = gradient(start(), FRAMES, settings, {1: TARGETS[1]}, 0.6)
    assert same(got, down(start(), expected, settings))


@pytest.mark.parametrize("algo", ["ppo", "a2c"])
def test_a_long_gradient_is_shortened_and_keeps_its_direction(algo: str) -> None:
    limit = 0.01
    got, _, settings = taught(algo, {0: SAYS_0}, max_grad_norm=limit)
    moved = [a - b for a, b in zip(got, start(), strict=True)]
    assert math.sqrt(sum((m**2).sum() for m in moved)) == pytest.approx(0.1 * limit, rel=1e-3)
    free = gradient(start(), FRAMES, settings, {0: TARGETS[0]}, 0.6)
    norm = math.sqrt(sum(float((g**2).sum()) for g in free))
    for change, slope in zip(moved, free, strict=True):
        assert change == pytest.approx(-0.1 * limit / norm * slope, abs=1e-6)

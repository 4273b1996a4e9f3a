"""Several steps of an update: epochs, minibatches, replayed labels; and what is reported."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lvlm2p.student.config import TrainConfig
from tests.support.by_hand import (
    FRAMES,
    LOGITS,
    SAYS_0,
    SAYS_1,
    TARGETS,
    VALUES,
    Array,
    Tables,
    divergence,
    down,
    gradient,
    normalised,
    same,
    softmax,
    start,
    taught,
)
from tests.support.learning import TablePolicy, config, improve, rollout_of

# ---------------------------------------------------------------- epochs and minibatches


def steps(settings: TrainConfig, epochs: list[list[list[int]]]) -> Tables:
    """The tables after these epochs of minibatches of frames."""
    tables = start()
    for batch in itertools.chain.from_iterable(epochs):
        frames = [FRAMES[i] for i in batch]
        tables = down(tables, gradient(tables, frames, settings, TARGETS, 0.6), settings)
    return tables


def test_ppo_goes_over_the_rollout_several_times() -> None:
    got, _, settings = taught("ppo", {0: SAYS_0, 1: SAYS_1}, epochs=3, lr=0.5)
    assert same(got, steps(settings, [[[0, 1, 2, 3]]] * 3))
    assert not same(got, steps(settings, [[[0, 1, 2, 3]]] * 2))


def test_every_frame_is_in_one_minibatch_an_epoch() -> None:
    got, _, settings = taught("ppo", {0: SAYS_0, 1: SAYS_1}, batch_size=2, epochs=2, lr=0.5)
    halves = [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]
    orders = [[half, [i for i in range(4) if i not in half]] for half in halves]
    ends = [steps(settings, [first, second]) for first in orders for second in orders]
    assert any(same(got, end) for end in ends)


def test_minibatches_are_drawn_anew_in_every_epoch_and_as_the_seed_says() -> None:
    settings = config("ppo", batch_size=2, ent_coef=0.3)
    outcomes = []
    for seed in (*range(12), 0):
        policy = TablePolicy(LOGITS, VALUES)
        improve(policy, rollout_of(FRAMES), None, 0.0, settings, seed)
        outcomes.append(policy.tables()[0].round(6).tobytes())
    assert outcomes[-1] == outcomes[0]
    assert 2 < len(set(outcomes)) <= 6


def test_the_rest_of_a_rollout_is_a_smaller_minibatch() -> None:
    got, _, settings = taught("ppo", {0: SAYS_0, 1: SAYS_1}, batch_size=3, lr=0.5)
    ends = [steps(settings, [[[i for i in range(4) if i != last], [last]]]) for last in range(4)]
    assert sum(same(got, end) for end in ends) == 1


def test_a2c_takes_the_whole_rollout_once() -> None:
    got, _, settings = taught("a2c", {0: SAYS_0, 1: SAYS_1}, batch_size=1, epochs=4)
    assert same(got, steps(settings, [[[0, 1, 2, 3]]]))


# ---------------------------------------------------------------- replayed labels


def replayed(settings: TrainConfig, weight: float, batches: int, state: int) -> Tables:
    """One step on FRAMES, then so many on what is known of ``state``."""
    targets = {state: TARGETS[state]}
    tables = down(start(), gradient(start(), FRAMES, settings, targets, weight), settings)
    for _ in range(batches):
        slope = np.zeros_like(tables[0]), np.zeros_like(tables[1])
        p = softmax(tables[0][state])
        slope[0][state] = weight * divergence(np.array(TARGETS[state]), p, settings)
        tables = down(tables, slope, settings)
    return tables


@pytest.mark.parametrize(
    ("weight", "kl_coef", "batches"),
    [(2.0, 2.0, 6), (1.0, 2.0, 3), (0.4, 2.0, 1), (0.1, 2.0, 0), (0.0, 2.0, 0), (0.5, 0.0, 0)],
)
@pytest.mark.parametrize("loss", ["kl", "original-code"])
@pytest.mark.parametrize("algo", ["ppo", "a2c"])
def test_known_states_are_replayed_the_less_the_smaller_lambda(
    algo: str, loss: str, weight: float, kl_coef: float, batches: int
) -> None:
    options: dict[str, Any] = {"kl_minibatches": 6, "kl_coef": kl_coef, "kl_loss": loss}
    got, report, settings = taught(algo, {1: SAYS_1, 0: "timeout"}, weight, **options)
    assert same(got, replayed(settings, weight, batches, 1))
    assert ("distill/replayed_kl" in report) == (batches > 0)


@pytest.mark.parametrize("algo", ["ppo", "a2c"])
def test_a_replayed_step_is_not_longer_than_allowed(algo: str) -> None:
    options: dict[str, Any] = {"kl_minibatches": 3, "max_grad_norm": 0.05}
    got, _, settings = taught(algo, {0: SAYS_0}, 1.0, **options)
    assert same(got, replayed(settings, 1.0, 3, 0))


@pytest.mark.parametrize("algo", ["ppo", "a2c"])
def test_nothing_is_replayed_where_nothing_is_labelled(algo: str) -> None:
    got, report, settings = taught(algo, {0: "timeout", 1: "refusal"}, 1.0, kl_minibatches=6)
    assert same(got, down(start(), gradient(start(), FRAMES, settings, {}, 1.0), settings))
    assert "distill/replayed_kl" not in report and report["distill/kl"] == 0


# ---------------------------------------------------------------- what is reported


def entropy_at(state: int) -> float:
    p = softmax(np.array(LOGITS[state]))
    return float(-(p * np.log(p)).sum())


def kl_at(state: int) -> float:
    p, target = softmax(np.array(LOGITS[state])), np.array(TARGETS[state])
    return float(sum(q * math.log(q / r) for q, r in zip(target, p, strict=True) if q))


@pytest.mark.parametrize("algo", ["ppo", "a2c"])
def test_the_report(algo: str) -> None:
    # means over steps that change nothing
    options: dict[str, Any] = {"lr": 1e-9, "epochs": 3, "kl_minibatches": 2}
    _, report, settings = taught(algo, {0: SAYS_0, 1: "timeout"}, 1.0, **options)
    chosen = [softmax(np.array(LOGITS[f.state]))[f.action] for f in FRAMES]
    ratios = [p / frame.old for p, frame in zip(chosen, FRAMES, strict=True)]
    errors = [VALUES[f.state] - f.target for f in FRAMES]
    targets = np.array([f.target for f in FRAMES])
    left = np.array([f.advantage for f in FRAMES])  # the critic of the rollout said the difference
    expected = {
        "losses/value_loss": 0.5 * float(np.mean(np.square(errors))),
        "losses/entropy": (entropy_at(0) + entropy_at(1)) / 2,
        "losses/explained_variance": 1 - left.var() / targets.var(),
        "distill/kl": kl_at(0),
        "distill/replayed_kl": kl_at(0),
    }
    if algo == "a2c":
        gains = [math.log(p) * f.advantage for p, f in zip(chosen, FRAMES, strict=True)]
    else:
        gains = [
            min(r * a, float(np.clip(r, 1 - settings.clip, 1 + settings.clip)) * a)
            for r, a in zip(ratios, normalised(FRAMES), strict=True)
        ]
        expected["losses/approx_kl"] = float(np.mean([r - 1 - math.log(r) for r in ratios]))
        expected["losses/clipfrac"] = float(np.mean([abs(r - 1) > settings.clip for r in ratios]))
    expected["losses/policy_loss"] = -float(np.mean(gains))
    assert report == pytest.approx(expected, rel=1e-4)


# ---------------------------------------------------------------- real optimisers


@pytest.mark.parametrize(
    ("algo", "steps"),
    [
        # Adam's first step has the size lr g / (|g| + eps), whatever the gradient
        ("ppo", lambda g: 0.1 * g / (np.abs(g) + 0.01)),
        # RMSprop's is lr g / (0.1 |g| + eps), since its mean square begins at 0
        ("a2c", lambda g: 0.1 * g / (0.1 * np.abs(g) + 0.01)),
    ],
)
def test_the_first_step_of_the_optimiser(algo: str, steps: Callable[[Array], Array]) -> None:
    settings = config(algo, ent_coef=0.3, vf_coef=0.7, opt_eps=0.01)
    policy = TablePolicy(LOGITS, VALUES)
    improve(policy, rollout_of(FRAMES), None, 0.0, settings, own_optimizer=True)
    slopes = gradient(start(), FRAMES, settings, {}, 0.0)
    expected = [table - steps(slope) for table, slope in zip(start(), slopes, strict=True)]
    assert same(policy.tables(), (expected[0], expected[1]))


@pytest.mark.parametrize("algo", ["ppo", "a2c"])
def test_gradients_do_not_pile_up(algo: str) -> None:
    settings = config(algo, ent_coef=0.3, vf_coef=0.7)
    policy, tables = TablePolicy(LOGITS, VALUES), start()
    for _ in range(2):
        improve(policy, rollout_of(FRAMES), None, 0.0, settings)
        tables = down(tables, gradient(tables, FRAMES, settings, {}, 0.0), settings)
    assert same(policy.tables(), tables)

"""An expert with a planted error rate is measured as what it is, on all four tasks."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from lvlm2p.teachers.evaluation import evaluate_teacher
from lvlm2p.teachers.evaluation.scores import Scores
from lvlm2p.teachers.evaluation.states import Case, draw_states
from lvlm2p.teachers.expert import ExpertTeacher
from tests.support.evaluation import ENVS

RATES = (0.0, 0.01, 0.1, 0.3, 1.0)


@cache
def cases(env_id: str) -> list[Case]:
    return draw_states(env_id, 200, seed=0)


def expert(error_rate: float, seed: int = 0, confidence: float = 0.9) -> ExpertTeacher:
    return ExpertTeacher(
        ExpertTeacher.Options(error_rate=error_rate, seed=seed, confidence=confidence)
    )


@pytest.mark.parametrize("env_id", ENVS)
@pytest.mark.parametrize("error_rate", RATES)
def test_the_planted_accuracy_lies_within_the_measured_interval(
    env_id: str, error_rate: float
) -> None:
    views = [case.view for case in cases(env_id)]
    found = evaluate_teacher(expert(error_rate), env_id, states=views, episodes=0, probes=0)
    assert found.top1 is not None
    assert found.top1.low <= 1 - error_rate <= found.top1.high
    assert found.valid is not None
    assert found.valid.value == 1
    assert found.labelled == found.states == len(views)


@pytest.mark.parametrize("error_rate", [0.01, 0.1, 0.3])
def test_intervals_cover_the_planted_accuracy_about_95_times_in_100(error_rate: float) -> None:
    """Over 60 teachers: one lucky seed proves nothing."""
    states = cases(ENVS[1])
    views = [case.view for case in states]
    covered = 0
    for seed in range(60):
        top1 = Scores(states, expert(error_rate, seed).label(views)).top1
        assert top1 is not None
        covered += top1.low <= 1 - error_rate <= top1.high
    assert covered >= 53


def test_all_measures_of_an_expert_follow_from_its_confidence() -> None:
    """Confidence .9 and no errors: every number is known in advance."""
    env_id = ENVS[2]
    states = cases(env_id)
    views = [case.view for case in states]
    found = evaluate_teacher(expert(0.0), env_id, states=views, episodes=0, probes=0)
    assert found.mass is not None
    assert found.nll is not None
    assert found.brier is not None
    assert found.ece is not None
    assert found.mass.value == pytest.approx(0.9)
    assert found.nll.value == pytest.approx(-np.log(0.9))
    k = np.array([len(case.plan.actions) for case in states if case.plan])
    others = len(views[0].task.actions) - k
    assert found.brier.value == pytest.approx(float(np.mean(0.01 / others + 0.01 / k)))
    # Always right; confidence .9 where one action is optimal, .9 / k where k share it.
    assert found.ece.value == pytest.approx(float(np.mean(1 - 0.9 / k)))
    assert sum(b.n for b in found.reliability) == len(views)
    assert found.confusion is not None
    counts = np.array(found.confusion.counts)
    assert counts.sum() == pytest.approx(len(views))
    assert np.trace(counts) == pytest.approx(len(views))


def test_a_teacher_that_is_always_wrong_has_an_empty_diagonal() -> None:
    views = [case.view for case in cases(ENVS[0])]
    found = evaluate_teacher(expert(1.0), ENVS[0], states=views, episodes=0, probes=0)
    assert found.confusion is not None
    assert np.trace(np.array(found.confusion.counts)) == 0
    assert found.verdict.level == "no"


def test_top1_by_distance_adds_up() -> None:
    views = [case.view for case in cases(ENVS[1])]
    found = evaluate_teacher(expert(0.3), ENVS[1], states=views, episodes=0, probes=0)
    assert found.top1 is not None
    assert sum(stratum.states for stratum in found.by_distance) == len(views)
    hits = sum(s.top1.value * s.states for s in found.by_distance if s.top1)
    assert hits == pytest.approx(found.top1.value * len(views))
    distances = [stratum.distance for stratum in found.by_distance]
    assert distances == sorted(distances, key=lambda d: (d is None, d or 0))

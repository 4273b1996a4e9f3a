"""Bad teachers are recognised for what they are, by the report's numbers and its words."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from lvlm2p.envs import View
from lvlm2p.teachers.evaluation import Evaluation, evaluate_teacher
from lvlm2p.teachers.evaluation.states import draw_states
from tests.support import evaluation as planted
from tests.support.evaluation import ENVS, Planted

CHARACTERS = {
    "good": planted.good,
    "mirror": planted.mirror,
    "forward": planted.forward,
    "reader": planted.reader,
    "flaky": planted.flaky,
    "overconfident": planted.overconfident,
}


@cache
def views(env_id: str) -> tuple[View, ...]:
    return tuple(case.view for case in draw_states(env_id, 120, seed=1))


@cache
def measured(name: str, env_id: str) -> Evaluation:
    return evaluate_teacher(
        Planted(name, CHARACTERS[name]), env_id, states=views(env_id), episodes=0, probes=60
    )


def codes(name: str, env_id: str) -> set[str]:
    return {finding.code for finding in measured(name, env_id).findings}


@pytest.mark.parametrize("env_id", ENVS)
def test_a_good_teacher_is_accused_of_nothing(env_id: str) -> None:
    assert codes("good", env_id) <= {"timid"}
    assert measured("good", env_id).verdict.level == "strong"


@pytest.mark.parametrize("env_id", ENVS)
def test_left_for_right(env_id: str) -> None:
    found = measured("mirror", env_id)
    finding = next(f for f in found.findings if f.code == "exchanged")
    assert "left and right" in finding.text
    assert "to 100%" in finding.text
    assert found.confusion is not None
    left, right = (found.confusion.actions.index(name) for name in ("left", "right"))
    counts = np.array(found.confusion.counts)
    assert counts[left, right] > counts[left, left]
    assert counts[right, left] > counts[right, right]
    assert "blind" not in codes("mirror", env_id)


@pytest.mark.parametrize("env_id", ENVS)
def test_always_forward(env_id: str) -> None:
    found = measured("forward", env_id)
    finding = next(f for f in found.findings if f.code == "constant")
    assert "forward on 100%" in finding.text
    assert found.confusion is not None
    chosen = np.array(found.confusion.counts).sum(axis=0)
    assert chosen[found.confusion.actions.index("forward")] == pytest.approx(found.labelled)
    assert found.verdict.level in ("no", "doubtful")


@pytest.mark.parametrize("env_id", ENVS)
def test_right_but_blind(env_id: str) -> None:
    found = measured("reader", env_id)
    assert found.probes.blank is not None
    assert found.probes.blank.same.value == 1
    assert found.probes.blank.moved.value == 0
    assert "blind" in codes("reader", env_id)
    assert found.top1 is not None
    assert found.top1.value == 1
    seeing = measured("good", env_id).probes.blank
    assert seeing is not None
    assert seeing.same.value < 0.8


@pytest.mark.parametrize("env_id", ENVS)
def test_fails_on_a_fifth(env_id: str) -> None:
    found = measured("flaky", env_id)
    assert found.valid is not None
    assert found.valid.low <= 0.8 <= found.valid.high
    assert found.failures == {"invalid": found.states - found.labelled}
    assert "fails" in codes("flaky", env_id)
    assert found.top1 is not None
    assert found.top1.value == 1


def test_overconfident_and_softened() -> None:
    found = measured("overconfident", ENVS[1])
    assert "overconfident" in codes("overconfident", ENVS[1])
    assert found.temperature is not None
    assert found.temperature.value > 2
    assert found.temperature.nll_after < found.temperature.nll_before
    assert found.ece is not None
    assert found.top1 is not None
    assert found.ece.value == pytest.approx(0.98 - found.top1.value, abs=1e-6)

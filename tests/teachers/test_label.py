"""What may be a label: a finite distribution over exactly the task's actions."""

from __future__ import annotations

import math

import pytest

from lvlm2p.envs import Action, Task
from lvlm2p.teachers import AnswerError, Failure, Label, check_probabilities

NAMES = ("left", "right", "forward")


TASK = Task("walk", ("Walk-v0",), tuple(Action(name, i, ".") for i, name in enumerate(NAMES)), ".")


def test_a_distribution_comes_back_in_the_tasks_order_and_sums_to_1() -> None:
    checked = check_probabilities(TASK, {"forward": 0.51, "left": 0.2, "right": 0.3})
    assert list(checked) == list(NAMES)
    assert checked == pytest.approx(
        {"left": 0.2 / 1.01, "right": 0.3 / 1.01, "forward": 0.51 / 1.01}
    )
    assert math.fsum(checked.values()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("stated", "complaint"),
    [
        ({"left": 0.5, "right": 0.5}, "missing forward"),
        ({"left": 0.5, "right": 0.25, "forward": 0.25, "back": 0.0}, "unknown 'back'"),
        ({"left": -0.1, "right": 0.6, "forward": 0.5}, "probability of left is -0.1"),
        ({"left": math.nan, "right": 0.5, "forward": 0.5}, "probability of left is nan"),
        ({"left": 0.5, "right": math.inf, "forward": 0.5}, "probability of right is inf"),
        ({"left": 0.5, "right": 0.5, "forward": 0.03}, "sum to 1.03, not 1"),
        ({"left": 0.5, "right": 0.45, "forward": 0.02}, "sum to 0.97, not 1"),
    ],
)
def test_what_is_no_distribution_is_a_sentence(stated: dict[str, float], complaint: str) -> None:
    with pytest.raises(AnswerError, match=complaint):
        check_probabilities(TASK, stated)


def test_rounding_passes_up_to_the_tolerance() -> None:
    nearly = {"left": 0.5, "right": 0.25, "forward": 0.2699}
    assert check_probabilities(TASK, nearly)["right"] == pytest.approx(0.25 / 1.0199)
    with pytest.raises(AnswerError):
        check_probabilities(TASK, nearly, tolerance=1e-6)


def test_the_action_of_a_label_is_the_first_of_the_best() -> None:
    def action(left: float, right: float, forward: float) -> str:
        odds = dict(zip(NAMES, (left, right, forward), strict=True))
        return Label(
            task="walk", teacher="t", fingerprint="f", probabilities=odds, elicitation="stated"
        ).action

    assert action(0.2, 0.5, 0.3) == "right"
    assert action(0.2, 0.4, 0.4) == "right"
    assert action(1 / 3, 1 / 3, 1 / 3) == "left"


@pytest.mark.parametrize(
    ("kind", "lasting"),
    [
        *((kind, True) for kind in ("invalid", "refusal", "truncated", "empty")),
        *((kind, False) for kind in ("timeout", "rate_limited", "unavailable", "rejected")),
        *((kind, False) for kind in ("budget", "missing")),
    ],
)
def test_failures_that_would_come_again(kind: str, lasting: bool) -> None:
    facts = {"task": "walk", "teacher": "t", "fingerprint": "f", "message": "."}
    assert Failure.model_validate({**facts, "failure": kind}).lasting is lasting


def test_a_usual_weight_is_not_written_and_another_is() -> None:
    facts = {"task": "walk", "teacher": "t", "fingerprint": "f", "elicitation": "stated"}
    usual = Label.model_validate(facts | {"probabilities": {"left": 1.0}})
    light = usual.model_copy(update={"weight": 0.25})
    assert "weight" not in usual.model_dump() and "weight" not in usual.model_dump_json()
    for label in (usual, light):
        assert Label.model_validate_json(label.model_dump_json()) == label
    for weight in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="weight"):
            Label.model_validate(facts | {"probabilities": {"left": 1.0}, "weight": weight})

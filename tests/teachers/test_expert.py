"""The planner as a teacher of planted quality, and chance."""

from __future__ import annotations

import math

import pytest

from lvlm2p.envs import View
from lvlm2p.teachers import Label, load_teacher
from tests.support.store import states

FAMILIES = {
    "MiniGrid-LavaGapS5-v0": 60,
    "MiniGrid-GoToDoor-5x5-v0": 300,
    "MiniGrid-Fetch-5x5-N2-v0": 300,
}


def labels(name: str, views: tuple[View, ...], **options: object) -> list[Label]:
    answers = load_teacher(name, options=options).label(views)
    assert all(isinstance(answer, Label) for answer in answers)
    return [answer for answer in answers if isinstance(answer, Label)]


@pytest.mark.parametrize("env_id", FAMILIES)
def test_confidence_is_shared_by_the_optimal_actions(env_id: str) -> None:
    views = states(FAMILIES[env_id], env_id)
    for view, label in zip(views, labels("expert", views, confidence=0.8), strict=True):
        optimal = view.task.plan(view).actions
        assert tuple(label.probabilities) == view.task.action_names
        assert math.isclose(sum(label.probabilities.values()), 1)
        if len(optimal) < len(label.probabilities):
            for name, p in label.probabilities.items():
                others = len(label.probabilities) - len(optimal)
                expected = 0.8 / len(optimal) if name in optimal else 0.2 / others
                assert math.isclose(p, expected)
            assert label.action in optimal


def test_errors_are_as_many_as_planted_and_fixed() -> None:
    views = states(1000)
    options: dict[str, object] = {"error_rate": 0.2, "confidence": 0.9}
    seen = labels("expert", views, **options)
    wrong = [
        label.action not in view.task.plan(view).actions
        for view, label in zip(views, seen, strict=True)
    ]
    assert 0.2 * 1000 - 4 * 13 < sum(wrong) < 0.2 * 1000 + 4 * 13
    order = tuple(reversed(views))
    again = labels("expert", order, **options)[::-1]
    assert [label.probabilities for label in again] == [label.probabilities for label in seen]
    other = labels("expert", views, seed=1, **options)
    assert [a.probabilities for a in other] != [a.probabilities for a in seen]


def test_error_rate_one_is_always_wrong_where_that_is_possible() -> None:
    views = states(200)
    for view, label in zip(views, labels("expert", views, error_rate=1), strict=True):
        optimal = view.task.plan(view).actions
        assert len(optimal) == len(view.task.actions) or label.action not in optimal


def test_the_fingerprint_is_the_options() -> None:
    one = load_teacher("expert").fingerprint
    assert one == load_teacher("expert", options={"confidence": "0.9"}).fingerprint
    changes: list[dict[str, object]] = [{"confidence": 0.8}, {"error_rate": 0.1}, {"seed": 1}]
    prints = {one, *(load_teacher("expert", options=change).fingerprint for change in changes)}
    assert len(prints) == 4


def test_chance_knows_nothing() -> None:
    for label in labels("random", states(5)):
        assert set(label.probabilities.values()) == {1 / len(label.probabilities)}
        assert label.cost_usd == 0.0 and label.elicitation == "exact"


def test_the_expert_is_free_and_counted() -> None:
    teacher = load_teacher("expert")
    teacher.label(states(5))
    assert teacher.counts.asked == 5 and teacher.counts.cost_usd == 0.0

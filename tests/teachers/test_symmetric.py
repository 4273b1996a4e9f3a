"""`--symmetry canonical`: one question for all views that are symmetric, and what comes back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lvlm2p.envs import View, canonical, sample_states
from lvlm2p.teachers import Label, load_teacher
from lvlm2p.teachers.wrappers.symmetric import CanonicalTeacher
from tests.support.learning import TASK
from tests.support.store import FakeTeacher, failing

ENVS = ("MiniGrid-GoToDoor-5x5-v0", "MiniGrid-Fetch-5x5-N2-v0", "MiniGrid-Dynamic-Obstacles-5x5-v0")


@pytest.mark.parametrize("env_id", ENVS)
def test_the_answer_is_carried_back_into_each_views_own_words(env_id: str) -> None:
    """What is best is best in the picture's mirror image too, with left and right exchanged."""
    views = sample_states(env_id, 60, seed=0)
    expert = load_teacher("expert")
    carried = CanonicalTeacher(load_teacher("expert"))
    swapped = 0
    for view, direct, answer in zip(views, expert.label(views), carried.label(views), strict=True):
        assert isinstance(direct, Label) and isinstance(answer, Label)
        assert list(answer.probabilities) == list(view.task.action_names)
        assert answer.probabilities == pytest.approx(direct.probabilities)
        assert answer.fingerprint == carried.fingerprint_for(view.task) != direct.fingerprint
        swapped += canonical(view)[1]["left"] == "right"
    assert swapped > 5
    assert carried.counts.asked + carried.counts.saved == len({view.key for view in views})
    assert carried.counts.saved > 0


def test_an_analysis_of_another_picture_is_not_passed_on() -> None:
    views = sample_states(ENVS[0], 5, seed=0)

    def analysed(view: object, teacher: FakeTeacher) -> Label:
        label = teacher.label_for(view)  # type: ignore[arg-type]
        return label.model_copy(update={"analysis": {"agent_row": 1}})

    assert [getattr(a, "analysis", "") for a in FakeTeacher(analysed).label(views)] != [None] * 5
    carried = CanonicalTeacher(FakeTeacher(analysed)).label(views)
    assert [getattr(answer, "analysis", "") for answer in carried] == [None] * 5


def test_a_blank_picture_stays_blank_whatever_a_tasks_own_function_does() -> None:
    """Of another package's task, say, which makes a new View and knows nothing of blank ones."""
    first = View(
        replace(TASK, canonical=lambda view: (View(view.task, b"", "any"), {})), b"1", "go"
    )
    inner = FakeTeacher()
    CanonicalTeacher(inner).label([first, replace(first, state=b"2"), replace(first, blank=True)])
    shown = View(first.task, b"", "any")
    assert sorted(inner.asked) == sorted([shown.key, replace(shown, blank=True).key])


def test_a_failure_stays_a_failure() -> None:
    (view,) = sample_states(ENVS[0], 1, seed=0)
    inner = FakeTeacher(failing("refusal"))
    teacher = CanonicalTeacher(inner)
    answers = teacher.label([view, replace(view, blank=True)])
    assert len(set(inner.asked)) == 2  # a picture that is left empty is another question
    assert all(answer.fingerprint == teacher.fingerprint_for(view.task) for answer in answers)
    assert {getattr(answer, "failure", None) for answer in answers} == {"refusal"}
